"""What lands in the output folder: names that cannot meet, lines that fit their schema, a table, and no more."""

import csv
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from tests.support import BASE, category, fitted, part_picture, with_flaw

from kizu.core.errors import OutputError
from kizu.core.types import U8
from kizu.data.listing import list_images, list_named_images
from kizu.data.manifest import Sample
from kizu.data.passed import Passed
from kizu.decision.policy import PolicyConfig
from kizu.imaging.codec import decode, encode_png, png_bytes
from kizu.imaging.roi import read_roi
from kizu.inspection.folder import FolderRunner
from kizu.inspection.inspector import Inspector
from kizu.inspection.options import FolderOptions
from kizu.inspection.records import error_record, schema
from kizu.inspection.results import SETTLED_S
from kizu.inspection.table import csv_lines
from kizu.inspection.tally import TOLD_REJECTED
from kizu.lab.train import RunConfig, train_run


@pytest.fixture
def inspector(good_pictures: U8) -> Inspector:
    return Inspector(fitted(good_pictures).bundle)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(4):
        encode_png(tmp_path / "in" / f"{number}.png", part_picture(60 + number))
    encode_png(tmp_path / "in/sub/0.png", with_flaw(part_picture(70), 20, 30))
    (tmp_path / "in/broken.png").write_bytes(b"nothing")
    return tmp_path / "in"


def lines(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "preds.jsonl").read_text().splitlines()]


def test_lines_and_report_fit_their_schemas_and_the_table_has_them_all(
    inspector: Inspector, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    report = FolderRunner(inspector, out, FolderOptions(save_csv=True)).run(list_images(folder)).report
    validator = Draft202012Validator(schema("preds"))
    for line in lines(out):
        validator.validate(line)
    Draft202012Validator(schema("report")).validate(report.as_json())
    assert not validator.is_valid({**lines(out)[0], "label": "NG", "is_anomaly": False, "error": "x"})
    rows = list(csv.DictReader((out / "preds.csv").read_text().splitlines()))
    assert [row["image_path"] for row in rows] == [line["image_path"] for line in lines(out)]
    flawed = next(row for row in rows if "sub" in row["image_path"])
    assert flawed["label"] == "NG"
    assert next(row for row in rows if "broken" in row["image_path"])["error"]
    told = next(line for line in lines(out) if "label" in line)
    assert set(told["timings"]) == {"decode_ms", "inspect_ms"}
    empty = FolderRunner(inspector, tmp_path / "none").run([]).report
    Draft202012Validator(schema("report")).validate(empty.as_json())
    assert empty.defect_stats is None


def test_pictures_of_one_name_from_two_places_do_not_meet(
    inspector: Inspector, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for path in (folder / "0.png", folder / "sub/0.png"):
        FolderRunner(inspector, out).run([Sample("0.png", path)])
    FolderRunner(inspector, out).run([Sample("0.png", folder / "1.png")])
    masks = [line["mask_path"] for line in lines(out)]
    assert len(set(masks)) == 3
    assert all(Path(mask).is_file() and Path(mask).parent == out / "masks" for mask in masks)
    assert not decode(Path(masks[0])).any()
    assert decode(Path(masks[1])).any()


def test_a_folder_that_was_moved_is_gone_on_with(inspector: Inspector, folder: Path, tmp_path: Path) -> None:
    samples = list_images(folder)
    FolderRunner(inspector, tmp_path / "out").run(samples[:2])
    (tmp_path / "out").rename(tmp_path / "moved")
    done = FolderRunner(inspector, tmp_path / "moved").run(samples)
    assert done.skipped == 2
    assert len(lines(tmp_path / "moved")) == len(samples)


def test_a_list_of_paths_is_inspected_in_its_order_each_once(
    inspector: Inspector, folder: Path, tmp_path: Path
) -> None:
    names = ["2.png", "", "sub/0.png", "gone.png", "2.png"]
    samples = list_named_images([str(folder / name) if name else "" for name in names])
    assert [sample.id for sample in samples] == ["2.png", "sub/0.png", "gone.png"]
    out = tmp_path / "out"
    report = FolderRunner(inspector, out).run(samples).report
    assert (report.num_images, report.num_errors) == (2, 1)
    assert [path.id for path in list_images(folder, pattern="sub/*")] == ["sub/0.png"]


def test_only_what_lies_in_the_region_of_interest_counts(good_pictures: U8, tmp_path: Path) -> None:
    bundle = fitted(good_pictures).bundle
    flawed = with_flaw(part_picture(70), 10, 44)
    left = tmp_path / "left.json"
    left.write_text(json.dumps({"polygons": [[[0, 0], [0.3, 0], [0.3, 1], [0, 1]]], "unit": "fraction"}))
    strict = PolicyConfig(pixel_threshold_mult=5)  # the smallest of networks smears
    whole = Inspector(bundle, policy=strict).inspect(flawed)
    seen = Inspector(bundle, policy=strict, roi=read_roi(left, None)).inspect(flawed)
    other = Inspector(bundle, policy=strict, roi=read_roi(None, left)).inspect(flawed)
    assert (whole.label, seen.label, other.label) == ("NG", "OK", "NG")
    assert not seen.mask.any()
    assert not other.mask[:, :18].any()
    assert other.score == pytest.approx(float(other.map[:, 20:].max()))
    assert other.threshold == other.pixel_threshold


def test_opening_drops_what_is_thin_and_closing_fills_gaps(good_pictures: U8) -> None:
    bundle = fitted(good_pictures).bundle
    flawed = with_flaw(part_picture(70), 10, 40)
    plain = Inspector(bundle, policy=PolicyConfig(pixel_threshold_mult=5)).inspect(flawed)
    opened = Inspector(bundle, policy=PolicyConfig(pixel_threshold_mult=5, open_px=63)).inspect(flawed)
    closed = Inspector(bundle, policy=PolicyConfig(pixel_threshold_mult=5, close_px=15)).inspect(flawed)
    assert opened.label == plain.label == "NG"
    assert not opened.regions
    assert closed.mask.sum() >= plain.mask.sum() > 0
    assert (closed.mask | ~plain.mask).all()


class Given:
    """Arrivals as told, and then an error."""

    def __init__(self, *arrivals: Sequence[Sample], error: type[BaseException] | None = None) -> None:
        self.arrivals, self.error = arrivals, error
        self.put: list[tuple[str, float | None]] = []

    def __iter__(self) -> Iterator[Sequence[Sample]]:
        yield from self.arrivals
        if self.error is not None:
            raise self.error

    def put_back(self, sample: Sample, *, after_s: float | None = None) -> None:
        self.put.append((sample.id, after_s))


def test_what_is_not_whole_yet_is_put_back_in_a_watch(
    inspector: Inspector, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (folder / "broken.png").write_bytes(png_bytes(part_picture(1))[:99])
    given = Given(list_images(folder))
    done = FolderRunner(inspector, out).watch(given)
    assert given.put == [("broken.png", SETTLED_S)]
    assert (done.num_failed, done.report.outcomes) == (1, {"inspected": 5, "unfinished": 1})
    (folder / "broken.png").write_bytes(png_bytes(part_picture(1)))
    assert FolderRunner(inspector, out).watch(Given(list_images(folder))).num_failed == 0


def test_a_watched_folder_is_reported_as_it_goes(inspector: Inspector, folder: Path, tmp_path: Path) -> None:
    out, told = tmp_path / "out", []
    samples = list_images(folder)
    first = FolderRunner(inspector, out).watch(Given(samples[:2], samples[:3]), told.append)
    assert first.report.num_images == 3
    assert len(told) == 3

    broken = next(sample for sample in samples if "broken" in sample.id)
    os.utime(broken.path, (0, 0))
    with pytest.raises(KeyboardInterrupt):
        FolderRunner(inspector, out).watch(Given(samples, error=KeyboardInterrupt))
    again = FolderRunner(inspector, out).watch(Given(samples))
    assert again.skipped == len(samples)
    assert json.loads((out / "report.json").read_text())["num_errors"] == 1
    paths = [line["image_path"] for line in lines(out)]
    assert len(paths) == len(set(paths)) == len(samples)


def test_regions_of_a_square_kernel() -> None:
    from kizu.decision.regions import find_regions

    marked = np.zeros((40, 40), np.float32)
    marked[5:15, 5:15] = 1  # a square
    marked[20, :30] = 1  # a line
    marked[30:34, 10:14] = marked[30:34, 16:20] = 1  # two squares, two pixels apart
    assert len(find_regions(marked, 0.5).found) == 4
    assert [r.bbox for r in find_regions(marked, 0.5, open_px=5).found] == [(5, 5, 15, 15)]
    closed = find_regions(marked, 0.5, open_px=3, close_px=3)
    assert {r.bbox for r in closed.found} == {(5, 5, 15, 15), (10, 30, 20, 34)}


def test_a_quantile_out_of_folds_is_named_in_the_report(folder: Path, tmp_path: Path) -> None:
    category(tmp_path / "data", "plate", 0)
    rules = {"folds": 3, "rule": "quantile", "quantile": 0.9, "pixel_rule": "quantile"}
    values = BASE.model_dump(mode="json") | {
        "calibration": rules,
        "data": {"root": str(tmp_path / "data"), "category": "plate"},
    }
    run = train_run(RunConfig.parse(values, where="test"), tmp_path / "runs").folder
    out = tmp_path / "out"
    FolderRunner(Inspector.open(run.path), out).run(list_images(folder))
    report = json.loads((out / "report.json").read_text())
    Draft202012Validator(schema("report")).validate(report)
    told = report["thresholds"]
    assert (told["quantile_image"], told["quantile_pixel"]) == (0.9, 0.999)
    assert told["rule"] == "quantile@0.9, out of 3 folds"
    assert told["false_alarm_rate"] is None


def test_a_picture_outside_of_the_region_of_interest_gets_a_line_that_says_so(
    good_pictures: U8, folder: Path, tmp_path: Path
) -> None:
    encode_png(folder / "large.png", np.repeat(np.repeat(part_picture(61), 3, axis=0), 3, axis=1))
    region = tmp_path / "roi.json"
    region.write_text(json.dumps({"polygons": [[[100, 100], [150, 100], [150, 150], [100, 150]]]}))
    inspector = Inspector(fitted(good_pictures).bundle, roi=read_roi(region, None))
    report = FolderRunner(inspector, tmp_path / "out").run(list_images(folder)).report
    assert (report.num_images, report.num_errors) == (1, 6)
    told = [line["error"] for line in lines(tmp_path / "out") if "error" in line]
    assert sum("region of interest" in error for error in told) == 5


def test_what_was_passed_over_is_in_the_report(inspector: Inspector, folder: Path, tmp_path: Path) -> None:
    for name in ("a.gif", "b.gif", "notes.txt"):
        (folder / name).write_bytes(b"GIF89a" if name.endswith("gif") else b"")
    passed = Passed()
    samples = list_images(folder, passed=passed)
    runner = FolderRunner(inspector, tmp_path / "out", passed_over=passed.rows)
    report = runner.run(samples).report.as_json()
    assert report["passed_over"] == [
        {"reason": "files that are no pictures", "count": 1, "names": ["notes.txt"], "pictures": False},
        {
            "reason": "pictures in a format that Kizu does not read",
            "count": 2,
            "names": ["a.gif: GIF", "b.gif: GIF"],
            "pictures": True,
        },
    ]
    Draft202012Validator(schema("report")).validate(report)
    assert json.loads((tmp_path / "out/report.json").read_text()) == report


def test_no_cell_of_the_table_is_a_formula(inspector: Inspector, tmp_path: Path) -> None:
    names = ["=cmd.png", "+a.png", "-b.png", "@c.png", "d.png"]
    rows = list(csv.DictReader(csv_lines(error_record(name, f"{name}: broken", "0") for name in names)))
    assert [row["image_path"] for row in rows] == ["'=cmd.png", "'+a.png", "'-b.png", "'@c.png", "d.png"]
    assert rows[0]["error"] == "'=cmd.png: broken"


def test_the_ng_pictures_are_told_the_highest_first_and_of_many_how_many_more(
    inspector: Inspector, tmp_path: Path
) -> None:
    for seed in range(13):
        encode_png(tmp_path / "drop" / f"{seed:02}.png", with_flaw(part_picture(seed), 10, 44))
    encode_png(tmp_path / "drop" / "good.png", part_picture(99))
    runner = FolderRunner(inspector, tmp_path / "out")
    told = runner.run(list_images(tmp_path / "drop")).rejected
    assert len(told) == TOLD_REJECTED + 1
    assert told[-1] == "and 3 more"
    scores = [float(line.split()[1]) for line in told[:-1]]
    assert scores == sorted(scores, reverse=True)
    assert all(re.fullmatch(r"NG  \S+ +\d\d\.png", line) for line in told[:-1])
    assert runner.run([s for s in list_images(tmp_path / "drop") if "good" in s.id]).rejected == ()


def test_results_drawn_in_another_style_are_not_gone_on_with(inspector: Inspector, tmp_path: Path) -> None:
    encode_png(tmp_path / "drop" / "a.png", part_picture(99))
    FolderRunner(inspector, tmp_path / "out").run(list_images(tmp_path / "drop"))
    beside = FolderRunner(inspector, tmp_path / "out", FolderOptions(overlay="side"))
    with pytest.raises(OutputError):
        beside.run(list_images(tmp_path / "drop"))
    FolderRunner(inspector, tmp_path / "side", FolderOptions(overlay="side")).run(
        list_images(tmp_path / "drop")
    )
    assert decode(tmp_path / "side/overlays/a.png.jpg").shape[1] == 128
