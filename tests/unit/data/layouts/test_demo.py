"""Drawn parts: from a seed, once, among nobody else's files."""

from pathlib import Path

import pytest
from tests.support import noise

from kizu.core.errors import DataError
from kizu.core.parts import file_part
from kizu.data.layouts import demo
from kizu.imaging.codec import image_size, png_bytes

FEW = demo.DemoOptions(train=4, test_good=2, test_defect=6, side_px=48)


def test_the_same_seed_draws_the_same_bytes(tmp_path: Path) -> None:
    hashes = {
        place: demo.scan(tmp_path / place, options=FEW.model_copy(update={"seed": seed})).content_hash()
        for place, seed in (("one", 0), ("same", 0), ("other", 1))
    }
    assert hashes["one"] == hashes["same"] != hashes["other"]


def test_it_is_drawn_once(tmp_path: Path) -> None:
    first = demo.scan(tmp_path, options=FEW)
    times = [s.path.stat().st_mtime_ns for s in first.samples]
    assert [s.path.stat().st_mtime_ns for s in demo.scan(tmp_path, options=FEW).samples] == times


def test_a_half_drawn_folder_is_completed(tmp_path: Path) -> None:
    whole = demo.scan(tmp_path, options=FEW).content_hash()
    mark = tmp_path / "disc/demo.json"
    mark.write_text(mark.read_text().replace("true", "false"))
    (tmp_path / "disc/train/good/002.png").unlink()
    assert demo.scan(tmp_path, options=FEW).content_hash() == whole


def test_a_drawing_that_was_killed_at_its_first_file_or_later_is_completed_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    whole = demo.scan(tmp_path / "whole", options=FEW).content_hash()
    for half in ("demo.json", "train/good/001.png"):
        place = tmp_path / half.replace("/", " ")
        part = file_part(place / "disc" / half)
        part.parent.mkdir(parents=True)
        part.write_bytes(b"half")
        if half != "demo.json":
            mark = (tmp_path / "whole/disc/demo.json").read_text()
            (place / "disc/demo.json").write_text(mark.replace("true", "false"))
        assert demo.scan(place, options=FEW).content_hash() == whole
        assert not list(place.rglob(".*"))


def test_a_folder_of_other_parts_is_left_alone(tmp_path: Path) -> None:
    demo.scan(tmp_path, options=FEW)
    with pytest.raises(DataError, match="other options"):
        demo.scan(tmp_path, options=FEW.model_copy(update={"seed": 1}))
    strange = tmp_path / "strange/disc/train/good"
    strange.mkdir(parents=True)
    (strange / "mine.png").write_bytes(png_bytes(noise(0)))
    with pytest.raises(DataError, match="something else"):
        demo.scan(tmp_path / "strange", options=FEW)


def test_every_kind_of_flaw_is_drawn_with_its_mask(tmp_path: Path) -> None:
    manifest = demo.scan(tmp_path, options=FEW)
    assert len(manifest.train_good()) == 4
    defects = [s for s in manifest.test() if s.label == "defect"]
    assert len({s.defect for s in defects}) == 6
    assert all(s.mask_path is not None for s in defects)
    assert image_size(defects[0].path) == (48, 48)
