"""BTAD's mixture of suffixes, and MPDD as MVTec AD under its own name."""

from pathlib import Path

import pytest
from tests.support import laid_out, noise, noise_mask

from kizu.core.errors import DataError
from kizu.data.layouts import btad, mpdd, mvtec_ad
from kizu.imaging.codec import encode_png


def test_masks_are_found_by_number_whatever_the_suffixes(tmp_path: Path) -> None:
    manifest = btad.scan(laid_out(tmp_path, btad.EXAMPLE))
    masks = {s.id: s.mask_path.name for s in manifest.test() if s.mask_path}
    assert masks == {"test/ko/0000.bmp": "0000.png", "test/ko/0001.png": "0001.bmp"}
    assert (manifest.dataset, manifest.category) == ("btad", "01")
    assert {s.defect for s in manifest.test()} == {"good", "ko"}


def test_one_number_under_two_suffixes_is_ambiguous_and_refused(tmp_path: Path) -> None:
    laid_out(tmp_path, btad.EXAMPLE)
    encode_png(tmp_path / "01/ground_truth/ko/0001.png", noise_mask())
    with pytest.raises(DataError, match="has two masks"):
        btad.scan(tmp_path)


def test_a_missing_mask_is_told(tmp_path: Path) -> None:
    laid_out(tmp_path, btad.EXAMPLE)
    (tmp_path / "01/ground_truth/ko/0000.png").unlink()
    assert btad.scan(tmp_path).notes == ("defects without a mask: 1 (test/ko/0000.bmp)",)


def test_one_of_three_categories_must_be_chosen(tmp_path: Path) -> None:
    laid_out(tmp_path, btad.EXAMPLE)
    encode_png(tmp_path / "02/train/ok/0000.png", noise(1))
    with pytest.raises(DataError, match="several categories"):
        btad.scan(tmp_path)
    assert btad.scan(tmp_path, "01").category == "01"
    with pytest.raises(DataError, match="no 04/train/ok"):
        btad.scan(tmp_path, "04")


def test_mpdd_is_listed_as_mvtec_ad_is_under_its_own_name(tmp_path: Path) -> None:
    manifest = mpdd.scan(laid_out(tmp_path, mpdd.EXAMPLE))
    assert manifest.dataset == "mpdd"
    assert manifest.samples == mvtec_ad.scan(tmp_path).samples
    assert sum(s.mask_path is not None for s in manifest.test()) == 2
