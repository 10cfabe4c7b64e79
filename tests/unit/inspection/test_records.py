"""One record, and its views: a line, a row, a schema, a report. What was written before is read, and made alike."""

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError
from tests.support import example

from kizu.core.errors import DataError, KizuError, ScoreError
from kizu.decision.calibration import Thresholds
from kizu.decision.regions import Region, Spot
from kizu.decision.thresholds import mean_sigma, quantile
from kizu.inspection.inspector import Inspection
from kizu.inspection.records import (
    Prediction,
    Record,
    error_record,
    parse_record,
    prediction_record,
    schema,
)
from kizu.inspection.table import csv_lines
from kizu.inspection.tally import Tally

NG = (
    '{"image_path": "in/blowhole/1.jpg", "model": "patchcore", "category": "tile", "image_size": [373, 248],'
    ' "gt_label": "defect", "pred_score": 31.601608276367188, "image_threshold": 27.1912841796875,'
    ' "pixel_threshold": 27.477611541748047, "effective_pixel_threshold": 30.225372695922854, "label": "NG",'
    ' "is_anomaly": true, "num_defects": 2, "total_defect_area": 979, "defects": [{"component_id": 1, "area": 752,'
    ' "bbox": [119, 186, 146, 234], "centroid": [131.01994680851064, 209.7593085106383], "max_anomaly_value":'
    ' 31.877897262573242, "mean_anomaly_value": 31.015172075718006}, {"component_id": 2, "area": 227, "bbox":'
    ' [0, 0, 23, 13], "centroid": [11.5, 1e-07], "max_anomaly_value": 30.5, "mean_anomaly_value": 30.25}],'
    ' "timings": {"decode_ms": 6.274, "inspect_ms": 46.21}, "bundle_sha256": "7a95", "mask_path":'
    ' "out/masks/blowhole/1.jpg.png", "overlay_path": "out/overlays/blowhole/1.jpg.jpg"}'
)
OK_WITHOUT_PICTURES = (
    '{"image_path": "in/ü ß.jpg", "model": "patchcore", "category": "tile", "image_size": [359, 248],'
    ' "gt_label": null, "pred_score": 25.0, "image_threshold": 27.5, "pixel_threshold": 27.5,'
    ' "effective_pixel_threshold": 27.5, "label": "OK", "is_anomaly": false, "num_defects": 0,'
    ' "total_defect_area": 0, "defects": [], "timings": {}, "bundle_sha256": "7a95"}'
)
NG_WITHOUT_DEFECTS = OK_WITHOUT_PICTURES.replace('"OK", "is_anomaly": false', '"NG", "is_anomaly": true')
FAILED = '{"image_path": "in/broken.png", "error": "in/broken.png: is not an image", "bundle_sha256": "7a95"}'
LINES = (NG, OK_WITHOUT_PICTURES, NG_WITHOUT_DEFECTS, FAILED)


NEW_IN_A_PREDICTION = {"decided_by": "score", "reason": "why", "outcome": "inspected", "superseded": False}
"""Behind the keys of always."""


def as_line(record: Record) -> str:
    return json.dumps(record.as_json(), allow_nan=False, ensure_ascii=False)


def read(line: str) -> Record:
    return parse_record(json.loads(line), where="a line")


def inspection(*regions: Region, score: float = 31.601608276367188, threshold: float = 27.5) -> Inspection:
    return Inspection(
        label="NG" if score > threshold else "OK",
        score=score,
        threshold=threshold,
        pixel_threshold=30.225372695922854,
        map=np.zeros((373, 248), np.float32),
        mask=np.zeros((373, 248), np.bool_),
        regions=regions,
        by="score",
        reason="why",
    )


def record(score: float, areas: list[int], *, ng: bool) -> Prediction:
    regions = [Region(area, (0, 0, 9, 9), (4.0, 4.0), 9.0, 8.0) for area in areas]
    said = inspection(*regions, score=score, threshold=score - 1 if ng else score)
    return prediction_record("a.png", said, example().manifest, "0")


@pytest.mark.parametrize("line", LINES)
def test_a_line_that_was_written_before_is_a_record_and_is_written_as_it_was(line: str) -> None:
    assert as_line(read(line)) == line
    Draft202012Validator(schema("preds")).validate(json.loads(line))


def test_an_inspection_is_written_with_the_keys_order_and_numbers_of_always() -> None:
    found = inspection(
        Region(
            752,
            (119, 186, 146, 234),
            (131.01994680851064, 209.7593085106383),
            31.877897262573242,
            31.015172075718006,
        ),
        Region(227, (0, 0, 23, 13), (11.5, 1e-07), 30.5, 30.25),
        threshold=27.1912841796875,
    )
    manifest = example().manifest.model_copy(update={"category": "tile"})
    written = prediction_record(
        "in/blowhole/1.jpg",
        found,
        manifest,
        "7a95",
        gt_label="defect",
        timings={"decode_ms": 6.2741, "inspect_ms": 46.21},
        details={
            "mask_path": "out/masks/blowhole/1.jpg.png",
            "overlay_path": "out/overlays/blowhole/1.jpg.jpg",
        },
    )
    before = NG.replace('"pixel_threshold": 27.477611541748047', '"pixel_threshold": 1.5', 1)
    assert as_line(written) == json.dumps({**json.loads(before), **NEW_IN_A_PREDICTION})
    failed = error_record("in/broken.png", "in/broken.png: is not an image", "7a95")
    assert as_line(failed) == json.dumps({**json.loads(FAILED), "outcome": "damaged", "superseded": False})


def test_a_line_of_before_is_of_a_whole_picture_that_counts() -> None:
    for line, outcome in ((NG, "inspected"), (FAILED, "damaged")):
        assert (read(line).outcome, read(line).superseded, read(line).source) == (outcome, False, None)


def test_an_image_that_lists_no_defect_says_where_to_look() -> None:
    said = replace(inspection(), spot=Spot(7, 8, 26.5))
    written = prediction_record("a.png", said, example().manifest, "0").as_json()
    assert written["highest_spot"] == {"x": 7, "y": 8, "anomaly_value": 26.5}
    Draft202012Validator(schema("preds")).validate(written)


def test_pictures_that_were_not_saved_are_not_named() -> None:
    written = record(1.0, [], ng=False)
    assert written.mask_path is None
    assert set(json.loads(OK_WITHOUT_PICTURES)) | set(NEW_IN_A_PREDICTION) == set(written.as_json())


def test_a_score_that_is_not_finite_is_refused_by_name() -> None:
    with pytest.raises(ScoreError, match=r"the score of a\.png is nan"):
        record(float("nan"), [], ng=False)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"is_anomaly": False}, "the label is NG and is_anomaly False"),
        ({"label": "OK"}, "the label is OK and is_anomaly True"),
        ({"num_defects": 1}, "num_defects is 1, and 2 are listed"),
        ({"total_defect_area": 978}, "total_defect_area is 978"),
        ({"label": "OK", "is_anomaly": False}, "an OK image lists no defects"),
        ({"error": "broken"}, "unknown key 'label'"),
        ({"mask_path": None}, "mask_path: .*left out, not null"),
        ({"mask_paht": "x"}, r"unknown key 'mask_paht' \(did you mean 'mask_path'\?\)"),
        ({"pred_score": float("nan")}, "pred_score: .* finite number, got nan"),
        ({"pred_score": "31.6"}, "pred_score: .* number, got '31.6'"),
        ({"image_size": [373]}, "image_size.1"),
    ],
)
def test_a_record_does_not_contradict_itself(change: dict[str, Any], told: str) -> None:
    with pytest.raises(DataError, match=f"line 7: .*{told}"):
        parse_record({**json.loads(NG), **change}, where="preds.jsonl, line 7")


def test_a_record_cannot_be_changed() -> None:
    written = record(1.0, [], ng=False)
    with pytest.raises(ValidationError, match="frozen"):
        written.label = "NG"  # type: ignore[misc]


VALUES = (None, True, 0, -1, 1.5, "", "x", [], [1], {}, {"x": "y"}, [{"x": 1}])


def mutated(values: Any) -> Iterator[Any]:
    """`values` with one thing in it replaced, removed or added, at any depth."""
    yield from VALUES
    if isinstance(values, dict):
        yield {**values, "unheard_of": 1}
        for key, value in values.items():
            yield {name: other for name, other in values.items() if name != key}
            for changed in mutated(value):
                yield {**values, key: changed}
    elif isinstance(values, list):
        yield [*values, *values[:1]]
        yield values[1:]
        for position, value in enumerate(values):
            for changed in mutated(value):
                yield [*values[:position], changed, *values[position + 1 :]]


@pytest.mark.parametrize("line", LINES)
def test_whatever_is_a_record_fits_the_schema_and_survives_being_written(line: str) -> None:
    validator = Draft202012Validator(schema("preds"))
    taken = refused = 0
    for values in mutated(json.loads(line)):
        try:
            found = parse_record(values, where="a line")
        except KizuError:
            refused += 1
            continue
        taken += 1
        validator.validate(values)
        assert json.loads(as_line(found)) == values
    assert refused > taken > 0


@pytest.mark.parametrize("name", ["preds", "report"])
def test_the_schema_is_one_and_says_of_each_field_what_it_is(name: Any) -> None:
    made = schema(name)
    Draft202012Validator.check_schema(made)
    assert made["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    kinds = [kind for kind in (made, *made["$defs"].values()) if "properties" in kind]
    assert len(kinds) >= 3
    for kind in kinds:
        assert kind["additionalProperties"] is False
        assert all(field["description"] for field in kind["properties"].values())


def test_the_table_has_a_row_for_each_record_and_nothing_where_there_is_nothing() -> None:
    text = "".join(csv_lines(read(line) for line in LINES))
    assert text.splitlines() == [
        "image_path,label,pred_score,image_threshold,gt_label,num_defects,total_defect_area,error,outcome,category",
        "in/blowhole/1.jpg,NG,31.601608276367188,27.1912841796875,defect,2,979,,inspected,tile",
        "in/ü ß.jpg,OK,25.0,27.5,,0,0,,inspected,tile",
        "in/ü ß.jpg,NG,25.0,27.5,,0,0,,inspected,tile",
        "in/broken.png,,,,,,,in/broken.png: is not an image,damaged,",
    ]
    assert "".join(csv_lines([])) == text.splitlines()[0] + "\n"
    assert (
        next(csv.reader(["".join(csv_lines([error_record('a,"b', "x", "0")])).splitlines()[1]]))[0] == 'a,"b'
    )


def test_the_report_adds_up() -> None:
    total = Tally()
    for key, one in {
        "a": record(1.0, [], ng=False),
        "b": record(3.0, [4, 6], ng=True),
        "c": record(5.0, [2], ng=True),
        "d": error_record("b", "broken", "0"),
    }.items():
        total.put(key, record(99.0, [99], ng=True))  # and then again
        total.put(key, one)
    total.put("e", record(99.0, [99], ng=True))
    total.drop("e")
    assert [total.verdict(key) for key in "abde"] == ["OK", "NG", None, None]
    report = total.report(example().manifest)
    assert (report.num_images, report.num_ok, report.num_ng, report.num_errors) == (3, 1, 2, 1)
    assert (report.ng_rate, report.ok_rate) == (2 / 3, 1 / 3)
    assert report.as_json()["score_stats"] == {"min": 1.0, "max": 5.0, "mean": 3.0}
    assert report.as_json()["defect_stats"] == {
        "total_defects": 3,
        "avg_defects_per_ng": 1.5,
        "max_defect_area": 6,
        "avg_total_defect_area": 6.0,
    }
    assert report.outcomes == {"inspected": 3, "damaged": 1}
    assert report.thresholds.image_threshold == 1.5
    assert report.thresholds.quantile_image is None


def test_the_report_names_a_quantile_that_thresholds_were_set_by() -> None:
    manifest = example().manifest
    image = quantile(np.arange(5.0), 0.995)
    thresholds = Thresholds(image=image, pixel=mean_sigma(np.arange(5.0), 3)).out_of(5)
    told = Tally().report(manifest.model_copy(update={"thresholds": thresholds})).thresholds
    assert (told.quantile_image, told.quantile_pixel) == (0.995, None)
    assert told.rule == "quantile@0.995, out of 5 folds"
    assert told.pixel_rule == "mean+3sigma, out of 5 folds"


def test_without_predictions_there_are_zeros_and_no_scores() -> None:
    report = Tally().report(example().manifest)
    assert (report.num_images, report.ng_rate, report.ok_rate) == (0, 0.0, 0.0)
    assert report.defect_stats is None
    assert report.score_stats is None
    assert "score_stats" not in report.as_json()
    assert report.as_json()["defect_stats"] is None
