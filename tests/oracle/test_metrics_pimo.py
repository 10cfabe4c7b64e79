"""AUPIMO against the published vectors and against a slow reading of its definition."""

import numpy as np
import pytest

from kizu.core.errors import ConfigError, ScoreError
from kizu.metrics.pimo import aupimo, pimos
from kizu.metrics.undefined import Undefined

COUNTS = (1, 9, 90, 900, 9_000, 90_000, 900_000)


@pytest.fixture(scope="module")
def published() -> np.ndarray:
    """Scores 7 to 1 on ever more pixels: the shared rate at them is 1e-6, 1e-5, ... 1."""
    return np.repeat(np.arange(7, 0, -1, dtype=np.float32), COUNTS).reshape(1000, 1000)


@pytest.mark.parametrize(
    ("bounds", "everywhere", "highest"),
    [((1e-1, 1), 0.55, 1.0), ((1e-5, 1e-4), 5.5e-5, 5.5e-4)],
)
def test_the_published_vectors(
    published: np.ndarray, bounds: tuple[float, float], everywhere: float, highest: float
) -> None:
    good = np.zeros((1000, 1000), dtype=bool)
    first = good.copy()
    first.ravel()[:100_000] = True
    found = pimos([published] * 4, [good, ~good, first, good], bounds)
    assert found == pytest.approx([everywhere, highest], rel=1e-9)


def slow(maps: list[np.ndarray], masks: list[np.ndarray], low: float, high: float) -> float:
    """Each curve walked point by point over all scores of good pixels."""
    good = [m for m, mask in zip(maps, masks, strict=True) if not mask.any()]
    levels = np.unique(np.concatenate([m.ravel() for m in good]))[::-1]
    rates = np.log([np.mean([(m >= level).mean() for m in good]) for level in levels])
    areas = []
    for anomaly_map, mask in zip(maps, masks, strict=True):
        if not mask.any():
            continue
        scores = anomaly_map[mask]
        grid = np.linspace(np.log(low), np.log(high), 20_001)
        heights = []
        for x in (grid[:-1] + grid[1:]) / 2:
            k = int(np.searchsorted(rates, x))
            before, at = (scores > levels[k]).mean(), (scores >= levels[k]).mean()
            if k == 0:
                heights.append(before)
            else:
                share = (x - rates[k - 1]) / (rates[k] - rates[k - 1])
                heights.append(before + share * (at - before))
        areas.append(np.mean(heights))
    return float(np.mean(areas))


def drawn(seed: int, ties: bool) -> tuple[list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    maps, masks = [], []
    for index in range(8):
        shape = (20 + index, 30)
        scores = rng.normal(size=shape)
        mask = np.zeros(shape, dtype=bool)
        if index % 2:
            mask[3:9, 4:12] = True
            scores[mask] += 2
        maps.append((np.round(scores, 1) if ties else scores).astype(np.float64))
        masks.append(mask)
    return maps, masks


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("bounds", [(1e-2, 1e-1), (1e-4, 1e-2), (0.2, 1.0)])
def test_it_is_the_area_by_definition(ties: bool, bounds: tuple[float, float]) -> None:
    maps, masks = drawn(0, ties)
    assert aupimo(maps, masks, bounds) == pytest.approx(slow(maps, masks, *bounds), abs=2e-4)


def test_it_is_a_metric_of_ranks_and_of_no_order() -> None:
    maps, masks = drawn(1, ties=True)
    expected = aupimo(maps, masks, (1e-3, 1e-1))
    assert aupimo([97 + 3 * m for m in maps], masks, (1e-3, 1e-1)) == pytest.approx(expected, rel=1e-12)
    assert aupimo(maps[::-1], masks[::-1], (1e-3, 1e-1)) == pytest.approx(expected, rel=1e-12)


def test_one_good_pixel_may_be_the_whole_upper_bound_and_all_may_be_alike() -> None:
    """Up to the first good score the curve is what is found above it."""
    good, flawed, mask = np.zeros((8, 8)), np.zeros((8, 8)), np.zeros((8, 8), dtype=bool)
    flawed[0, :3], mask[0, :4] = 2, True
    masks = [np.zeros_like(mask), mask]
    assert aupimo([good, flawed], masks, (0.1, 1)) == pytest.approx(0.75)
    good[5, 5] = 1
    assert aupimo([good, flawed], masks, (1e-3, 1 / 64)) == pytest.approx(0.75)
    with pytest.raises(Undefined, match="one good pixel is more"):
        aupimo([good, flawed], masks, (1e-3, 0.99 / 64))


def test_what_cannot_be_told_has_a_reason() -> None:
    maps, masks = drawn(2, ties=False)
    with pytest.raises(Undefined, match=r"^no defective pixels$"):
        aupimo(maps[::2], masks[::2])
    with pytest.raises(Undefined, match=r"^no good images$"):
        aupimo(maps[1::2], masks[1::2])
    with pytest.raises(Undefined, match="one good pixel is more"):
        aupimo(maps, masks, (1e-6, 1e-5))
    for bounds in ((1e-2, 1e-3), (1e-2, 1e-2), (0, 1e-2), (0.1, 1.5)):
        with pytest.raises(ConfigError, match="0 < low < high <= 1, got"):
            aupimo(maps, masks, bounds)
    maps[0][2, 2] = np.nan
    with pytest.raises(ScoreError, match="map 0"):
        aupimo(maps, masks, (1e-2, 1e-1))
