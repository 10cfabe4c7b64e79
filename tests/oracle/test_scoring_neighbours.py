"""Neighbours against SciPy's full distance matrix in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from tests.support import PlainProduct

from kizu.core.errors import ScoreError
from kizu.core.types import F32, I64
from kizu.scoring import measured, neighbours
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


PRODUCTS = {"floats": None, "8 bits": PlainProduct(127), "7 bits": PlainProduct(64)}
by_every_product = pytest.mark.parametrize("by", PRODUCTS)


def measure_all(x: F32, vectors: F32) -> tuple[F32, I64]:
    """Every distance from its own difference (in float64, then rounded), and the first of the shortest."""
    full = np.array([np.linalg.norm(vectors.astype(np.float64) - row, axis=1) for row in x])
    return full.min(axis=1).astype(np.float32), full.argmin(axis=1)


def check(x: F32, vectors: F32, by: str) -> None:
    """The distance is the least there is, to float32 rounding, and that of the vector that is named."""
    distances, indices = nearest(x, build_bank(vectors, PRODUCTS[by]), 1)
    expected, _ = measure_all(x, vectors)
    own = np.linalg.norm(vectors[indices[:, 0]].astype(np.float64) - x, axis=1)
    np.testing.assert_allclose(distances[:, 0], expected, rtol=1e-6, atol=1e-45)
    np.testing.assert_allclose(distances[:, 0], own, rtol=1e-6, atol=1e-45)


def clusters(count: int, size: int, dims: int, spread: float, *, apart: float = 10, seed: int = 0) -> F32:
    rng = np.random.default_rng(seed)
    centres = np.repeat(apart * rng.normal(size=(count, dims)), size, axis=0)
    return (centres + spread * rng.normal(size=centres.shape)).astype(np.float32)


@by_every_product
@pytest.mark.parametrize("spread", [0.1, 1e-3, 1e-5, 0.0])
@pytest.mark.parametrize("dims", [3, 152])
def test_in_tight_clusters_every_vector_is_its_own_nearest(by: str, spread: float, dims: int) -> None:
    """Products of float32 cannot tell such vectors apart: all that they leave must be measured."""
    vectors = clusters(20, 60, dims, spread)
    distances, indices = nearest(vectors, build_bank(vectors, PRODUCTS[by]), 1)
    assert (distances == 0).all()
    same = np.unique(vectors, axis=0, return_index=True, return_inverse=True)
    assert (indices[:, 0] == same[1][same[2].reshape(-1)]).all()  # of equals the first
    check(clusters(20, 4, dims, spread, seed=0) + np.float32(spread / 3), vectors, by)


@by_every_product
@pytest.mark.parametrize(
    "scale", [1e-42, 1e-38, 1e-30, 1e-22, 1e-12, 1e-4, 1e4, 1e12, 1e17, 1e19, 1e30, 1e37]
)
def test_vectors_of_any_size_have_their_true_nearest(by: str, scale: float) -> None:
    rng = np.random.default_rng(0)
    x, vectors = (
        (scale * np.clip(rng.normal(size=(rows, 12)), -3, 3)).astype(np.float32) for rows in (60, 700)
    )
    check(x, vectors, by)
    distances, indices = nearest(vectors, build_bank(vectors, PRODUCTS[by]), 1)
    assert (distances == 0).all()
    assert (indices[:, 0] == measure_all(vectors, vectors)[1]).all()


@by_every_product
def test_small_differences_of_large_vectors_and_far_queries_are_measured(by: str) -> None:
    rng = np.random.default_rng(1)
    vectors = np.zeros((900, 10), np.float32)
    vectors[:, 0], vectors[:, 1] = 1e19, 1e-30 * rng.integers(1, 9, 900)
    check(vectors[:40] * np.float32(1), vectors, by)
    ordinary = rng.normal(size=(900, 10)).astype(np.float32)
    for far in (1e6, 1e15, 1e20, 1e30):
        check(ordinary[:20] * np.float32(far), ordinary, by)


@by_every_product
def test_distances_beyond_float32_are_refused(by: str) -> None:
    vectors = np.full((5, 8), 3e38, np.float32)
    assert nearest(vectors, build_bank(vectors, PRODUCTS[by]), 1)[0].tolist() == [[0]] * 5
    with pytest.raises(ScoreError, match="too large"):
        nearest(-vectors, build_bank(vectors, PRODUCTS[by]), 1)
    with pytest.raises(ScoreError, match="too large"):
        nearest(-vectors, build_bank(vectors), 2)


@by_every_product
def test_one_vector_is_the_nearest_to_all(by: str) -> None:
    for value in (0.0, 1.0, 1e19):
        bank = build_bank(np.full((1, 4), value, np.float32), PRODUCTS[by])
        distances, indices = nearest(np.full((300, 4), value + 1, np.float32), bank, 1)
        assert (indices == 0).all()
        assert distances == pytest.approx(2 if value < 1e19 else 0)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 1500),
    distinct=st.integers(1, 40),
    dims=st.integers(1, 6),
    exponent=st.integers(-8, 4),
    offset=st.sampled_from([0, 1, 100]),
    by=st.sampled_from(sorted(PRODUCTS)),
    waiting=st.sampled_from([1, 50, 2**17]),
    block=st.sampled_from([7, 100, 1024]),
    crowd=st.sampled_from([0, 3, 10**6]),
    seed=st.integers(0, 1000),
)
def test_crowds_and_equals_are_searched_whatever_is_measured_when(
    rows: int,
    distinct: int,
    dims: int,
    exponent: int,
    offset: int,
    by: str,
    waiting: int,
    block: int,
    crowd: int,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    some = (offset + 10.0**exponent * rng.normal(size=(distinct, dims))).astype(np.float32)
    vectors = some[rng.integers(0, distinct, rows)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measured, "WAITING", waiting)
        patch.setattr(measured, "CROWD", crowd)
        patch.setattr(neighbours, "VECTORS", block)
        distances, indices = nearest(some, build_bank(vectors, PRODUCTS[by]), 1)
    expected, first = measure_all(some, vectors)
    assert distances[:, 0] == pytest.approx(expected, rel=1e-6, abs=0)
    present = expected == 0
    assert (indices[present, 0] == first[present]).all()


def test_every_product_finds_the_same_to_the_last_bit() -> None:
    x, vectors = image_like(700, 1), np.concatenate([image_like(2500, 2), clusters(5, 200, 60, 1e-4)])
    expected = nearest(x, build_bank(vectors), 1)
    for product in (PlainProduct(127), PlainProduct(64)):
        found = nearest(x, build_bank(vectors, product), 1)
        assert np.array_equal(found[0], expected[0])
        assert np.array_equal(found[1], expected[1])
    many = nearest(x, build_bank(vectors), 3)
    assert np.array_equal(many[0][:, :1], expected[0])
    assert np.array_equal(many[1][:, :1], expected[1])
