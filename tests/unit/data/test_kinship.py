"""`data check` tells which images show one part, above all on two sides."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.support import exposure

from kizu.core.errors import OutputError
from kizu.core.work import Work
from kizu.data.check import CheckReport, check
from kizu.data.layouts.mvtec_ad import scan
from kizu.data.sheet import pair_sheet
from kizu.imaging.codec import encode_png
from kizu.tasks.check import Checked, check_data
from kizu.tasks.lab_options import CheckOptions
from kizu.tasks.options import DataOptions


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty parts to learn from, two of them twice; one of them is tested again, with a flaw."""
    root = tmp_path_factory.mktemp("set") / "plate"
    for part in range(20):
        encode_png(root / f"train/good/{part}.png", exposure(part, 0))
    for part in (4, 5):
        encode_png(root / f"train/good/again{part}.png", exposure(part, 1))
    encode_png(root / "test/good/x.png", exposure(50, 0))
    encode_png(root / "test/scratch/y.png", exposure(7, 2))
    return root


@pytest.fixture(scope="module")
def report(root: Path) -> CheckReport:
    return check(scan(root))


def test_siblings_in_two_splits_are_leakage(report: CheckReport) -> None:
    (problem,) = [p for p in report.problems if "leakage" in p.what]
    assert problem.severity == "warning"
    assert len(problem.ids) == 1
    assert "test/scratch/y.png and train/good/7.png" in problem.ids[0]
    assert "of fine detail shared" in problem.ids[0]


def test_groups_and_sizes_are_told(report: CheckReport) -> None:
    assert "note: images that show one part: 3 of 2;" in report.as_text()


def test_programs_get_all_of_it(report: CheckReport) -> None:
    found = json.loads(json.dumps(report.as_json()))
    assert ["train/good/4.png", "train/good/again4.png"] in found["groups"]
    assert [(p["first"], p["second"]) for p in found["siblings_across_splits"]] == [
        ("test/scratch/y.png", "train/good/7.png")
    ]
    assert found["siblings_across_splits"][0]["fine_fraction"] > 0.8


def test_the_sheet_shows_pairs_that_a_cut_would_part(root: Path, tmp_path: Path) -> None:
    checked = check_data(DataOptions(root=root), Work())
    pairs, sides = checked.parted_siblings()
    assert pairs[0].first == "test/scratch/y.png"
    assert all(sides[pair.first] != sides[pair.second] for pair in pairs)
    options = CheckOptions(preview=tmp_path / "a.png", pairs=tmp_path / "b.png")
    assert checked.write_sheets(options) == [tmp_path / "a.png", tmp_path / "b.png"]
    assert (tmp_path / "b.png").stat().st_size > 1000


def test_a_sheet_never_lies_in_the_set(root: Path, tmp_path: Path) -> None:
    checked = check_data(DataOptions(root=root), Work())
    with pytest.raises(OutputError, match="would lie in the data set"):
        checked.write_sheets(CheckOptions(preview=tmp_path / "a.png", pairs=root / "b.png"))
    assert not (tmp_path / "a.png").exists()


def test_without_siblings_there_is_no_second_sheet(tmp_path: Path) -> None:
    for part in range(20):
        encode_png(tmp_path / f"set/train/good/{part}.png", exposure(part, 0))
    manifest = scan(tmp_path / "set")
    checked = Checked(check(manifest), manifest)
    written = checked.write_sheets(CheckOptions(preview=tmp_path / "a.png", pairs=tmp_path / "b.png"))
    assert written == [tmp_path / "a.png"]
    assert not (tmp_path / "b.png").exists()


def test_captions_name_the_side(root: Path, report: CheckReport) -> None:
    manifest = scan(root)
    sheet = pair_sheet(manifest, report.kinship.across, report.kinship.splits)
    assert sheet.ndim == 3
    assert np.ptp(sheet) > 100
