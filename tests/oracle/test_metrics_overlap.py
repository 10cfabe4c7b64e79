"""AU-PRO against its definition, read out word by word."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kizu.metrics import pixels
from kizu.metrics.overlap import aupro, aupro_of

LIMITS = (0.05, 0.30, 1 / 3, 1.0)


def aupros(maps, masks, limits=LIMITS):
    """As the suite has them: ranked once, for several limits."""
    ranked = pixels.rank_pixels(maps, masks, up_to=max(limits))
    return {limit: aupro_of(ranked, limit) for limit in limits}


def regions_by_flooding(mask):
    """Lists of the (y, x) of each 8-connected region."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    regions = []
    while left:
        found, front = [], [left.pop()]
        while front:
            y, x = front.pop()
            found.append((y, x))
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            front.extend(near)
        regions.append(found)
    return regions


def curve_by_thresholds(maps, masks):
    """(rate, overlap) at every distinct score, falling, from (0, 0)."""
    good = np.concatenate([scores[~mask] for scores, mask in zip(maps, masks, strict=True)])
    regions = [
        np.array([scores[place] for place in region])
        for scores, mask in zip(maps, masks, strict=True)
        for region in regions_by_flooding(mask)
    ]
    levels = np.unique(np.concatenate([scores.ravel() for scores in maps]))[::-1]
    return [(0.0, 0.0)] + [
        (np.mean(good >= level), np.mean([np.mean(region >= level) for region in regions]))
        for level in levels
    ]


def aupro_by_thresholds(maps, masks, limit):
    area = 0.0
    for (x0, y0), (x1, y1) in pairwise(curve_by_thresholds(maps, masks)):
        if x0 < limit < x1:
            x1, y1 = limit, y0 + (y1 - y0) * (limit - x0) / (x1 - x0)
        if x1 <= limit:
            area += (x1 - x0) * (y0 + y1) / 2
    return area / limit


@st.composite
def defect_maps(draw):
    """One to five maps of mixed sizes with speckled masks, some empty; scores with many ties or with none."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shapes = draw(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=5))
    density = draw(st.sampled_from([0.05, 0.2, 0.6]))
    levels = draw(st.sampled_from([1, 3, 12, None]))
    maps, masks = [np.zeros((2, 2), np.float32)], [np.array([[True, False], [False, False]])]
    for shape in shapes:
        mask = (rng.random(shape) < density) & (rng.random() < 0.7)
        scores = rng.standard_normal(shape) if levels is None else rng.integers(0, levels, shape)
        maps.append((scores + 0.5 * mask).astype(np.float32))
        masks.append(mask)
    return maps, masks


@settings(max_examples=80, deadline=None, derandomize=True, database=None)
@given(defect_maps(), st.sampled_from(LIMITS))
def test_aupro_is_its_definition(case, limit):
    value = aupro(*case, limit)
    assert value == pytest.approx(aupro_by_thresholds(*case, limit), abs=1e-9)
    assert 0 <= value <= 1  # not even a rounding error beyond


@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(defect_maps())
def test_several_limits_at_once_are_each_limit_alone(case):
    assert aupros(*case) == {limit: aupro(*case, limit) for limit in LIMITS}


@pytest.mark.parametrize("seed", range(20))
def test_perfect_maps_give_exactly_one(seed):
    rng = np.random.default_rng(seed)
    masks = [rng.random((13, 17)) < 0.2 for _ in range(3)]
    maps = [rng.random(mask.shape).astype(np.float32) + 1.5 * mask for mask in masks]
    assert aupros(maps, masks) == dict.fromkeys(LIMITS, 1.0)


def test_chunks_do_not_change_the_result(monkeypatch):
    rng = np.random.default_rng(0)
    maps = [rng.integers(0, 50, (20, 30)).astype(np.float32) for _ in range(6)]
    masks = [rng.random((20, 30)) < 0.02 * (index % 2) for index in range(6)]
    whole = aupros(maps, masks)
    monkeypatch.setattr(pixels, "SMALLEST_CHUNK_PX", 700)
    assert aupros(maps, masks) == whole


@pytest.mark.parametrize("sampled_px", [1, 40, 1 << 17])
def test_a_sample_of_any_luck_gives_the_same_area(monkeypatch, sampled_px):
    rng = np.random.default_rng(3)
    maps = [rng.standard_normal((20, 30)).astype(np.float32) + 2 * (index == 0) for index in range(6)]
    masks = [rng.random((20, 30)) < 0.05 for _ in range(6)]
    monkeypatch.setattr(pixels, "SAMPLED_PX", sampled_px)
    assert aupro(maps, masks, 0.2) == pytest.approx(aupro_by_thresholds(maps, masks, 0.2), abs=1e-9)


def test_a_floor_that_leaves_too_few_good_pixels_is_taken_back(monkeypatch):
    rng = np.random.default_rng(4)
    maps = [rng.standard_normal((20, 30)).astype(np.float32) for _ in range(3)]
    masks = [rng.random((20, 30)) < 0.05 for _ in range(3)]
    monkeypatch.setattr(pixels, "_floor", lambda *_: 2.5)
    assert aupro(maps, masks, 0.3) == pytest.approx(aupro_by_thresholds(maps, masks, 0.3), abs=1e-9)


def test_raw_distances_do_not_saturate():
    rng = np.random.default_rng(1)
    maps = [(rng.integers(0, 1000, (16, 16)) / 64).astype(np.float32) for _ in range(4)]
    masks = [rng.random((16, 16)) < 0.1 for _ in range(4)]
    moved = [(97 + 3 * scores).astype(np.float32) for scores in maps]
    assert aupros(moved, masks) == aupros(maps, masks)


@pytest.mark.parametrize("row", [[0, 0, 0, 1, 0, 0, 0], [0, 1, 0, 1, 0, 1, 0]])
def test_a_score_blind_to_the_defect_covers_regions_as_fast_as_background(row):
    mask = np.array([row] * 400, bool)
    scores = (np.arange(2800) / 2800).reshape(400, 7)
    assert aupro([scores], [mask], 1 / 3) == pytest.approx(1 / 6, abs=1e-3)
    one_row_each = ([scores[i : i + 1] for i in range(400)], [mask[i : i + 1] for i in range(400)])
    assert aupro(*one_row_each, 1 / 3) == pytest.approx(1 / 6, abs=1e-3)
