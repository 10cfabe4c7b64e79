"""Covering radii and continued picks against plain loops over all distances."""

import numpy as np
import pytest

from kizu.core.errors import ConfigError
from kizu.core.types import F32
from kizu.scoring.coreset import greedy_k_centre
from kizu.scoring.covering import continue_picks, radius_of_picks
from kizu.scoring.neighbours import build_bank


def points(count: int, dims: int = 5, seed: int = 0) -> F32:
    return np.random.default_rng(seed).normal(size=(count, dims)).astype(np.float32)


def distances(x: F32, picks: F32) -> np.ndarray:
    """(N,) to the nearest pick, in float64."""
    return np.linalg.norm(x[:, None].astype(np.float64) - picks[None], axis=2).min(axis=1)


@pytest.mark.parametrize("count", [2, 7, 40])
def test_the_last_picks_distance_bounds_that_of_every_point(count: int) -> None:
    x = points(300)
    picks = x[greedy_k_centre(x, count, first=3)]
    radius = radius_of_picks(picks)
    assert distances(x, picks).max() <= radius * (1 + 1e-6)
    # What the last pick was picked for, and what products round.
    assert radius == pytest.approx(distances(x, picks[:-1]).max(), rel=1e-4)


@pytest.mark.parametrize("count", [30, 100, 900])
@pytest.mark.parametrize("spread", [0.1, 1e-3, 1e-6])
def test_the_bound_holds_in_clusters_that_products_cannot_tell_apart(spread: float, count: int) -> None:
    rng = np.random.default_rng(0)
    centres = np.repeat(10 * rng.normal(size=(20, 30)), 50, axis=0)
    x = (centres + spread * rng.normal(size=centres.shape)).astype(np.float32)
    picks = x[greedy_k_centre(x, count, first=0)]
    assert distances(x, picks).max() <= radius_of_picks(picks)


def literal(x: F32, bank: F32, radius: float, most: int) -> list[int]:
    """The text of the promise, step by step."""
    picks: list[int] = []
    while len(picks) < most:
        left = distances(x, np.concatenate([bank, x[picks]]))
        if left.max() <= radius:
            break
        picks.append(int(left.argmax()))
    return picks


@pytest.mark.parametrize(("radius", "most"), [(0.0, 10), (1.2, 1000), (1.2, 4), (99.0, 5)])
def test_continued_picks_are_the_literal_ones(radius: float, most: int) -> None:
    bank, x = points(20), 1.5 * points(80, seed=1)
    picks, left = continue_picks(x, build_bank(bank), radius=radius, most=most)
    assert picks.tolist() == literal(x, bank, radius, most)
    assert left == pytest.approx(distances(x, np.concatenate([bank, x[picks]])).max(), rel=1e-5)
    if most == 1000:
        assert left <= radius


@pytest.mark.parametrize("spread", [1e-3, 1e-1])
def test_continued_picks_are_the_literal_ones_in_tight_clusters_far_away(spread: float) -> None:
    """Where a product of float32 tells nothing, differences do."""
    centres = 1000 + 100 * points(5, seed=2)
    x = (np.repeat(centres, 40, axis=0) + spread * points(200, seed=3)).astype(np.float32)
    bank = (centres[:3] + spread * points(3, seed=4)).astype(np.float32)
    picks, left = continue_picks(x, build_bank(bank), radius=0.0, most=60)
    assert picks.tolist() == literal(x, bank, 0.0, 60)
    assert left == pytest.approx(distances(x, np.concatenate([bank, x[picks]])).max(), rel=1e-5)


def test_what_is_covered_already_adds_nothing_and_copies_end_it() -> None:
    bank = points(20)
    picks, left = continue_picks(bank[::2], build_bank(bank), radius=0.0, most=10)
    assert (len(picks), left) == (0, 0.0)
    picks, left = continue_picks(np.full((9, 5), 7, np.float32), build_bank(bank), radius=0.0, most=9)
    assert (picks.tolist(), left) == ([0], 0.0)


def test_one_pick_does_not_tell() -> None:
    with pytest.raises(ConfigError):
        radius_of_picks(points(1))
