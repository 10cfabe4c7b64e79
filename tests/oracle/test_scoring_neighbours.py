"""Neighbours against SciPy's full distance matrix in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from kizu.core.types import F32
from kizu.scoring.neighbours import build_bank, nearest


def integers(rows: int, dims: int, spread: int, seed: int) -> F32:
    return np.random.default_rng(seed).integers(0, spread, size=(rows, dims)).astype(np.float32)


def image_like(rows: int, seed: int) -> F32:
    rng = np.random.default_rng(seed)
    scale = 5 / np.sqrt(1 + np.arange(60))
    return (scale * rng.normal(size=(rows, 60)) + 12).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(
    queries=st.integers(1, 40),
    bank=st.integers(1, 300),
    dims=st.integers(1, 5),
    spread=st.integers(1, 12),
    k=st.integers(1, 12),
    seed=st.integers(0, 1000),
)
def test_integers_give_exactly_the_nearest_and_the_lowest_index_among_equals(
    queries: int, bank: int, dims: int, spread: int, k: int, seed: int
) -> None:
    x, vectors = integers(queries, dims, spread, seed), integers(bank, dims, spread, seed + 1)
    k = min(k, bank)
    distances, indices = nearest(x, vectors, k)
    full = cdist(x, vectors)
    order = np.argsort(full, axis=1, kind="stable")[:, :k]
    assert indices.tolist() == order.tolist()
    assert np.array_equal(distances, np.take_along_axis(full, order, axis=1).astype(np.float32))


@pytest.mark.parametrize("k", [1, 2, 9])
@pytest.mark.parametrize(("queries", "bank"), [(1, 5000), (700, 2500), (2000, 3000)])
def test_real_numbers_give_the_nearest_within_rounding(queries: int, bank: int, k: int) -> None:
    x, vectors = image_like(queries, 1), image_like(bank, 2)
    distances, indices = nearest(x, build_bank(vectors), k)
    full = cdist(x.astype(np.float64), vectors.astype(np.float64))
    assert distances == pytest.approx(np.sort(full, axis=1)[:, :k], rel=1e-5)
    assert distances == pytest.approx(np.take_along_axis(full, indices, axis=1), rel=1e-5)


def test_ties_across_blocks_go_to_the_lowest_index() -> None:
    vectors = np.tile(integers(500, 4, 1000, 0), (7, 1))  # 3,500: more than one block
    _, indices = nearest(vectors[:500], vectors, 1)
    assert indices[:, 0].tolist() == list(range(500))
    _, indices = nearest(vectors[:3], vectors, 7)
    assert indices.tolist() == [[row + 500 * copy for copy in range(7)] for row in range(3)]
