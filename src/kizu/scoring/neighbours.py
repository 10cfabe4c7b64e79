"""Nearest neighbours in a bank of vectors: L2 distances, never a Q x M matrix in memory."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from kizu.core.errors import ConfigError, ScoreError
from kizu.core.provenance import usable_cores
from kizu.core.threads import one_blas_thread
from kizu.core.types import F32, I64
from kizu.scoring.products import central_vector, sample_of, squared_norms

QUERIES = 256
VECTORS = 1024
"""One product is 256 queries x 1024 vectors: 1 MB, so that the search for the minimum finds it in the cache."""
VALUES = 2**22
"""At most this many distances in memory at a time where more than one neighbour is wanted (16 MB)."""
PAIRS = 512
"""Differences that are taken at a time; more would leave the cache."""
RUN = 128
"""Of so many neighbouring vectors the approximate search takes one along."""
THREADED = 2**22
"""Fewer distances than this are found sooner by one thread."""


@dataclass(frozen=True, slots=True)
class Bank:
    """Vectors, ready to be compared; made by `build_bank`."""

    vectors: F32
    """(M, D)"""
    centre: F32
    """(D,)"""
    factors: F32
    """(M, D + 1), [-2 (b - centre), |b - centre|^2]: times [q - centre, 1] it is |q - b|^2 - |q - centre|^2."""


def build_bank(vectors: F32) -> Bank:
    """Prepare `vectors` (M, D). Memory: twice theirs.

    Raises `ConfigError` for an empty or misshapen bank, `ScoreError` if not finite.
    """
    if vectors.ndim != 2 or 0 in vectors.shape:
        raise ConfigError(f"a bank must be (M, D) with at least one vector, not {vectors.shape}")
    if not np.isfinite(vectors).all():
        raise ScoreError("a vector of the bank is not finite")
    vectors = np.ascontiguousarray(vectors, np.float32)
    centre = central_vector(vectors)
    return Bank(vectors, centre, _factors(vectors - centre))


def nearest(queries: F32, bank: Bank | F32, k: int) -> tuple[F32, I64]:
    """The `k` nearest vectors of `bank` to each of `queries` (Q, D).

    Returns L2 distances (Q, k), ascending, and their indices in the bank (Q, k); among equals the lowest index. All
    vectors are compared. Which of two is nearer is decided within float32 rounding (relative 1e-5 of the squared
    norms) when k is 1, exactly otherwise; the distances are those of the differences, so 0 means equal.

    Raises `ConfigError` when `k` is more than the bank holds or the shapes do not fit, `ScoreError` when a query is
    not finite. Takes a thread per core for many queries, and BLAS one thread in the whole process meanwhile.
    """
    if not isinstance(bank, Bank):
        bank = build_bank(bank)
    _check(queries, bank, k)
    distances = np.empty((len(queries), k), np.float32)
    indices = np.empty((len(queries), k), np.int64)
    size = QUERIES if k == 1 else max(1, VALUES // len(bank.vectors))

    def fill(start: int) -> None:
        rows = slice(start, start + size)
        piece = queries[rows]
        distances[rows], indices[rows] = (
            _nearest_one(piece, bank) if k == 1 else _nearest_many(piece, bank, k)
        )

    _for_each_start(fill, len(queries), size, len(queries) * len(bank.vectors))
    return distances, indices


@dataclass(frozen=True, slots=True)
class Projection:
    """The directions in which a bank varies most, for `nearest_approximate`; made by `project`."""

    bank: Bank
    directions: F32
    """(D, d), orthonormal"""
    factors: F32
    """(M, d + 1), like the bank's, of what is left in those directions."""


def project(bank: Bank, dims: int) -> Projection:
    """Prepare a search in the `dims` leading principal directions of the bank (at most D of them are taken)."""
    if dims < 1:
        raise ConfigError(f"a projection needs at least one direction, not {dims}")
    sample = sample_of(bank.vectors).astype(np.float64)
    sample -= sample.mean(axis=0)
    _, axes = np.linalg.eigh(sample.T @ sample)
    directions: F32 = axes[:, ::-1][:, :dims].astype(np.float32)  # eigh is ascending
    centred: F32 = bank.vectors - bank.centre
    projected: F32 = centred @ directions
    return Projection(bank, directions, _factors(projected))


def nearest_approximate(queries: F32, projection: Projection, *, candidates: int = 16) -> tuple[F32, I64]:
    """Probably the nearest vector to each of `queries` (Q, D): an approximation. `measure_recall` says how good.

    The best of every 128 vectors by their distance in the projection, the `candidates` best of those, and of them
    the nearest by its full distance. Returns L2 distances (Q, 1), never too small, and indices (Q, 1).
    """
    _check(queries, projection.bank, 1)
    if candidates < 1:
        raise ConfigError(f"at least one candidate is needed, not {candidates}")
    distances = np.empty((len(queries), 1), np.float32)
    indices = np.empty((len(queries), 1), np.int64)

    def fill(start: int) -> None:
        rows = slice(start, start + QUERIES)
        near = _promising(queries[rows], projection, candidates)  # (Q, K)
        which = np.repeat(np.arange(len(near)), near.shape[1])
        exact = _pair_distances(queries[rows], projection.bank, which, near.ravel()).reshape(near.shape)
        best = exact.argmin(axis=1)[:, None]
        distances[rows] = np.take_along_axis(exact, best, axis=1)
        indices[rows] = np.take_along_axis(near, best, axis=1)

    _for_each_start(fill, len(queries), QUERIES, len(queries) * len(projection.factors))
    return distances, indices


def measure_recall(queries: F32, projection: Projection, *, candidates: int = 16) -> float:
    """The part of `queries` (Q, D) for which `nearest_approximate` finds a vector as near as the nearest."""
    exact, _ = nearest(queries, projection.bank, 1)
    approximate, _ = nearest_approximate(queries, projection, candidates=candidates)
    return float(np.mean(approximate <= exact))


def _check(queries: F32, bank: Bank, k: int) -> None:
    count, dims = bank.vectors.shape
    if queries.ndim != 2 or queries.shape[1] != dims:
        raise ConfigError(f"queries must be (Q, {dims}) like the bank, not {queries.shape}")
    if not 1 <= k <= count:
        raise ConfigError(f"{k} neighbours were asked of a bank of {count}", hint=f"ask for 1 to {count}")
    if not np.isfinite(queries).all():
        raise ScoreError("a query is not finite")


def _factors(x: F32) -> F32:
    """(M, D) -> (M, D + 1), see `Bank.factors`."""
    return np.column_stack([-2 * x, squared_norms(x)])


def _with_one(x: F32) -> F32:
    """(Q, D) -> (Q, D + 1): a column of ones, which picks up the squared norms."""
    return np.column_stack([x, np.ones(len(x), np.float32)])


def _for_each_start(fill: Callable[[int], None], total: int, size: int, work: int) -> None:
    """Call `fill` for every piece of `size`, in one thread per core where it is worth it.

    BLAS keeps to the thread it is called in: its own threads would have to meet at every small product.
    """
    starts = range(0, total, size)
    workers = min(len(starts), usable_cores())
    with one_blas_thread():
        if workers < 2 or work < THREADED:
            for start in starts:
                fill(start)
            return
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(fill, starts))


def _nearest_one(queries: F32, bank: Bank) -> tuple[F32, I64]:
    """Product and minimum fused, block by block -> (Q, 1), (Q, 1)."""
    x = _with_one(queries - bank.centre)
    rows = np.arange(len(x))
    lowest = np.full(len(x), np.inf, np.float32)
    index = np.zeros(len(x), np.int64)
    products = np.empty((len(x), min(VECTORS, len(bank.factors))), np.float32)
    for start in range(0, len(bank.factors), VECTORS):
        block = bank.factors[start : start + VECTORS]
        values = np.matmul(x, block.T, out=products[:, : len(block)])  # (Q, M)
        best = values.argmin(axis=1)
        value = values[rows, best]
        closer = value < lowest
        lowest[closer] = value[closer]
        index[closer] = best[closer] + start
    return _pair_distances(queries, bank, rows, index)[:, None], index[:, None]


def _nearest_many(queries: F32, bank: Bank, k: int) -> tuple[F32, I64]:
    """All within rounding of the k-th by the product, then by their true distances -> (Q, k), (Q, k)."""
    centred = queries - bank.centre
    products = _with_one(centred) @ bank.factors.T  # (Q, M)
    kth = np.partition(products, k - 1, axis=1)[:, k - 1]
    # A sum of n products is off by at most n * 2^-24 of the sum of their sizes, here |q|^2 + 2 |b|^2 at most;
    # twice, for the k-th may be too low and another too high.
    unit = 4 * (bank.factors.shape[1] + 1) * 2.0**-24
    slack = unit * (squared_norms(centred) + bank.factors[:, -1].max())
    row, index = np.nonzero(products <= (kth + slack)[:, None])
    distance = _pair_distances(queries, bank, row, index)
    order = np.lexsort((index, distance, row))
    first = np.searchsorted(row, np.arange(len(queries)))  # rows come in ascending order
    chosen = order[first[:, None] + np.arange(k)]  # (Q, k)
    return distance[chosen], index[chosen].astype(np.int64)


def _promising(queries: F32, projection: Projection, count: int) -> I64:
    """Indices of the `count` best by the projection, at most one of every 128 vectors -> (Q, K)."""
    centred: F32 = queries - projection.bank.centre
    projected: F32 = centred @ projection.directions
    x = _with_one(projected)
    values, indices = [], []
    total = len(projection.factors)
    for start in range(0, total, VECTORS):
        block = projection.factors[start : start + VECTORS]
        products = x @ block.T
        for low in range(0, len(block), RUN):
            run = products[:, low : low + RUN]
            best = run.argmin(axis=1)
            values.append(run[np.arange(len(x)), best])
            indices.append(best + (start + low))
    value, index = np.stack(values, axis=1), np.stack(indices, axis=1)  # (Q, M / 128)
    if count < value.shape[1]:
        index = np.take_along_axis(index, value.argpartition(count - 1, axis=1)[:, :count], axis=1)
    return np.sort(index, axis=1)


def _pair_distances(queries: F32, bank: Bank, row: I64, index: I64) -> F32:
    """The distance of query `row[i]` to vector `index[i]`, from the difference itself."""
    squared = np.empty(len(row), np.float32)
    for low in range(0, len(row), PAIRS):
        pairs = slice(low, low + PAIRS)
        difference = bank.vectors[index[pairs]]
        difference -= queries[row[pairs]]
        squared[pairs] = squared_norms(difference)
    return np.sqrt(squared)
