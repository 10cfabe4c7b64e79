"""True distances of the few pairs that a search has not ruled out, and the nearest of them."""

import numpy as np

from kizu.core.types import F32, I64
from kizu.scoring.products import squared_norms

PAIRS = 512
"""Differences that are taken at a time; more would leave the cache."""
WAITING = 2**17
"""Pairs that wait until the least product of their query is known, which rules most out; more are measured at once."""
CROWD = 32
"""A query with more pairs than this in a block is measured against the whole block, which spares the gathering."""
SQUARES = (1e-25, 1e37)
"""Sums of squares beyond these are taken in float64: float32 would round their parts to 0, or to infinity."""


def pair_distances(queries: F32, vectors: F32, row: I64, index: I64) -> F32:
    """The distance of query `row[i]` to vector `index[i]`, from the difference itself."""
    distance = np.empty(len(row), np.float32)
    for low in range(0, len(row), PAIRS):
        pairs = slice(low, low + PAIRS)
        distance[pairs] = distances(vectors[index[pairs]], queries[row[pairs]])
    return distance


def distances(x: F32, y: F32) -> F32:
    """L2 distances of the rows of `x` (N, D) from those of `y`, (N, D) or (D,) -> (N,); 0 only for equal ones."""
    difference = x - y
    squared = squared_norms(difference)
    found: F32 = np.sqrt(squared)
    extreme = np.flatnonzero(~((squared > SQUARES[0]) & (squared < SQUARES[1])))
    if len(extreme):
        extreme = extreme[difference[extreme].any(axis=1)]
        wide = x[extreme].astype(np.float64) - (y if y.ndim == 1 else y[extreme])
        found[extreme] = np.linalg.norm(wide, axis=1)
    return found


class Near:
    """For each query the nearest of the vectors that are offered: measured as late as memory allows."""

    def __init__(self, queries: F32, vectors: F32) -> None:
        self.queries, self.vectors = queries, vectors
        self.waiting: list[tuple[I64, I64, F32]] = []
        self.count = 0
        self.distance = np.full(len(queries), np.inf, np.float32)
        self.index = np.zeros(len(queries), np.int64)

    def offer(self, row: I64, index: I64, value: F32, limit: F32) -> None:
        """Pairs with the value of their product; `limit` (Q,): what it must not exceed, as far as is known."""
        self.waiting.append((row, index, value))
        self.count += len(row)
        if self.count > WAITING:
            self._measure(limit)

    def offer_rows(self, row: I64, values: F32, start: int, limit: F32) -> None:
        """All vectors from `start` on whose `values` (R, M) are within the limit."""
        # None is nearer than an equal one before these, whose index is lower.
        sought = (self.distance[row] > 0) | (self.index[row] >= start)
        row, values = row[sought], values[sought]
        inside = ~(values > limit[row][:, None])  # what is not a number may be near
        crowded = np.count_nonzero(inside, axis=1) > CROWD
        for query in row[crowded]:
            self._look_through(int(query), slice(start, start + values.shape[1]))
        which, index = np.nonzero(inside & ~crowded[:, None])
        self.offer(row[which], index + start, values[which, index], limit)

    def nearest(self, limit: F32) -> tuple[F32, I64]:
        """Distances (Q, 1) and indices (Q, 1); among equals the lowest index."""
        if self.waiting:
            self._measure(limit)
        return self.distance[:, None], self.index[:, None]

    def _measure(self, limit: F32) -> None:
        row, index, value = (np.concatenate(parts) for parts in zip(*self.waiting, strict=True))
        self.waiting, self.count = [], 0
        keep = ~(value > limit[row])
        row, index = row[keep], index[keep]
        distance = pair_distances(self.queries, self.vectors, row, index)
        order = np.lexsort((index, distance, row))
        row, first = np.unique(row[order], return_index=True)
        self._take(row, distance[order][first], index[order][first])

    def _look_through(self, query: int, block: slice) -> None:
        distance = distances(self.vectors[block], self.queries[query])
        best = int(distance.argmin())
        self._take(np.array([query]), distance[best : best + 1], np.array([block.start + best]))

    def _take(self, row: I64, distance: F32, index: I64) -> None:
        """One pair of each row."""
        before = self.distance[row]
        closer = (distance < before) | ((distance == before) & (index < self.index[row]))
        self.distance[row[closer]], self.index[row[closer]] = distance[closer], index[closer]
