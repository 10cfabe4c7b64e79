"""What is measured, when, and which of equals is taken."""

import numpy as np
import pytest

from kizu.core.types import F32
from kizu.scoring import measured
from kizu.scoring.measured import Near, distances, pair_distances

EQUAL = np.ones((10, 3), np.float32)
NO_LIMIT = np.full(1, np.inf, np.float32)
ZERO = np.zeros(1, np.int64)


def value(of: float = 0) -> F32:
    return np.full(1, of, np.float32)


@pytest.mark.parametrize("waiting", [0, 100])
@pytest.mark.parametrize("crowd", [0, 100])
def test_of_equals_the_lowest_index_is_taken_whatever_is_measured_first(
    waiting: int, crowd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measured, "WAITING", waiting)
    monkeypatch.setattr(measured, "CROWD", crowd)
    near = Near(EQUAL[:1], EQUAL)
    near.offer(ZERO, ZERO + 5, value(), NO_LIMIT)
    near.offer_rows(ZERO, np.zeros((1, 10), np.float32), 0, NO_LIMIT)
    near.offer(ZERO, ZERO + 7, value(), NO_LIMIT)
    assert [found.item() for found in near.nearest(NO_LIMIT)] == [0, 0]


def test_what_the_last_limit_rules_out_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []
    whole = measured.pair_distances
    monkeypatch.setattr(
        measured, "pair_distances", lambda *given: counted.append(len(given[2])) or whole(*given)
    )
    vectors = np.arange(30, dtype=np.float32).reshape(10, 3)
    near = Near(vectors[2:3], vectors)
    for index in range(10):
        near.offer(ZERO, ZERO + index, value(abs(index - 2)), NO_LIMIT)
    assert [found.item() for found in near.nearest(value(1))] == [0, 2]
    assert counted == [3]


def test_after_an_equal_vector_later_ones_are_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured, "CROWD", 0)
    near = Near(EQUAL[:1], EQUAL)
    near.offer_rows(ZERO, np.zeros((1, 5), np.float32), 0, NO_LIMIT)
    monkeypatch.setattr(measured, "distances", lambda *_: pytest.fail("measured"))
    near.offer_rows(ZERO, np.zeros((1, 5), np.float32), 5, NO_LIMIT)


def test_distances_are_zero_for_equal_vectors_only() -> None:
    x = np.zeros((4, 6), np.float32)
    x[1, 0], x[2, 0], x[3, 0] = 1e-45, 1e-25, 1e25
    assert distances(x, x[0]).tolist() == pytest.approx(x[:, 0].tolist(), rel=1e-6, abs=0)
    assert (distances(x, x) == 0).all()


def test_pairs_have_the_same_distance_in_whatever_company(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    vectors, queries = (rng.normal(size=(rows, 77)).astype(np.float32) for rows in (500, 40))
    row, index = rng.integers(0, 40, 900), rng.integers(0, 500, 900)
    together = pair_distances(queries, vectors, row, index)
    alone = [distances(vectors[i], queries[r])[0] for r, i in zip(row, index[:, None], strict=True)]
    assert np.array_equal(together, alone)
    assert np.array_equal(distances(vectors, queries[row[0]])[index[0]], together[0])
    monkeypatch.setattr(measured, "PAIRS", 7)
    assert np.array_equal(pair_distances(queries, vectors, row, index), together)
