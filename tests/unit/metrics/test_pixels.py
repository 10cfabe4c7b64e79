from collections.abc import Sequence

import numpy as np
import pytest

from kizu.core.errors import ConfigError, DataError, ScoreError
from kizu.metrics.decisions import Confusion
from kizu.metrics.overlap import aupro
from kizu.metrics.pixels import pixel_confusions, rank_pixels, total
from kizu.metrics.undefined import Undefined

MASK = np.array([[True, False], [False, False]])
MAP = np.array([[2, 1], [1, 0]], np.float32)


class Lazy(Sequence):
    """Reads an image anew each time, and counts."""

    def __init__(self, images):
        self.images, self.reads = images, [0] * len(images)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        image = self.images[index].copy()
        self.reads[index] += 1
        return image


def test_maps_of_good_images_are_read_once_and_others_twice():
    maps, masks = Lazy([MAP, MAP / 2]), Lazy([MASK, ~MASK & False])
    rank_pixels(maps, masks)
    assert maps.reads == [2, 1]


def test_stacked_arrays_are_sequences_too():
    assert aupro(np.stack([MAP, MAP]), np.stack([MASK, MASK]), 0.3) == 1


def test_maps_are_not_changed():
    scores = np.array([[3, 1, 2, 0]], np.float32)
    rank_pixels([scores], [np.array([[True, False, False, False]])])
    assert scores.tolist() == [[3, 1, 2, 0]]


def test_diagonal_neighbours_are_one_region():
    mask = np.array([[1, 0, 0, 0], [0, 1, 0, 1]], bool)
    scores = np.where(mask, [[9, 0, 0, 0], [0, 0, 0, 9]], 5).astype(np.float32)
    gain = rank_pixels([scores], [mask]).overlap_gain
    assert gain.tolist() == [1.5, 0.5]  # half of one region and the whole of the other, then the rest


def test_a_small_region_weighs_as_much_as_a_large_one():
    mask = np.array([[1, 1, 1, 1, 0, 1, 0, 0]], bool)
    scores = np.array([[9, 9, 9, 9, 5, 0, 5, 5]], np.float32)
    assert aupro([scores], [mask], 1.0) == pytest.approx(0.5)


@pytest.mark.parametrize(("fill", "reason"), [(False, "no defective pixels"), (True, "no good pixels")])
def test_masks_of_one_kind_alone_leave_aupro_undefined(fill, reason):
    with pytest.raises(Undefined, match=reason):
        aupro([MAP], [np.full((2, 2), fill)], 0.3)


def test_no_images_leave_aupro_undefined():
    with pytest.raises(Undefined):
        aupro([], [], 0.3)


@pytest.mark.parametrize("limit", [0.0, -0.3, 1.01])
def test_a_limit_outside_its_range_is_refused(limit):
    with pytest.raises(ConfigError):
        aupro([MAP], [MASK], limit)


@pytest.mark.parametrize("mask", [MASK, ~MASK & False])
def test_a_map_value_that_is_not_finite_is_named(mask):
    bad = MAP.copy()
    bad[1, 0] = np.nan
    with pytest.raises(ScoreError, match=r"map 1 is nan at pixel \(y=1, x=0\)"):
        rank_pixels([MAP, bad], [MASK, mask])


@pytest.mark.parametrize("measure", [rank_pixels, lambda maps, masks: pixel_confusions(maps, masks, 0.5)])
def test_maps_and_masks_that_do_not_match_are_refused(measure):
    with pytest.raises(DataError, match=r"map 1 has shape \(2, 2\) but its mask has shape \(2, 3\)"):
        measure([MAP, MAP], [MASK, np.zeros((2, 3), bool)])
    with pytest.raises(DataError, match="2 maps but 1 masks"):
        measure([MAP, MAP], [MASK])
    with pytest.raises(DataError, match="mask 0 must be boolean"):
        measure([MAP], [MASK.astype(np.uint8)])


def test_pixels_of_all_images_are_decided_by_one_threshold():
    masks = [MASK, ~MASK & False]
    assert total(pixel_confusions([MAP, MAP], masks, 0.5)) == Confusion(tp=1, fp=5, tn=2, fn=0, noun="pixels")


def test_a_field_of_thresholds_decides_each_pixel_by_its_own():
    field = np.full_like(MAP, 0.5)
    assert pixel_confusions([MAP], [MASK], [field]) == pixel_confusions([MAP], [MASK], 0.5)
    blind = np.where(MASK, np.inf, -np.inf).astype(MAP.dtype)
    assert total(pixel_confusions([MAP], [MASK], [blind])).tp == 0
