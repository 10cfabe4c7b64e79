from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from kizu.core import threads
from kizu.core.errors import ConfigError, ScoreError
from kizu.scoring import neighbours
from kizu.scoring.neighbours import build_bank, nearest

RNG = np.random.default_rng(0)
VECTORS = (RNG.normal(size=(3000, 20)) + 50).astype(np.float32)
QUERIES = (RNG.normal(size=(2500, 20)) + 50).astype(np.float32)


@pytest.mark.parametrize("k", [1, 3])
def test_a_vector_is_its_own_nearest_at_distance_zero(k: int) -> None:
    distances, indices = nearest(VECTORS, VECTORS, k)
    assert indices[:, 0].tolist() == list(range(len(VECTORS)))
    assert (distances[:, 0] == 0).all()


def test_distances_ascend_and_types_are_the_stated_ones() -> None:
    distances, indices = nearest(QUERIES, VECTORS, 5)
    assert (np.diff(distances, axis=1) >= 0).all()
    assert (distances.dtype, indices.dtype) == (np.float32, np.int64)
    assert distances.shape == indices.shape == (2500, 5)


def test_a_prepared_bank_gives_the_same() -> None:
    for prepared, plain in zip(
        nearest(QUERIES, build_bank(VECTORS), 2), nearest(QUERIES, VECTORS, 2), strict=True
    ):
        assert np.array_equal(prepared, plain)


@pytest.mark.parametrize("k", [1, 4])
def test_the_batch_does_not_matter(k: int) -> None:
    bank = build_bank(VECTORS)
    distances, indices = nearest(QUERIES, bank, k)
    for rows in (slice(0, 1), slice(200, 300), slice(255, 1800)):
        part_distances, part_indices = nearest(QUERIES[rows], bank, k)
        assert np.array_equal(part_indices, indices[rows])
        assert np.array_equal(part_distances, distances[rows])


def test_threads_may_share_a_bank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "usable_cores", lambda: 3)
    monkeypatch.setattr(neighbours, "THREADED", 0)
    bank = build_bank(VECTORS)
    expected = nearest(QUERIES, bank, 1)[1]
    with ThreadPoolExecutor(4) as pool:
        for _, indices in pool.map(lambda _: nearest(QUERIES, bank, 1), range(8)):
            assert np.array_equal(indices, expected)


def test_no_query_gives_no_distance() -> None:
    distances, indices = nearest(np.empty((0, 20), np.float32), VECTORS, 2)
    assert distances.shape == indices.shape == (0, 2)


@pytest.mark.parametrize("k", [0, 3001])
def test_more_neighbours_than_there_are_is_refused(k: int) -> None:
    with pytest.raises(ConfigError, match="bank of 3000"):
        nearest(QUERIES, VECTORS, k)


def test_shapes_that_do_not_fit_are_refused() -> None:
    for queries in (QUERIES[0], QUERIES[:, :5]):
        with pytest.raises(ConfigError, match=r"\(Q, 20\)"):
            nearest(queries, VECTORS, 1)
    for vectors in (np.empty((0, 4), np.float32), np.empty((4, 0), np.float32), VECTORS[0]):
        with pytest.raises(ConfigError):
            build_bank(vectors)


def test_what_is_not_finite_is_refused() -> None:
    bad = QUERIES.copy()
    bad[7, 7] = np.nan
    with pytest.raises(ScoreError):
        nearest(bad, VECTORS, 1)
    with pytest.raises(ScoreError):
        build_bank(bad)
