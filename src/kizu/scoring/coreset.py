"""A few patches that stand for all: greedy k-centre (farthest point first) and plain random choice.

Greedy k-centre (Gonzalez 1985) takes, again and again, the point whose nearest pick is farthest away. Done literally
that is one pass over all features for each pick. Here every point keeps an upper bound of its distance to the picks:
a pick it has not been compared with can only bring it nearer, so an old distance is a valid bound. Only the points
with the highest bounds are compared with what they have not seen, as matrix products; the greatest exact distance
that no bound outside exceeds is the next pick. The result is the literal one; most comparisons never happen:

- a point that fell below the current radius is looked at again only when the radius has come down to it;
- it meets the picks of its own neighbourhood first. One of them usually brings it down, and the rest can wait.
"""

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np

from kizu.core.errors import ConfigError, ScoreError
from kizu.core.threads import cores, one_blas_thread
from kizu.core.types import F32, I64, Bool
from kizu.core.work import Progress
from kizu.scoring.products import central_vector, sample_of, squared_norms

CELLS = 48
"""Neighbourhoods; a point's own is the one with the nearest centre. More make the near picks nearer, and the matrix
products smaller: on 327,680 x 152 image features 32 to 64 are equally fast, 128 a third slower."""
RINGS = (3, 12)
"""A point meets the picks of its 3 nearest cells, then of the 12 nearest, then all."""
ROUND_SIZE = 32_768
"""Points with the highest bounds that are refreshed together; at most `ROUND_SHARE` of all."""
ROUND_SHARE = 8
BLOCK_SIZE = 512
"""Points among which picks are made one by one: 512 x 152 floats stay in the second-level cache."""
ROWS = 128
"""Points in one matrix product: enough to be efficient, few enough to share what they have not seen."""
COLUMNS = 1024
"""Picks in one matrix product."""


def greedy_k_centre(features: F32, count: int, *, first: int, on_progress: Progress | None = None) -> I64:
    """Pick `count` rows of `features` (M, D), each the farthest (L2) from those already picked.

    `first` is the first pick and belongs to the coreset; among equals the lowest index wins. Returns distinct
    indices (count,) in the order of picking: the same as the literal loop's, save for ties within float32 rounding.
    Deterministic, whatever the number of cores. Takes one thread per core for itself, and BLAS one thread in the
    whole process while it runs. Memory besides `features`: the picks, and 21 bytes for each row.

    Raises `ConfigError` unless 1 <= count <= M and 0 <= first < M, `ScoreError` when a feature is beyond 1e17.
    """
    _check(features, count, first)
    with one_blas_thread(), ThreadPoolExecutor(cores()) as pool:
        search = _Search(features, count, first, pool)
        while search.done < count:
            if on_progress is not None:
                on_progress("coreset", search.done, count)
            search.advance()
    if on_progress is not None:
        on_progress("coreset", count, count)
    return search.picks


def random_coreset(total: int, count: int, rng: np.random.Generator) -> I64:
    """`count` distinct indices below `total`, ascending. Raises `ConfigError` unless 1 <= count <= total."""
    _check_count(total, count)
    return np.sort(rng.choice(total, size=count, replace=False)).astype(np.int64)


LARGEST = 1e17
"""Of a feature: the squared length of 10,000 of them is still a float32."""


class _Floor(NamedTuple):
    """What a pick must exceed: the highest (bound, lowest index) among the points that were left aside."""

    bound: float
    row: int

    def is_below(self, bounds: F32, indices: I64) -> Bool:
        """Which points come before every point that was left aside (higher, or equal with a lower index)."""
        before: Bool = (bounds > self.bound) | ((bounds == self.bound) & (indices < self.row))
        return before


NO_FLOOR = _Floor(-np.inf, 0)
"""Exceeded by every point that is not picked yet; picks have the bound -inf."""


def _highest(bounds: F32, indices: I64 | None, size: int) -> tuple[I64, _Floor]:
    """Positions (ascending) of the `size` highest bounds, among equals the lowest first, and the floor they leave.

    `indices` are the points' own, ascending; None where they are the positions.
    """
    if size >= len(bounds):
        return np.flatnonzero(bounds > -np.inf), NO_FLOOR
    lowest = np.partition(bounds, len(bounds) - size)[len(bounds) - size]
    inside = bounds > lowest
    ties = np.flatnonzero(bounds == lowest)
    room = size - np.count_nonzero(inside)
    inside[ties[:room]] = True
    # With no tie outside, what is outside is lower still, and any inside that equals `lowest` may be picked.
    outside = len(bounds) if room == len(ties) else int(ties[room])
    if indices is not None:
        outside = int(indices[outside]) if outside < len(bounds) else int(indices[-1]) + 1
    inside &= bounds > -np.inf
    return np.flatnonzero(inside), _Floor(float(lowest), outside)


class _Search:
    """The picks so far, and what every point knows of them.

    Distances are squared. Features are centred whenever they are gathered, which lessens the cancellation in
    |x|^2 + |p|^2 - 2 x.p and spares a copy of all of them.
    """

    def __init__(self, features: F32, count: int, first: int, pool: Executor) -> None:
        total, dims = features.shape
        self.features = np.asarray(features)  # a file mapped to memory gives plain arrays from here on
        self.count, self.pool = count, pool
        self.centre = central_vector(features)
        centres = _cell_centres(sample_of(features) - self.centre, min(CELLS, -(-total // COLUMNS)))
        self.rings = _rings(centres)
        self.squared_norms: F32 = np.empty(total, np.float32)
        self.bounds: F32 = np.empty(total, np.float32)
        self.cells = np.empty(total, np.uint8)
        self.seen = np.ones((len(RINGS) + 1, total), np.int32)
        """Per ring, how many picks a point has been compared with as far as they lie in that ring."""
        self.picks: I64 = np.empty(count, np.int64)
        self.vectors: F32 = np.empty((count, dims), np.float32)
        """The picks, centred."""
        self.vector_norms: F32 = np.empty(count, np.float32)
        self.pick_cells = np.empty(count, np.uint8)
        self.done = 1
        self.picks[0], self.vectors[0] = first, features[first] - self.centre
        self.vector_norms[0] = self.vectors[0] @ self.vectors[0]
        blocks = (slice(low, low + 2048) for low in range(0, total, 2048))
        list(pool.map(partial(self._meet_first, centres), blocks))
        self.bounds[first], self.pick_cells[0] = -np.inf, self.cells[first]

    def _meet_first(self, centres: F32, rows: slice) -> None:
        x = self.features[rows] - self.centre
        self.squared_norms[rows] = squared_norms(x)
        self.cells[rows] = _squared_distances(x, centres).argmin(axis=1)
        self.bounds[rows] = x @ (-2 * self.vectors[0]) + self.vector_norms[0] + self.squared_norms[rows]

    def advance(self) -> None:
        """Refresh the points with the highest bounds, and pick among them until one outside might be farther."""
        size = min(ROUND_SIZE, -(-len(self.bounds) // ROUND_SHARE))
        rows, floor = _highest(self.bounds, None, size)
        for ring in range(len(RINGS)):
            list(self.pool.map(partial(self._meet_ring, ring), self._by_cell(ring, rows)))
            rows = rows[floor.is_below(self.bounds[rows], rows)]
        list(self.pool.map(self._meet_all, self._by_age(rows)))
        self.seen[:, rows] = self.done
        rows = rows[floor.is_below(self.bounds[rows], rows)]
        start = self.done
        self._pick_among(rows, floor)
        self.pick_cells[start : self.done] = self.cells[self.picks[start : self.done]]

    def _by_cell(self, ring: int, rows: I64) -> list[I64]:
        """The rows that have not seen all of this ring, one array per cell, longest unseen first; big jobs first."""
        seen = self.seen[ring, rows]
        stale = seen < self.done
        rows = rows[stale]
        key = (self.cells[rows].astype(np.int64) << 32) + seen[stale]
        order = key.argsort()
        cells = key[order] >> 32
        return sorted(np.split(rows[order], np.flatnonzero(np.diff(cells)) + 1), key=len, reverse=True)

    def _by_age(self, rows: I64) -> Iterator[I64]:
        """The rows that have not seen all picks, in pieces, longest unseen first."""
        seen = self.seen[-1, rows]
        rows = rows[seen < self.done]
        rows = rows[self.seen[-1, rows].argsort(kind="stable")]
        return (rows[low : low + ROWS] for low in range(0, len(rows), ROWS))

    def _meet_ring(self, ring: int, rows: I64) -> None:
        """Compare rows of one cell with the picks of that ring around it which they have not seen."""
        if len(rows) == 0:
            return
        seen = self.seen[ring, rows]
        oldest = int(seen[0])
        reach = self.rings[ring, self.cells[rows[0]]]
        near = oldest + np.flatnonzero(reach[self.pick_cells[oldest : self.done]])
        if len(near):
            x = self._gather(rows)
            vectors, norms = self.vectors[near], self.vector_norms[near]
            starts = np.searchsorted(near, seen[::ROWS]).tolist()
            for low, start in zip(range(0, len(rows), ROWS), starts, strict=True):
                piece = slice(low, low + ROWS)
                self._lower(rows[piece], x[piece], vectors[start:], norms[start:])
        self.seen[ring, rows] = self.done

    def _meet_all(self, rows: I64) -> None:
        """Compare rows with all picks since the oldest that one of them has not seen."""
        unseen = slice(int(self.seen[-1, rows[0]]), self.done)
        self._lower(rows, self._gather(rows), self.vectors[unseen], self.vector_norms[unseen])

    def _gather(self, rows: I64) -> F32:
        x = self.features[rows]
        x -= self.centre
        return x

    def _lower(self, rows: I64, x: F32, vectors: F32, norms: F32) -> None:
        """Lower the bounds of rows to their distances to `vectors`; `x`: the rows' features, centred."""
        x = x * np.float32(-2)
        best = np.full(len(rows), np.inf, np.float32)
        for low in range(0, len(vectors), COLUMNS):
            products = x @ vectors[low : low + COLUMNS].T
            products += norms[low : low + COLUMNS]
            np.minimum(best, products.min(axis=1), out=best)
        best += self.squared_norms[rows]
        self.bounds[rows] = np.minimum(self.bounds[rows], best)

    def _pick_among(self, rows: I64, floor: _Floor) -> None:
        """Pick among rows whose bounds are exact, until none exceeds the floor. Writes their bounds back."""
        x, bounds, norms = self._gather(rows), self.bounds[rows], self.squared_norms[rows]
        while self.done < self.count and floor.is_below(bounds, rows).any():
            block, block_floor = _highest(bounds, rows, BLOCK_SIZE)
            start = self.done
            self._pick_in_block(
                rows[block], x[block], bounds[block], norms[block], max(floor, block_floor, key=_rank)
            )
            new = slice(start, self.done)
            distances = x @ (-2 * self.vectors[new]).T
            distances += self.vector_norms[new]
            np.minimum(bounds, distances.min(axis=1) + norms, out=bounds)
            bounds[np.searchsorted(rows, self.picks[new])] = -np.inf
        self.bounds[rows] = bounds
        self.seen[:, rows] = self.done

    def _pick_in_block(self, rows: I64, x: F32, bounds: F32, norms: F32, floor: _Floor) -> None:
        """Pick one by one, until none in the block exceeds the floor."""
        while self.done < self.count:
            best = int(bounds.argmax())
            if not floor.is_below(bounds[best], rows[best]):
                return
            self.picks[self.done], self.vectors[self.done] = rows[best], x[best]
            self.vector_norms[self.done] = norms[best]
            self.done += 1
            distances = x @ (-2 * x[best])
            distances += norms
            distances += norms[best]
            np.minimum(bounds, distances, out=bounds)
            bounds[best] = -np.inf


def _rank(floor: _Floor) -> tuple[float, int]:
    return floor.bound, -floor.row


def _squared_distances(x: F32, y: F32) -> F32:
    """Up to |x|^2, which does not change which `y` is nearest."""
    distances = x @ (-2 * y).T
    distances += squared_norms(y)
    return distances


def _cell_centres(sample: F32, count: int) -> F32:
    """`count` centres by three steps of Lloyd's method; only speed depends on how good they are."""
    centres = sample[np.linspace(0, len(sample) - 1, count).astype(np.intp)]
    for _ in range(3):
        nearest = _squared_distances(sample, centres).argmin(axis=1)
        for cell in range(count):
            members = sample[nearest == cell]
            if len(members):
                centres[cell] = members.mean(axis=0)
    return centres


def _rings(centres: F32) -> Bool:
    """(R, C, C): whether a cell lies in that ring round another."""
    between = _squared_distances(centres, centres) + squared_norms(centres)[:, None]
    np.fill_diagonal(between, -np.inf)  # a cell is its own nearest, even where centres coincide
    rank = between.argsort(axis=1).argsort(axis=1)
    inner = (0, *RINGS)
    return np.stack([(low <= rank) & (rank < high) for low, high in zip(inner, RINGS, strict=False)])


def _check(features: F32, count: int, first: int) -> None:
    if features.ndim != 2 or features.shape[1] == 0:
        raise ConfigError(f"features must be (M, D), not {features.shape}")
    _check_count(len(features), count)
    if not 0 <= first < len(features):
        raise ConfigError(f"the first pick {first} is not one of {len(features)} features")
    for low in range(
        0, len(features), 4096
    ):  # in blocks: the sizes of all would take as much as the features
        largest = np.abs(features[low : low + 4096]).max()
        if not largest <= LARGEST:
            raise ScoreError(f"a feature is {largest:.0e}: the squares of distances would not be finite")


def _check_count(total: int, count: int) -> None:
    if not 1 <= count <= total:
        raise ConfigError(
            f"a coreset of {count} cannot be picked from {total} features",
            hint=f"ask for 1 to {total}" if total else None,
        )
