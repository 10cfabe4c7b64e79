"""The search through integers against SciPy's full distance matrix: it must lose nothing, whatever the data."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from tests.support import PairwiseProduct, PlainProduct, plain_product

from kizu.core.types import F32
from kizu.scoring import neighbours
from kizu.scoring.neighbours import build_bank, nearest
from kizu.scoring.rounded import IntegerProduct, possible, round_bank

EIGHT, SEVEN = plain_product, PairwiseProduct(64)
"""Of 7 bits as processors multiply them that cut off what 16 bits do not hold."""
both = pytest.mark.parametrize("by", [pytest.param(EIGHT, id="8 bits"), pytest.param(SEVEN, id="7 bits")])


def check(x: F32, vectors: F32, by: IntegerProduct) -> None:
    distances, indices = nearest(x, build_bank(vectors, by), 1)
    full = cdist(x.astype(np.float64), vectors.astype(np.float64))
    assert distances[:, 0] == pytest.approx(full.min(axis=1), rel=1e-5)
    # A float64 tie is decided by float32 differences, so only the distance has to be the same.
    assert full[np.arange(len(x)), indices[:, 0]] == pytest.approx(full.min(axis=1), rel=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    queries=st.integers(1, 30),
    bank=st.integers(1, 300),
    dims=st.integers(1, 8),
    spread=st.sampled_from([1, 3, 100, 5000]),
    offset=st.sampled_from([0, 1000]),
    by=st.sampled_from([EIGHT, SEVEN]),
    seed=st.integers(0, 1000),
)
def test_integers_give_exactly_the_nearest(
    queries: int, bank: int, dims: int, spread: int, offset: int, by: IntegerProduct, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x, vectors = (
        (rng.integers(0, spread, size=(rows, dims)) + offset).astype(np.float32) for rows in (queries, bank)
    )
    distances, indices = nearest(x, build_bank(vectors, by), 1)
    full = cdist(x, vectors)
    if spread <= 100:  # squares that float32 holds exactly
        assert indices[:, 0].tolist() == full.argmin(axis=1).tolist()
        assert distances[:, 0].tolist() == full.min(axis=1).astype(np.float32).tolist()
    chosen = np.take_along_axis(full, indices, axis=1)[:, 0]
    assert chosen == pytest.approx(full.min(axis=1), rel=1e-6)
    assert distances[:, 0] == pytest.approx(chosen, rel=1e-6)


@both
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_correlated_features_of_any_scale(scale: float, by: IntegerProduct) -> None:
    rng = np.random.default_rng(1)
    falling = scale * 5 / np.sqrt(1 + np.arange(80))
    x, vectors = (
        (falling * rng.normal(size=(rows, 80)) + 3 * scale).astype(np.float32) for rows in (300, 2500)
    )
    check(x, vectors, by)


@both
def test_a_far_outlier_in_the_bank_costs_no_exactness(by: IntegerProduct) -> None:
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(2000, 30)).astype(np.float32)
    vectors[17] *= 1000
    check(rng.normal(size=(100, 30)).astype(np.float32), vectors, by)


@both
def test_queries_far_from_the_bank_get_their_true_nearest(by: IntegerProduct) -> None:
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(2000, 30)).astype(np.float32)
    for distance in (10, 1000):
        check(rng.normal(size=(60, 30)).astype(np.float32) + np.float32(distance), vectors, by)


@both
def test_the_nearest_is_always_among_the_possible(by: IntegerProduct) -> None:
    rng = np.random.default_rng(4)
    falling = 5 / np.sqrt(1 + np.arange(50))
    x, vectors = ((falling * rng.normal(size=(rows, 50))).astype(np.float32) for rows in (200, 3000))
    full = cdist(x.astype(np.float64), vectors.astype(np.float64)).astype(np.float32)
    pairs = possible(x, round_bank(vectors, by), lambda row, index: full[row, index])
    assert pairs is not None
    found = set(zip(pairs[0].tolist(), pairs[1].tolist(), strict=True))
    assert {(row, int(full[row].argmin())) for row in range(200)} <= found
    assert len(found) < 0.02 * full.size


def test_a_nearest_vector_that_integers_put_as_far_away_as_they_can_is_found() -> None:
    """All errors in one direction: the bound is met exactly, and anything less would lose the nearest.

    On the diagonal of many dimensions the query lies at 50.51 and is rounded away from the nearest, at 0.49, which is
    rounded away from it: 50.02 becomes 51. Another, 50.0201 away on the other side, becomes 50.
    """
    below, above = np.linspace(-127, -60, 600).round(), np.linspace(127, 104, 598).round()
    places = np.array([*below, 0.0, 0.49, 100.5301, *above])  # 0 is the middle one, 127 the farthest: step 1
    vectors = np.repeat(places[:, None], 400, axis=1).astype(np.float32)
    queries = np.full((1, 400), 50.51, np.float32)
    bank = round_bank(vectors, plain_product)
    assert (bank.step, bank.error) == (1, pytest.approx(0.49 * 20))
    full = cdist(queries.astype(np.float64), vectors.astype(np.float64)).astype(np.float32)
    pairs = possible(queries, bank, lambda row, index: full[row, index])
    assert full[0].argmin() == 601
    assert pairs is not None
    assert 601 in pairs[1]
    assert nearest(queries, build_bank(vectors, plain_product), 1)[1][0, 0] == 601


def test_the_same_with_vectors_of_7_bits_whose_step_is_twice_the_querys() -> None:
    """The query is rounded by 0.24 of a bank's step away from the nearest, at 0.49, and that by 0.49 away from it."""
    below, above = np.linspace(-64, -40, 600).round(), np.linspace(64, 53, 598).round()
    places = np.array([*below, 0.0, 0.49, 50.02, *above])
    vectors = np.repeat(places[:, None], 400, axis=1).astype(np.float32)
    queries = np.full((1, 400), 25.251, np.float32)  # in halves of a step 50.502: 51, or 25.5
    bank = round_bank(vectors, SEVEN)
    assert (bank.step, bank.fold, bank.error) == (0.5, 2, pytest.approx(0.49 * 20))
    full = cdist(queries.astype(np.float64), vectors.astype(np.float64)).astype(np.float32)
    assert full[0].argmin() == 601
    pairs = possible(queries, bank, lambda row, index: full[row, index])
    assert pairs is not None
    assert {601, 602} <= set(pairs[1].tolist())
    assert nearest(queries, build_bank(vectors, SEVEN), 1)[1][0, 0] == 601


def test_integers_of_7_bits_never_leave_16_bits_and_of_8_do() -> None:
    """Every pair of neighbouring products, at both ends of all their ranges; between them the sum is linear."""
    ends = np.array([(a, c, b, d) for a in (0, 255) for c in (0, 255) for b in (-64, 64) for d in (-64, 64)])
    sums = ends[:, 0] * ends[:, 2] + ends[:, 1] * ends[:, 3]
    assert sums.min() >= -(2**15)
    assert sums.max() < 2**15
    assert 255 * 65 * 2 >= 2**15
    for largest, exact in ((64, True), (65, False), (127, False)):
        matrix = np.full((8, 2), largest, np.int8)
        matrix[:, 1] = -largest
        rows = np.repeat(np.array([[0], [255]], np.uint8), 8, axis=1)
        same = PairwiseProduct(largest)(matrix)(rows) == PlainProduct(largest)(matrix)(rows)
        assert same.all() == exact


@pytest.mark.parametrize("spread", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("dims", [1, 2, 151, 152])
def test_banks_of_7_bits_stay_within_them_whatever_their_norms(dims: int, spread: float) -> None:
    """`PairwiseProduct` refuses a matrix with more, and gives other products where a sum is cut off."""
    rng = np.random.default_rng(dims)
    vectors = (spread * rng.standard_t(2, size=(1100, dims))).astype(np.float32)
    x = (spread * rng.standard_t(2, size=(50, dims))).astype(np.float32)
    check(x, vectors, SEVEN)
    check(x, np.sign(vectors), SEVEN)  # all at the ends of their range


@both
def test_the_last_vector_is_found_in_a_bank_that_is_filled_up_with_it(by: IntegerProduct) -> None:
    rng = np.random.default_rng(6)
    vectors = rng.normal(size=(1500, 20)).astype(np.float32)  # 36 short of whole runs
    queries = np.concatenate([vectors[-1:] + np.float32(1e-3), rng.normal(size=(50, 20)).astype(np.float32)])
    full = cdist(queries.astype(np.float64), vectors.astype(np.float64)).astype(np.float32)
    pairs = possible(queries, round_bank(vectors, by), lambda row, index: full[row, index])
    assert pairs is not None
    assert 1499 in pairs[1][pairs[0] == 0]
    assert pairs[1].max() == 1499
    check(queries, vectors, by)


@both
def test_where_integers_tell_nothing_apart_all_is_compared(
    by: IntegerProduct, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(5)
    vectors = (rng.normal(size=(1500, 6)) * 1e-3).astype(np.float32)
    vectors[0] = 1000
    assert possible(vectors, round_bank(vectors, by), lambda row, _: np.zeros(len(row), np.float32)) is None
    asked = []
    plain = neighbours._nearest_one
    monkeypatch.setattr(neighbours, "_nearest_one", lambda *a: asked.append(1) or plain(*a))
    check(vectors[1:50] + np.float32(1e-4), vectors[1:], by)
    check(vectors[1:50], vectors, by)
    assert asked
