"""What an evaluation says follows from scores, maps and masks as one counts by hand."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from kizu.core.split import Split
from kizu.data.manifest import Sample
from kizu.decision.calibration import Thresholds
from kizu.decision.rules import Rule
from kizu.decision.thresholds import Threshold
from kizu.decision.zones import ZoneThresholds
from kizu.imaging.placement import PlacementConfig
from kizu.lab.evaluate import Evaluation, Prediction, measure_predictions, write_predictions
from kizu.lab.parts import mean_metrics
from kizu.lab.predictions import PackedMask, Predictions
from kizu.lab.shown import ShownProbability
from kizu.metrics.image_intervals import image_intervals
from kizu.metrics.probability import Reliability
from kizu.metrics.ranking import auroc
from kizu.runs.contents import MeasuredOn

SIDE = 8
SCORES = np.array([1.0, 2.0, 3.5, 5.0, 2.5, 4.0], np.float32)
"""Of three good images, two with holes and one with a scratch that nobody drew; NG above 3."""
HOLES = {3: [(4, 4), (4, 5)], 4: [(0, 0)]}
"""Image -> its flawed pixels: in the middle, and in a corner."""


def threshold(value: float) -> Threshold:
    return Threshold(value=value, rule=Rule(name="maximum"), split=Split.CALIBRATION, count=9)


THRESHOLDS = Thresholds(image=threshold(3.0), pixel=threshold(10.0))


@pytest.fixture
def found() -> Predictions:
    """One of the two pixels in the middle lies above the pixel threshold of 10, and so does a pixel of a good image."""
    kinds = ["good", "good", "good", "hole", "hole", "scratch"]
    samples = [
        Sample(f"{n}.png", Path(f"{n}.png"), "good" if kind == "good" else "defect", None, kind, Split.TEST)
        for n, kind in enumerate(kinds)
    ]
    maps = np.random.default_rng(0).random((6, SIDE, SIDE), np.float32)
    maps[3, 4, 4], maps[3, 4, 5], maps[2, 7, 7] = 12, 6, 11
    masks: list[PackedMask | None] = [PackedMask(None, (SIDE, SIDE))] * 3
    for pixels in HOLES.values():
        mask = np.zeros((SIDE, SIDE), bool)
        mask[tuple(np.transpose(pixels))] = True
        masks.append(PackedMask(np.packbits(mask), (SIDE, SIDE)))
    placement = PlacementConfig(image_size=SIDE)
    return Predictions(tuple(samples), SCORES, maps, ((SIDE, SIDE),) * 6, (*masks, None), placement)


def test_each_image_is_decided_by_the_image_threshold(found: Predictions) -> None:
    measured = measure_predictions(found, THRESHOLDS)
    assert [(p.sample.id, p.score, p.is_anomaly) for p in measured.predictions] == [
        (f"{number}.png", score, score > 3) for number, score in enumerate(SCORES.tolist())
    ]
    assert [p.sample.id for p in measured.predictions if p.is_wrong] == ["2.png", "4.png"]
    assert measured.confusion == {"tp": 2, "fp": 1, "tn": 2, "fn": 1}
    assert measured.metrics["image_recall"] == pytest.approx(2 / 3)
    assert measured.metrics["pixel_recall"] == pytest.approx(1 / 3)
    assert measured.metrics["image_auroc"] == auroc(found.defective, SCORES)
    assert list(measured.seconds) == ["measure"]
    assert 0 < measured.seconds["measure"] < 60


def test_the_misses_are_told_by_kind_size_and_place(found: Predictions) -> None:
    breakdown = measure_predictions(found, THRESHOLDS).breakdown
    holes, scratch = breakdown["kind"]["hole"], breakdown["kind"]["scratch"]
    assert (holes.count, holes.recall, holes.coverage) == (2, 0.5, 0.25)
    assert holes.auroc == pytest.approx(5 / 6)
    assert (scratch.count, scratch.recall, scratch.auroc, scratch.coverage) == (1, 1.0, 1.0, None)
    assert {name: cell.coverage for name, cell in breakdown["size"].items()} == {"large": 0.5, "medium": 0.0}
    assert {name: cell.recall for name, cell in breakdown["place"].items()} == {"centre": 1.0, "border": 0.0}


def test_zones_decide_pixels_in_place_of_the_pixel_threshold(found: Predictions) -> None:
    left, right = threshold(13.0), threshold(5.0)
    zoned = THRESHOLDS.model_copy(update={"zones": ZoneThresholds(grid=(1, 2), zones=(left, right))})
    measured = measure_predictions(found, zoned)  # both pixels in the middle lie right
    assert measured.breakdown["place"]["centre"].coverage == 1.0
    assert measured.metrics["pixel_recall"] == pytest.approx(2 / 3)


def test_intervals_are_those_of_its_images_at_its_threshold(found: Predictions) -> None:
    measured = measure_predictions(found, THRESHOLDS)
    expected = image_intervals(found.defective, SCORES.astype(np.float64), THRESHOLDS.image.value)
    assert measured.intervals == expected.intervals
    assert measured.without_interval.keys() == {"image_auprc", "aupro_030", "aupro_005"}
    assert "10 and 20 are needed" in measured.without_interval["aupro_030"]
    assert measured.intervals["image_auroc"].low < measured.metrics["image_auroc"]
    good = replace(
        found,
        samples=found.samples[:3],
        scores=SCORES[:3],
        net_maps=found.net_maps[:3],
        sizes=found.sizes[:3],
        masks=found.masks[:3],
    )
    of_good = measure_predictions(good, THRESHOLDS)
    assert of_good.intervals.keys() == {"image_specificity", "image_overkill_rate", "image_accuracy"}
    assert of_good.without_interval == {}  # what has no value has its own reason
    assert of_good.reasons["image_auroc"] == "no defective images"


def test_what_is_written_is_what_was_measured_and_what_qualifies_it(found: Predictions) -> None:
    measured = measure_predictions(found, THRESHOLDS)
    written = measured.as_json()
    assert {key: written[key] for key in measured.metrics} == measured.metrics
    assert written["counts"] == {"good": 3, "defect": 3}
    assert written["counts_by_kind"] == {"good": 3, "hole": 2, "scratch": 1}
    assert written["breakdown"]["kind"]["scratch"] == asdict(measured.breakdown["kind"]["scratch"])
    assert written["intervals"]["image_auroc"] == asdict(measured.intervals["image_auroc"])
    assert written["without_interval"] == measured.without_interval
    assert (written["confusion"], written["reasons"]) == (measured.confusion, measured.reasons)
    assert written.keys().isdisjoint({"probability", "bundle_sha256", "data"})
    shown = ShownProbability(0.1, 0.2, Reliability((6,), (0.5,), (0.5,)))
    data = MeasuredOn(dataset="set", category="plate", manifest_sha256="0")
    full = replace(
        measured, shown=shown, bundle_sha256="ab", data=data, seconds={"predict": 1.23456}
    ).as_json()
    assert full["probability"] == asdict(shown)
    assert (full["bundle_sha256"], full["data"]) == ("ab", data.model_dump(mode="json"))
    assert full["seconds"] == {"predict": 1.2346}


def test_each_prediction_is_a_line(found: Predictions, tmp_path: Path) -> None:
    write_predictions(tmp_path / "preds.jsonl", [Prediction(found.samples[4], 2.5, False)])
    assert [json.loads(line) for line in (tmp_path / "preds.jsonl").read_text().splitlines()] == [
        {"id": "4.png", "defect": "hole", "gt_label": "defect", "pred_score": 2.5, "is_anomaly": False}
    ]


def test_a_mean_is_over_those_that_have_the_number(found: Predictions) -> None:
    def of(**metrics: float | None) -> Evaluation:
        return replace(measure_predictions(found, THRESHOLDS), metrics=metrics)

    found_means = mean_metrics([of(a=0.5, b=None, c=None), of(a=1.0, b=0.25, c=None)])
    assert found_means == {"a": 0.75, "b": 0.25, "c": None}
