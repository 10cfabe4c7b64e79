"""Any folders: their names say what is in them, or the options do."""

import shutil
from pathlib import Path

import pytest
from tests.support import laid_out, noise, noise_mask

from kizu.core.errors import ConfigError, DataError
from kizu.data.layouts import LAYOUTS, folder
from kizu.imaging.codec import encode_png


def test_a_folder_of_images_is_a_folder_of_good_images(tmp_path: Path) -> None:
    for n in range(3):
        encode_png(tmp_path / f"{n}.png", noise(n))
    encode_png(tmp_path / "more/9.png", noise(9))
    manifest = folder.scan(tmp_path)
    assert [s.id for s in manifest.train_good()] == ["0.png", "1.png", "2.png", "more/9.png"]
    assert manifest.test() == ()
    assert manifest.category == tmp_path.name


def test_names_of_folders_say_what_is_in_them(tmp_path: Path) -> None:
    (laid_out(tmp_path, folder.EXAMPLE) / "archive").mkdir()
    bad = {s.id: s for s in folder.scan(tmp_path).samples if s.label == "defect"}
    assert bad["NG/1.png"].defect == "defect"
    assert bad["NG/1.png"].mask_path is None
    assert bad["NG/dent/1.png"].defect == "dent"
    assert bad["NG/dent/1.png"].mask_path == (tmp_path / "masks/dent/1_mask.png").resolve()


def test_without_bad_images_all_good_ones_are_for_training(tmp_path: Path) -> None:
    laid_out(tmp_path, folder.EXAMPLE)
    shutil.rmtree(tmp_path / "NG")
    assert len(folder.scan(tmp_path).train_good()) == 9
    assert folder.scan(tmp_path).test() == ()


def test_folders_may_be_named_and_lie_anywhere(tmp_path: Path) -> None:
    for n in range(5):
        encode_png(tmp_path / f"line 1/fine/{n}.png", noise(n))
    encode_png(tmp_path / "elsewhere/7.png", noise(7))
    encode_png(tmp_path / "painted/7.png", noise_mask())
    options = folder.FolderOptions(
        good_dir=Path("fine"),
        bad_dir=tmp_path / "elsewhere",
        mask_dir=Path("../painted"),
        test_fraction=0.4,
    )
    manifest = folder.scan(tmp_path / "line 1", options=options)
    assert len(manifest.train_good()) == 3
    assert len(manifest.test()) == 3
    (bad,) = [s for s in manifest.samples if s.label == "defect"]
    assert bad.mask_path == (tmp_path / "painted/7.png").resolve()


def test_naming_only_bad_images_or_a_missing_folder_is_refused(tmp_path: Path) -> None:
    laid_out(tmp_path, folder.EXAMPLE)
    with pytest.raises(DataError, match="need good_dir"):
        folder.scan(tmp_path, options=folder.FolderOptions(bad_dir=Path("NG")))
    with pytest.raises(DataError, match="fine does not exist") as caught:
        folder.scan(tmp_path, options=folder.FolderOptions(good_dir=Path("fine")))
    assert "NG, good, masks" in (caught.value.hint or "")


def test_one_good_image_is_listed_and_stays_for_training(tmp_path: Path) -> None:
    encode_png(tmp_path / "ok/1.png", noise(1))
    encode_png(tmp_path / "ng/2.png", noise(2))
    assert len(folder.scan(tmp_path).train_good()) == 1


def test_a_category_is_a_folder_below_the_root(tmp_path: Path) -> None:
    laid_out(tmp_path / "part", folder.EXAMPLE)
    manifest = folder.scan(tmp_path, "part")
    assert manifest.category == "part"
    assert len(manifest) == 11


def test_options_reach_the_layout_and_unknown_ones_are_named(tmp_path: Path) -> None:
    for number in range(2):
        encode_png(tmp_path / f"passed/{number}.png", noise(number))
    assert len(LAYOUTS["folder"](tmp_path, None, {"good_dir": "passed"}).train_good()) == 2
    with pytest.raises(ConfigError, match="did you mean 'good_dir'"):
        LAYOUTS["folder"](tmp_path, None, {"good_dirr": "passed"})
