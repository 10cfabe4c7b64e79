"""A scale is chosen once, from the good pictures, where they are deeper than 8 bits; from then on it holds."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from tests.support import part_picture, run_config, with_flaw

import kizu
from kizu.core.errors import ImageError
from kizu.core.work import Work
from kizu.data.batches import place_source
from kizu.data.check import check
from kizu.data.depth import with_scale
from kizu.data.layouts import mvtec_ad
from kizu.data.manifest import Sample
from kizu.imaging.codec import encode_png
from kizu.imaging.placement import PlacementConfig
from kizu.imaging.scale import Scale
from kizu.lab.train import train_run
from kizu.release.export import export_run

SMALL = PlacementConfig(image_size=(64, 64))


def thermal(number: int) -> np.ndarray:
    return (29815 + 4 * np.random.default_rng(number).standard_normal((64, 80))).astype(np.uint16)


def samples(folder: Path, count: int = 12) -> list[Sample]:
    for number in range(count):
        tifffile.imwrite(folder / f"{number}.tif", thermal(number))
    return [Sample(f"{number}.tif", folder / f"{number}.tif") for number in range(count)]


def test_8_bit_pictures_have_no_scale_and_keep_the_placement(tmp_path: Path) -> None:
    encode_png(tmp_path / "a.png", np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8))
    assert with_scale(SMALL, [tmp_path / "a.png"] * 3) is SMALL
    assert with_scale(SMALL, []) is SMALL


def test_deep_ones_get_theirs_which_is_told_and_one_that_is_set_stays(tmp_path: Path) -> None:
    notes: list[str] = []
    found = with_scale(SMALL, samples(tmp_path), Work(on_note=notes.append))
    assert found.scale is not None
    assert found.scale.depth == "uint16"
    assert 29700 < found.scale.low < 29815 < found.scale.high < 29900
    assert len(notes) == 1
    assert "levels" in notes[0]
    assert with_scale(found, [thermal(1) * 2]) is found


def test_a_broken_picture_does_not_stop_the_choice(tmp_path: Path) -> None:
    good = samples(tmp_path)
    whole = with_scale(SMALL, good[1:])
    good[0].path.write_bytes(b"II*\0 broken")
    assert with_scale(SMALL, good) == whole


def test_pictures_of_several_depths_are_refused(tmp_path: Path) -> None:
    good = samples(tmp_path)
    encode_png(good[3].path, np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8))
    with pytest.raises(ImageError, match="uint16 and uint8"):
        with_scale(SMALL, good)


def test_what_lies_beyond_the_scale_is_told_with_the_picture() -> None:
    placement = SMALL.model_copy(update={"scale": Scale(depth="uint16", low=0, high=1000)})
    array = np.zeros((10, 10), np.uint16)
    array[:3] = 2000
    assert place_source(array, placement).beyond == pytest.approx(0.3)
    assert place_source(array // 2, placement).beyond == 0


def test_a_check_tells_which_levels_survive(tmp_path: Path) -> None:
    for number in range(20):
        path = tmp_path / f"train/good/{number}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, thermal(number).astype(np.float32))
    (tmp_path / "test/good").mkdir(parents=True)
    tifffile.imwrite(tmp_path / "test/good/0.tif", thermal(99).astype(np.float32))
    report = check(mvtec_ad.scan(tmp_path))
    assert report.problems == ()
    assert any("float32" in note and "levels" in note for note in report.notes)


def test_a_flaw_is_scored_the_same_in_8_and_more_bits_and_in_files_and_arrays(tmp_path: Path) -> None:
    good = [part_picture(number) for number in range(12)]
    flawed = with_flaw(good[-1], 20, 30)
    forms = {
        "12 in 16": lambda picture: np.rint(picture / 255.0 * 4095).astype(np.uint16),
        "16": lambda picture: picture.astype(np.uint16) * 257,
        "float": lambda picture: (picture / 255.0).astype(np.float32),
    }
    expected = kizu.fit(good[:-1]).inspect(flawed)
    assert expected.label == "NG"
    for name, form in forms.items():
        inspector = kizu.fit([form(picture) for picture in good[:-1]])
        tifffile.imwrite(tmp_path / "flawed.tif", form(flawed), photometric="rgb")
        assert inspector.manifest.placement.scale is not None
        images = [form(flawed)] if name == "float" else [form(flawed), tmp_path / "flawed.tif"]
        for image in images:
            found = inspector.inspect(image)
            assert found.threshold == pytest.approx(expected.threshold, rel=1e-6), name
            assert found.score == pytest.approx(expected.score, abs=0.005 * expected.threshold), name
        with pytest.raises(ImageError, match="uint8"):
            inspector.inspect(flawed)


def test_a_model_that_resizes_by_itself_keeps_the_scale() -> None:
    inspector = kizu.fit([part_picture(number).astype(np.uint16) * 257 for number in range(6)])
    vars(inspector)["_picture_hw"] = (64, 64)  # as of a file that was exported with its own resize
    assert inspector.placement.image_size == (64, 64)
    assert inspector.placement.scale is not None
    assert inspector.placement.scale == inspector.manifest.placement.scale


def test_a_run_and_its_exports_keep_the_scale_and_say_the_same(tmp_path: Path) -> None:
    def write(path: str, picture: np.ndarray) -> Path:
        place = tmp_path / "plate" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(place, np.rint(picture / 255.0 * 4095).astype(np.uint16), photometric="rgb")
        return place

    for number in range(10):
        write(f"train/good/{number}.tif", part_picture(number))
    good = write("test/good/20.tif", part_picture(20))
    flawed = write("test/hole/21.tif", with_flaw(part_picture(21), 20, 30))
    run = train_run(run_config(tmp_path, "plate"), tmp_path / "runs").folder
    whole = export_run(run).path
    resizing = export_run(run, picture_hw=(64, 64), output_dir=tmp_path / "resizing").path
    inspectors = [kizu.Inspector.open(path) for path in (run.path, whole, resizing)]
    assert {inspector.placement.scale for inspector in inspectors} == {
        Scale(depth="uint16", low=0, high=4095)
    }
    for picture, label in ((good, None), (flawed, "NG")):
        scores = [inspector.inspect(picture).score for inspector in inspectors]
        assert scores == pytest.approx([scores[0]] * 3, rel=1e-4)
        assert label is None or all(one.inspect(picture).label == label for one in inspectors)
