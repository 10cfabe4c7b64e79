"""The exact nearest vector, found by products of small integers and proved by its true distance.

Vectors are rounded to 8 bits: b = t B + c + e_b with integers B, one step t, one centre c. For a query q likewise, with
a step s: the triangle inequality gives |d(q, b) - |s Q - t B|| <= |e_q| + |e_b|. The vector that is nearest in integers
has a true distance u; only vectors with |s Q - t B| <= u + |e_q| + |e_b| can be nearer, and those few are measured
themselves. Integer products lose nothing, and processors compute four of them in the time of one float product.

A processor without a dot-product instruction adds two neighbouring products in 16 bits and cuts off what is more. There
vectors of the bank get 7 bits, |B| <= 64, and a step of t = 2 s: 2 * 255 * 64 is below 2^15, so nothing is cut off.

NumPy has no fast integer product, and this room knows no runtime: the caller brings one (`IntegerProduct`).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kizu.core.types import F32, I64, U8
from kizu.scoring.products import central_vector

I8 = NDArray[np.int8]
I32 = NDArray[np.int32]

Product = Callable[[U8], I32]
"""Rows (Q, K) -> (Q, M): `(rows - 128) @ matrix` of the matrix it was made for, exactly. Safe to share by threads."""


class IntegerProduct(Protocol):
    """Makes a product of a matrix (K, M)."""

    @property
    def largest(self) -> int:
        """Products are exact of matrices whose values are within +-this: 64 (of 7 bits) to 127 (of 8)."""
        ...

    def __call__(self, matrix: I8, /) -> Product: ...


LARGEST = 127
"""Of a query's integers."""
ZERO = 128
"""How a query's 0 is written in uint8."""
RUN = 512
"""Neighbouring vectors that are looked through only if the best of them can be the nearest."""
CROWD = 0.02
"""A larger part of the pairs than this is not worth measuring one by one: the filter is of no use for these queries."""
UNIT = 2.0**-24
"""Float32's rounding, relative."""


@dataclass(frozen=True, slots=True)
class RoundedBank:
    """Vectors (M, D) as integers; made by `round_bank`."""

    product: Product
    """Of M rounded up to whole runs; the last vector is repeated."""
    count: int
    """M"""
    centre: F32
    """(D,)"""
    step: float
    """s, of queries"""
    fold: int
    """t / s: 1, or 2 for vectors of 7 bits"""
    error: float
    """The largest |e_b|."""
    digits: int
    """Columns that hold `fold` |B|^2 / 2 - `middle` in base 127, after the D of B."""
    middle: int


def round_bank(vectors: F32, make_product: IntegerProduct) -> RoundedBank:
    """Round finite `vectors` (M, D), M >= 1."""
    largest = make_product.largest
    fold = 1 if largest >= LARGEST else 2
    centre = central_vector(vectors)
    centred: F32 = vectors - centre
    step = np.float32(np.abs(centred).max() / largest) or np.float32(1)
    integers = np.clip(np.rint(centred / step), -largest, largest).astype(np.int8)
    error = float(np.linalg.norm(centred - step * integers, axis=1).max())
    half = fold * np.einsum("md,md->m", integers, integers, dtype=np.int64) // 2
    middle = int(half.min() + half.max()) // 2
    columns = _digits(half - middle, largest)
    matrix = np.column_stack([integers, *columns])
    padding = -len(matrix) % RUN
    matrix = np.concatenate([matrix, np.repeat(matrix[-1:], padding, axis=0)])
    product = make_product(np.ascontiguousarray(matrix.T))
    return RoundedBank(product, len(vectors), centre, float(step) / fold, fold, error, len(columns), middle)


def possible(queries: F32, bank: RoundedBank, distance: Callable[[I64, I64], F32]) -> tuple[I64, I64] | None:
    """All (query, vector) pairs among which each query's nearest must be, by ascending query.

    `queries`: (Q, D). `distance(row, index)`: true distances of pairs. None where there would be too many.
    """
    integers, error = _round(queries, bank)
    runs = bank.product(_rows(integers, bank)).reshape(len(queries), -1, RUN)  # Q.B - fold |B|^2 / 2 + middle
    best = runs.argmax(axis=2)  # (Q, runs)
    value = np.take_along_axis(runs, best[:, :, None], axis=2)[:, :, 0]
    row = np.arange(len(queries))
    run = value.argmax(axis=1)
    nearest = np.minimum(run * RUN + best[row, run], bank.count - 1)
    reach = (distance(row, nearest) + error + bank.error) * (_safety(queries) / bank.step) + _lost(queries)
    norms = np.einsum("qd,qd->q", integers, integers, dtype=np.int64)
    # |Q - fold B|^2 <= reach^2, solved for what the product gives; 1 less, for half a norm was rounded down.
    reached = (norms - reach.astype(np.float64) ** 2) / (2 * bank.fold)
    least = np.maximum(np.floor(reached + bank.middle) - 1, -(2.0**31))
    row, run = np.nonzero(value >= least[:, None])
    inside = runs[row, run] >= least[row].astype(np.int32)[:, None]
    # On one axis NumPy finds what is set ten times as fast as on two.
    which, place = np.divmod(np.flatnonzero(inside), RUN)
    if len(which) > CROWD * runs.size:
        return None
    index = run[which] * RUN + place
    real = index < bank.count
    return row[which][real], index[real]


def _safety(queries: F32) -> float:
    """What u, |e_q| and |e_b| are multiplied by: as sums of D squares they are rounded."""
    return 1 + 2 * (int(queries.shape[1]) + 16) * UNIT


def _lost(queries: F32) -> float:
    """What rounding b - c and s B, of at most 128 steps, may take from |e_q| and |e_b|, in steps."""
    return 4.0 * math.sqrt(queries.shape[1]) * ZERO * UNIT


def _digits(values: I64, largest: int) -> list[I8]:
    """Columns with values = 127 * (all but the last) + the last, each within +-`largest`."""
    columns = []
    while np.abs(values).max() > largest:
        column = np.clip(np.rint(values / LARGEST), -largest, largest).astype(np.int64)
        values = values - LARGEST * column
        columns.append(column.astype(np.int8))
    return [*columns, values.astype(np.int8)]


def _round(queries: F32, bank: RoundedBank) -> tuple[I32, F32]:
    """Integers (Q, D) and |e_q| (Q,); a query far outside the bank is cut off, which its error tells."""
    centred: F32 = queries - bank.centre
    step = np.float32(bank.step)
    integers = np.clip(np.rint(centred / step), -LARGEST, LARGEST).astype(np.int32)
    error: F32 = np.linalg.norm(centred - step * integers, axis=1).astype(np.float32)
    return integers, error


def _rows(integers: I32, bank: RoundedBank) -> U8:
    """What the product takes: the query, then what multiplies the digits of the half norm."""
    rows = np.empty((len(integers), integers.shape[1] + bank.digits), np.uint8)
    rows[:, : integers.shape[1]] = integers + ZERO
    rows[:, integers.shape[1] : -1] = ZERO - LARGEST
    rows[:, -1] = ZERO - 1
    return rows
