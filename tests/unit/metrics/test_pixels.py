from collections.abc import Sequence

import numpy as np
import pytest

from kizu.core.errors import ConfigError, DataError, ScoreError
from kizu.metrics import pixels
from kizu.metrics.decisions import Confusion
from kizu.metrics.overlap import aupro
from kizu.metrics.pixels import of_submitted_maps, pixel_confusions, rank_pixels, total
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
    with pytest.raises(ConfigError, match=rf"in \(0, 1\], got {limit}"):
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


def test_scores_fall_and_every_count_is_of_its_own_score():
    maps = [np.array([[5, 4, 3], [2, 1, 0]], np.float32)]
    masks = [np.array([[True, False, True], [False, True, False]])]
    found = rank_pixels(maps, masks).ranking
    assert found.scores.tolist() == [5, 3, 1]
    assert found.hits.tolist() == [1, 1, 1]
    assert found.alarms_above.tolist() == found.alarms.tolist() == [0, 1, 2]
    assert (found.defective, found.good, found.noun) == (3, 3, "pixels")


def test_what_is_counted_is_named_where_it_is_missing():
    (counts,) = pixel_confusions([MAP], [~MASK & False], 0.5)
    with pytest.raises(Undefined, match=r"^no defective pixels$"):
        _ = counts.recall
    (submitted,) = of_submitted_maps([counts], np.array([False]))
    with pytest.raises(Undefined, match=r"^no defective pixels$"):
        _ = submitted.recall


def test_an_image_that_passes_hands_in_an_empty_map():
    counts = [Confusion(3, 2, 10, 1, "pixels"), Confusion(4, 5, 6, 7, "pixels")]
    assert of_submitted_maps(counts, np.array([True, False])) == [
        counts[0],
        Confusion(0, 0, 11, 11, "pixels"),
    ]
    with pytest.raises(ValueError, match="zip"):
        of_submitted_maps(counts, np.array([True]))


@pytest.mark.parametrize("limit", [0.05, 0.3])
def test_good_pixels_beyond_the_limit_are_left_out_of_the_sort(limit, monkeypatch):
    """What makes the strict metric fast: the pieces that are sorted hold little more than the part asked about."""
    rng = np.random.default_rng(0)
    maps = [rng.random((200, 300)).astype(np.float32) for _ in range(3)]
    masks = [np.zeros((200, 300), bool) for _ in maps]
    masks[0][:10, :10] = True
    sorted_px = []
    count = pixels.count_alarms
    monkeypatch.setattr(
        pixels,
        "count_alarms",
        lambda levels, chunks: count(levels, (sorted_px.append(c.size) or c for c in chunks)),
    )
    found = rank_pixels(maps, masks, up_to=limit)
    good = 3 * 200 * 300 - 100
    assert limit * good <= sum(sorted_px) < (1.05 * limit + 0.02) * good
    assert found.ranking.good == good


def test_chunks_are_about_as_large_as_asked_and_lose_nothing():
    pieces = [np.arange(low, low + 7.0) for low in range(0, 70, 7)]
    joined = list(pixels._chunks(iter(pieces), 20))
    assert np.concatenate(joined).tolist() == list(np.arange(70.0))
    assert [chunk.size for chunk in joined] == [21, 21, 21, 7]
