"""MVTec AD 2's folders: public, private, and what the good validation images are for."""

import shutil
from pathlib import Path

import pytest
from tests.support import laid_out, noise

from kizu.core.errors import ConfigError, DataError
from kizu.core.split import Split
from kizu.data.layouts import LAYOUTS, mvtec_ad2
from kizu.data.layouts.mvtec_ad2 import list_private
from kizu.imaging.codec import encode_png


def test_splits_and_masks_come_from_the_folders(tmp_path: Path) -> None:
    samples = {s.id: s for s in mvtec_ad2.scan(laid_out(tmp_path, mvtec_ad2.EXAMPLE)).samples}
    assert len(samples) == 8 + 3 + 2 + 2
    assert samples["train/good/000_regular.png"].split is Split.TRAIN
    assert samples["validation/good/002_regular.png"].split is Split.VALIDATION
    bad = samples["test_public/bad/000_overexposed.png"]
    assert (bad.label, bad.defect, bad.split) == ("defect", "bad", Split.TEST)
    assert bad.mask_path is not None
    assert bad.mask_path.name == "000_overexposed_mask.png"
    assert samples["test_public/good/001_shift_1.png"].label == "good"


def test_private_images_are_in_no_split_and_told(tmp_path: Path) -> None:
    manifest = mvtec_ad2.scan(laid_out(tmp_path, mvtec_ad2.EXAMPLE))
    assert not any("private" in s.id for s in manifest.samples)
    assert manifest.notes == (
        "without labels, for a submission only: 2 pictures in test_private",
        "without labels, for a submission only: 2 pictures in test_private_mixed",
    )
    found = list_private(tmp_path, "can", "test_private_mixed")
    assert [s.id for s in found] == [f"test_private_mixed/{number:03}_mixed.png" for number in range(2)]
    assert all(s.label is None and s.split is None for s in found)


def test_the_validation_images_may_join_those_that_are_learned_from(tmp_path: Path) -> None:
    laid_out(tmp_path, mvtec_ad2.EXAMPLE)
    manifest = LAYOUTS["mvtec_ad2"](tmp_path, "can", {"validation": "train"})
    assert len(manifest.train_good()) == 11
    assert manifest.validation() == ()
    with pytest.raises(ConfigError, match="validation"):
        LAYOUTS["mvtec_ad2"](tmp_path, "can", {"validation": "test"})


def test_a_missing_mask_is_told_and_no_error(tmp_path: Path) -> None:
    laid_out(tmp_path, mvtec_ad2.EXAMPLE)
    (tmp_path / "can/test_public/ground_truth/bad/001_regular_mask.png").unlink()
    assert "defects without a mask: 1 (test_public/bad/001_regular.png)" in mvtec_ad2.scan(tmp_path).notes


def test_the_first_mvtec_set_is_not_taken_for_the_second(tmp_path: Path) -> None:
    encode_png(tmp_path / "bottle/train/good/000.png", noise(0))
    with pytest.raises(DataError, match="no category with train and test_public"):
        mvtec_ad2.scan(tmp_path)


@pytest.mark.parametrize("name", ["000_mixed.png", "1_regular.png", "abc_regular.png", "0000_regular.png"])
def test_a_private_image_of_another_name_is_refused(name: str, tmp_path: Path) -> None:
    laid_out(tmp_path, mvtec_ad2.EXAMPLE)
    encode_png(tmp_path / "can/test_private" / name, noise(1))
    with pytest.raises(DataError, match="is not called NNN_regular"):
        list_private(tmp_path, "can", "test_private")


def test_a_set_without_its_private_part_is_named(tmp_path: Path) -> None:
    laid_out(tmp_path, mvtec_ad2.EXAMPLE)
    shutil.rmtree(tmp_path / "can/test_private")
    assert len(mvtec_ad2.scan(tmp_path).notes) == 1
    with pytest.raises(DataError, match=r"no image in .*test_private"):
        list_private(tmp_path, "can", "test_private")
