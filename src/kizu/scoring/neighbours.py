"""Nearest neighbours in a bank of vectors: L2 distances, never a Q x M matrix in memory."""

from dataclasses import dataclass

import numpy as np

from kizu.core.errors import ConfigError, ScoreError
from kizu.core.threads import spread
from kizu.core.types import F32, I64
from kizu.scoring.measured import Near, pair_distances
from kizu.scoring.products import central_vector, product_slack, squared_norms
from kizu.scoring.rounded import IntegerProduct, RoundedBank, possible, round_bank

QUERIES = 256
VECTORS = 1024
"""One product is 256 queries x 1024 vectors: 1 MB, so that the search for the minimum finds it in the cache."""
VALUES = 2**22
"""At most this many distances in memory at a time where more than one neighbour is wanted (16 MB)."""
INTEGERS = 2**21
"""At most this many integers at a time: 8 MB."""
LENGTHS = (1e-20, 1e30)
"""Squared. Where the longest vector is not within these, none is rounded to integers, whose step float32 must hold."""
THREADED = 2**20
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
    longest: float
    """The largest |b - centre|^2"""
    rounded: RoundedBank | None = None
    """The same vectors as integers, where the caller brought an integer product."""


def build_bank(vectors: F32, make_product: IntegerProduct | None = None) -> Bank:
    """Prepare `vectors` (M, D). Memory: twice theirs, and a quarter more with an integer product.

    `make_product` makes the search for the one nearest vector two to three times as fast, and as exact.

    Raises `ConfigError` for an empty or misshapen bank, `ScoreError` if not finite.
    """
    if vectors.ndim != 2 or 0 in vectors.shape:
        raise ConfigError(f"a bank must be (M, D) with at least one vector, not {vectors.shape}")
    if not np.isfinite(vectors).all():
        raise ScoreError("a vector of the bank is not finite")
    vectors = np.ascontiguousarray(vectors, np.float32)
    centre = central_vector(vectors)
    with np.errstate(over="ignore"):
        factors = _factors(vectors - centre)
        longest = float(factors[:, -1].max())
    rounded = None
    if make_product is not None and LENGTHS[0] < longest < LENGTHS[1]:
        rounded = round_bank(vectors, make_product)
    return Bank(vectors, centre, factors, longest, rounded)


def nearest(queries: F32, bank: Bank | F32, k: int) -> tuple[F32, I64]:
    """The `k` nearest vectors of `bank` to each of `queries` (Q, D).

    Returns L2 distances (Q, k), ascending, and their indices in the bank (Q, k); among equals the lowest index. All
    vectors are compared. A product names those that can be nearest within its rounding; these are measured, and of two
    the one is nearer whose own difference is shorter. The distances are these differences', so 0 means equal.

    Raises `ConfigError` when `k` is more than the bank holds or the shapes do not fit, `ScoreError` when a query or
    a distance is not finite. Takes a thread per core for many queries, and BLAS one thread in the whole process
    meanwhile.
    """
    if not isinstance(bank, Bank):
        bank = build_bank(bank)
    _check(queries, bank, k)
    distances = np.empty((len(queries), k), np.float32)
    indices = np.empty((len(queries), k), np.int64)
    size = _queries_at_a_time(bank, k)

    def fill(start: int) -> None:
        rows = slice(start, start + size)
        with np.errstate(
            over="ignore", invalid="ignore"
        ):  # what overflows is measured, or not finite in the end
            distances[rows], indices[rows] = _nearest(queries[rows], bank, k)

    few = len(queries) * len(bank.vectors) < THREADED
    spread(fill, range(0, len(queries), size), workers=1 if few else None)
    if not np.isfinite(distances).all():
        raise ScoreError("a distance is not finite: the features are too large")
    return distances, indices


def _nearest(queries: F32, bank: Bank, k: int) -> tuple[F32, I64]:
    if k > 1:
        return _nearest_many(queries, bank, k)
    found = None if bank.rounded is None else _nearest_of_possible(queries, bank, bank.rounded)
    return found or _nearest_one(queries, bank)


def _queries_at_a_time(bank: Bank, k: int) -> int:
    if k == 1 and bank.rounded is None:
        return QUERIES
    values = VALUES if k > 1 else INTEGERS
    return min(QUERIES, max(1, values // len(bank.vectors)))


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


def _slack(centred: F32, bank: Bank) -> F32:
    """(Q,): products of two vectors with a query may be this much in the wrong order."""
    return product_slack(squared_norms(centred) + np.float32(bank.longest), centred.shape[1])


def _nearest_one(queries: F32, bank: Bank) -> tuple[F32, I64]:
    """Product and minimum fused, block by block; then by their true distances -> (Q, 1), (Q, 1)."""
    centred = queries - bank.centre
    x, slack = _with_one(centred), _slack(centred, bank)
    every = np.arange(len(x))
    lowest = np.full(len(x), np.inf, np.float32)
    near = Near(queries, bank.vectors)
    products = np.empty((len(x), min(VECTORS, len(bank.factors))), np.float32)
    for start in range(0, len(bank.factors), VECTORS):
        block = bank.factors[start : start + VECTORS]
        values = np.matmul(x, block.T, out=products[:, : len(block)])  # (Q, M)
        best = values.argmin(axis=1)
        value = values[every, best]
        np.minimum(lowest, value, out=lowest)
        limit = lowest + slack
        row = np.flatnonzero(~(value > limit))  # what is not a number may be near
        near.offer(row, best[row] + start, value[row], limit)
        # The place of the least is found in a tenth of the time of a comparison: where the second is too far, all are.
        few = values if len(row) == len(x) else values[row]
        few[every[: len(row)], best[row]] = np.inf
        second = few[every[: len(row)], few.argmin(axis=1)]
        more = np.flatnonzero(~(second > limit[row]))
        if len(more):
            near.offer_rows(row[more], few[more], start, limit)
    return near.nearest(lowest + slack)


def _nearest_of_possible(queries: F32, bank: Bank, rounded: RoundedBank) -> tuple[F32, I64] | None:
    """The true nearest -> (Q, 1), (Q, 1). None where integers cannot tell enough vectors apart."""

    def measure(row: I64, index: I64) -> F32:
        return pair_distances(queries, bank.vectors, row, index)

    pairs = possible(queries, rounded, measure)
    return None if pairs is None else _first_of_each(*pairs, measure(*pairs), len(queries), 1)


def _nearest_many(queries: F32, bank: Bank, k: int) -> tuple[F32, I64]:
    """All within rounding of the k-th by the product, then by their true distances -> (Q, k), (Q, k)."""
    centred = queries - bank.centre
    products = _with_one(centred) @ bank.factors.T  # (Q, M)
    limit = np.partition(products, k - 1, axis=1)[:, k - 1] + _slack(centred, bank)
    row, index = np.divmod(np.flatnonzero(~(products > limit[:, None])), products.shape[1])
    return _first_of_each(row, index, pair_distances(queries, bank.vectors, row, index), len(queries), k)


def _first_of_each(row: I64, index: I64, distance: F32, count: int, k: int) -> tuple[F32, I64]:
    """The `k` pairs of each row with the least distance, then the lowest index; rows ascend -> (Q, k), (Q, k)."""
    order = np.lexsort((index, distance, row))
    chosen = order[np.searchsorted(row, np.arange(count))[:, None] + np.arange(k)]
    return distance[chosen], index[chosen].astype(np.int64)
