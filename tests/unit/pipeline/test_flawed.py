"""Flawed images on their way to a fit: which part of each patch is flawed, and that copies get different flaws."""

import numpy as np
import pytest
from tests.support import part_picture

from kizu.data.defects.shares import patch_shares
from kizu.imaging.placement import PlacementConfig
from kizu.pipeline.flawed import TilePainter, cut_both


def test_shares_are_means_over_the_pixels_of_each_patch() -> None:
    share = np.random.default_rng(0).random((2, 12, 20)).astype(np.float32)
    expected = share.reshape(2, 3, 4, 5, 4).mean(axis=(2, 4))
    assert patch_shares(share, (3, 5)) == pytest.approx(expected, rel=1e-5)
    assert patch_shares(np.ones((1, 10, 10), np.float32), (3, 7)) == pytest.approx(1)


def test_shares_keep_the_area_where_patches_do_not_divide_the_image() -> None:
    share = np.random.default_rng(0).random((1, 11, 13)).astype(np.float32)
    assert patch_shares(share, (3, 4)).mean() == pytest.approx(share.mean(), rel=1e-5)


def test_an_image_that_nobody_drew_stays_unknown() -> None:
    assert np.isnan(patch_shares(np.full((1, 8, 8), np.nan, np.float32), (2, 2))).all()


def test_copies_of_an_image_get_different_flaws_and_the_same_seed_the_same() -> None:
    images = np.stack([part_picture(0)] * 3)
    one, same, other = (TilePainter(seed).paint(images) for seed in (0, 0, 1))
    assert np.array_equal(one[0], same[0])
    assert not np.array_equal(one[0], other[0])
    assert len({image.tobytes() for image in one[0]}) == 3
    changed = (one[0] != images).any(axis=3)
    assert changed.any(axis=(1, 2)).all()
    assert (images == part_picture(0)).all()


def test_tiles_take_their_part_of_the_mask() -> None:
    placement = PlacementConfig(image_size=(32, 32), resize=(32, 64), tile_overlap=0.0)
    images = np.zeros((2, 32, 64, 3), np.uint8)
    share = np.zeros((2, 32, 64), np.float32)
    share[0, :, 40:] = 1
    share[1] = np.nan
    tiles, marked = cut_both(images, share, placement)
    assert tiles.shape == (4, 32, 32, 3)
    assert marked[0].max() == 0
    assert marked[1].mean() == pytest.approx(0.75)
    assert np.isnan(marked[2:]).all()
