"""The coreset against the literal loop: one pass over all features for each pick."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kizu.core.types import F32
from kizu.scoring import coreset
from kizu.scoring.coreset import greedy_k_centre


def literally(features: np.ndarray, count: int, first: int) -> list[int]:
    """Greedy k-centre as it is defined, in float64; among equals the lowest index."""
    features = features.astype(np.float64)
    distances = np.full(len(features), np.inf)
    picks, pick = [], first
    for _ in range(count):
        picks.append(pick)
        distances = np.minimum(distances, ((features - features[pick]) ** 2).sum(axis=1))
        distances[pick] = -1
        pick = int(distances.argmax())
    return picks


def radii(features: np.ndarray, picks: np.ndarray) -> np.ndarray:
    """How far each pick was from those before it."""
    features = features.astype(np.float64)
    nearest = np.full(len(features), np.inf)
    result = []
    for pick in picks:
        result.append(nearest[pick])
        nearest = np.minimum(nearest, ((features - features[pick]) ** 2).sum(axis=1))
    return np.sqrt(np.array(result[1:]))


def integers(rows: int, dims: int, low: int, high: int, seed: int = 0) -> F32:
    return np.random.default_rng(seed).integers(low, high, size=(rows, dims)).astype(np.float32)


def image_like(rows: int, dims: int, seed: int = 0) -> F32:
    """Correlated and clustered, far from the origin, as convolutional features are."""
    rng = np.random.default_rng(seed)
    clusters = 5 * rng.normal(size=(9, dims))
    scale = 1 / np.sqrt(1 + np.arange(dims))
    return (clusters[rng.integers(9, size=rows)] + 3 * scale * rng.normal(size=(rows, dims)) + 7).astype(
        np.float32
    )


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes at which a few thousand points go through every branch, many times."""
    for name, value in {"ROUND_SIZE": 97, "BLOCK_SIZE": 13, "ROWS": 8, "COLUMNS": 32}.items():
        monkeypatch.setattr(coreset, name, value)


@pytest.mark.parametrize(
    ("rows", "dims", "low", "high", "count"),
    [
        (3000, 7, -20, 20, 400),  # some ties
        (3000, 3, 0, 4, 3000),  # 64 distinct points, all of them picked many times over
        (2000, 2, 0, 300, 2000),  # count == M
        (1500, 5, 3, 4, 1500),  # constant
        (4000, 16, 900, 1000, 64),  # far from the origin
        (5, 4, 0, 9, 5),
        (1, 1, 0, 9, 1),
    ],
)
def test_the_picks_are_the_literal_ones(rows: int, dims: int, low: int, high: int, count: int) -> None:
    features = integers(rows, dims, low, high)
    assert greedy_k_centre(features, count, first=rows // 2).tolist() == literally(features, count, rows // 2)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(("low", "high"), [(0, 2), (0, 5), (-50, 50)])
def test_the_picks_are_the_literal_ones_in_many_small_blocks(low: int, high: int) -> None:
    features = integers(2500, 6, low, high, seed=3)
    assert greedy_k_centre(features, 1200, first=7).tolist() == literally(features, 1200, 7)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 400),
    dims=st.integers(1, 6),
    spread=st.integers(1, 30),
    fraction=st.floats(0.01, 1),
    seed=st.integers(0, 1000),
)
def test_the_picks_are_the_literal_ones_for_any_integers(
    rows: int, dims: int, spread: int, fraction: float, seed: int
) -> None:
    features = integers(rows, dims, 0, spread, seed)
    count = max(1, int(rows * fraction))
    assert greedy_k_centre(features, count, first=seed % rows).tolist() == literally(
        features, count, seed % rows
    )


def test_on_real_numbers_each_pick_is_the_farthest_within_rounding() -> None:
    features = image_like(6000, 40)
    picks = greedy_k_centre(features, 900, first=11)
    assert len(np.unique(picks)) == 900
    expected = radii(features, np.array(literally(features, 900, 11)))
    assert radii(features, picks) == pytest.approx(expected, rel=1e-5)


def test_where_the_features_lie_does_not_matter() -> None:
    features = integers(3000, 8, 0, 40)
    moved = greedy_k_centre(features + np.float32(1000), 300, first=0)
    assert moved.tolist() == greedy_k_centre(features, 300, first=0).tolist()


def test_a_smaller_coreset_is_the_beginning_of_a_larger_one() -> None:
    features = image_like(4000, 20)
    long = greedy_k_centre(features, 800, first=5)
    assert greedy_k_centre(features, 100, first=5).tolist() == long[:100].tolist()
