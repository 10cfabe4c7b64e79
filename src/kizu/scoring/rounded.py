"""The exact nearest vector, found by products of small integers and proved by its true distance.

Vectors are rounded to 8 bits: b = s B + c + e_b with integers B, one step s, one centre c. For a query q likewise, the
triangle inequality gives |d(q, b) - s |Q - B|| <= |e_q| + |e_b|. The vector that is nearest in integers has a true
distance u; only vectors with s |Q - B| <= u + |e_q| + |e_b| can be nearer, and those few are measured themselves.
Integer products lose nothing, and processors compute four of them in the time of one float product.

NumPy has no fast integer product, and this room knows no runtime: the caller brings one (`MakeProduct`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kizu.core.types import F32, I64, U8
from kizu.scoring.products import central_vector

I8 = NDArray[np.int8]
I32 = NDArray[np.int32]

Product = Callable[[U8], I32]
"""Rows (Q, K) -> (Q, M): `(rows - 128) @ matrix` of the matrix it was made for, exactly. Safe to share by threads."""
MakeProduct = Callable[[I8], Product]
"""A matrix (K, M) -> its product."""

LARGEST = 127
ZERO = 128
"""How a query's 0 is written in uint8."""
RUN = 512
"""Neighbouring vectors that are looked through only if the best of them can be the nearest."""
CROWD = 0.02
"""A larger part of the pairs than this is not worth measuring one by one: the filter is of no use for these queries."""
SAFETY = 1 + 1e-5
"""Beyond any float32 rounding in u, |e_q| and |e_b|."""


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
    error: float
    """The largest |e_b|."""
    digits: int
    """Columns that hold |B|^2 / 2 - `middle` in base 127, after the D of B."""
    middle: int


def round_bank(vectors: F32, make_product: MakeProduct) -> RoundedBank:
    """Round finite `vectors` (M, D), M >= 1."""
    centre = central_vector(vectors)
    centred: F32 = vectors - centre
    step = float(np.abs(centred).max()) / LARGEST or 1.0
    integers = np.rint(centred / np.float32(step)).astype(np.int8)
    error = float(np.linalg.norm(centred - np.float32(step) * integers, axis=1).max())
    half = np.einsum("md,md->m", integers, integers, dtype=np.int64) // 2
    middle = int(half.min() + half.max()) // 2
    columns = _digits(half - middle)
    matrix = np.column_stack([integers, *columns])
    padding = -len(matrix) % RUN
    matrix = np.concatenate([matrix, np.repeat(matrix[-1:], padding, axis=0)])
    product = make_product(np.ascontiguousarray(matrix.T))
    return RoundedBank(product, len(vectors), centre, step, error, len(columns), middle)


def possible(queries: F32, bank: RoundedBank, distance: Callable[[I64, I64], F32]) -> tuple[I64, I64] | None:
    """All (query, vector) pairs among which each query's nearest must be, by ascending query.

    `queries`: (Q, D). `distance(row, index)`: true distances of pairs. None where there would be too many.
    """
    integers, error = _round(queries, bank)
    runs = bank.product(_rows(integers, bank)).reshape(len(queries), -1, RUN)  # Q.B - |B|^2 / 2 + middle
    best = runs.argmax(axis=2)  # (Q, runs)
    value = np.take_along_axis(runs, best[:, :, None], axis=2)[:, :, 0]
    row = np.arange(len(queries))
    run = value.argmax(axis=1)
    nearest = np.minimum(run * RUN + best[row, run], bank.count - 1)
    reach = (distance(row, nearest) + error + bank.error) * (SAFETY / bank.step)
    norms = np.einsum("qd,qd->q", integers, integers, dtype=np.int64)
    # |Q - B|^2 <= reach^2, solved for what the product gives; 1 less, for half a norm was rounded down.
    least = np.maximum(np.floor((norms - reach.astype(np.float64) ** 2) / 2 + bank.middle) - 1, -(2.0**31))
    row, run = np.nonzero(value >= least[:, None])
    inside = runs[row, run] >= least[row].astype(np.int32)[:, None]
    # On one axis NumPy finds what is set ten times as fast as on two.
    which, place = np.divmod(np.flatnonzero(inside), RUN)
    if len(which) > CROWD * runs.size:
        return None
    index = run[which] * RUN + place
    real = index < bank.count
    return row[which][real], index[real]


def _digits(values: I64) -> list[I8]:
    """Columns with values = 127 * (all but the last) + the last, each within -127 .. 127."""
    columns = []
    while np.abs(values).max() > LARGEST:
        column = np.clip(np.rint(values / LARGEST), -LARGEST, LARGEST).astype(np.int64)
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
