"""Pictures that depend on each other: exposures of one part, neighbouring frames, the same part again.

Whether two pictures are siblings is asked of their finest marks (`likeness`), as the parts of one product look alike
without being siblings. A pair is joined where one of these holds, and the reason is kept:

- `detail`: they share nearly all of their fine detail (`SURE`), as only two pictures of one thing do;
- `series`: they share much of it (`ALIKE`), their numbers, times or lots say that they were taken together, and
  pictures that were taken far from them are much less like them (`STANDS_OUT`). Where the product itself repeats
  (boards of one design), far ones are just as like, so numbers prove nothing;
- `rare`: they share much of it, and hardly any other picture of the set does so with another (`RARE`).

Fine detail is what two share beyond what any two pictures of the set do, as those of parts in a fixture may. What is
alike and not joined is told as `unsure`: pictures alone cannot tell parts of one design from one part again.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from kizu.core.hashing import hash_bytes
from kizu.core.types import F32, I64
from kizu.core.work import Work
from kizu.data.evidence import Clue, Pair, Seen, Siblings
from kizu.data.likeness import (
    COARSE,
    Shared,
    Shift,
    difference_hash,
    loudness,
    nearest,
    shared_detail,
    shifts,
    small_of,
    spectrum,
)
from kizu.data.series import Series, read_series

SURE = 0.8
"""Fine detail that two pictures of one thing share, as a rule, and others do not. Chosen on good training pictures:
most exposures of one tile share more with another one, boards of one design up to .76. No bound: docs/choices.md has
what it misses and what it joins on others."""
ALIKE = 0.3
"""Fine detail that unrelated pictures do not share."""
OUTLINE = 0.6
"""So much of the coarse detail is shared too: what only the fine one shares is the camera's own pattern."""
STANDS_OUT = 1.5
"""So many times as like as the pictures that were taken far from either."""
RARE = 0.05
"""No more than this part of a set: of fewer than 40 pictures a single pair is more."""
LEAST_PEAK = 0.2
"""Of the coarse phases; of unrelated pictures 999 in 1000 stay below .16."""
CANDIDATES = 4
"""Of each picture by each clue."""
FAR_PAIRS, MOST_COMMON = 64, 0.95
"""Pictures that are compared with far ones to learn what any two share, and the most that this may be."""
PROMISING = 2
"""So many candidates of each are looked at closely before others are."""
_ROUND = 32
"""Pairs that are compared at a time: a number of its own, so that no result depends on how many cores there are."""


def find_siblings(
    pictures: Sequence[Seen], embeddings: F32 | None = None, *, work: Work = Work()
) -> Siblings:
    """Group pictures. The order in which they are given does not matter, nor does the number of cores.

    `embeddings`: (N, D), one row for each, further candidates from whoever has them. Memory: the details, and 64 kB for
    each picture beside them. Time: as the number of pictures, but for one product of N x N hashes, a block at a time.
    """
    order = sorted(
        range(len(pictures)), key=lambda i: (pictures[i].name, hash_bytes(pictures[i].detail.grey.tobytes()))
    )
    found = [pictures[i] for i in order]
    if len(found) < 2:
        return Siblings((), (), ())
    compared = _Compared(found, None if embeddings is None else embeddings[order], work)
    return compared.siblings()


class _Candidate(NamedTuple):
    i: int
    j: int
    shift: Shift


class _Measured(NamedTuple):
    i: int
    j: int
    shared: Shared


class _Blocks:
    """Disjoint sets, each called by its lowest member."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def first(self, index: int) -> int:
        while self._parent[index] != index:
            self._parent[index] = self._parent[self._parent[index]]
            index = self._parent[index]
        return index

    def join(self, i: int, j: int) -> None:
        i, j = self.first(i), self.first(j)
        self._parent[max(i, j)] = min(i, j)

    def are_joined(self, i: int, j: int) -> bool:
        return self.first(i) == self.first(j)


class _Compared:
    """One set, and what was found out about its pairs."""

    def __init__(self, pictures: Sequence[Seen], embeddings: F32 | None, work: Work) -> None:
        self._pictures = pictures
        self._work = work
        self._scale = float(np.median([seen.detail.scale for seen in pictures])) / COARSE
        self._small = [small_of(seen.detail, self._scale) for seen in pictures]
        self._spectra = np.stack([spectrum(small.grey) for small in self._small])
        self._hashes = np.stack([difference_hash(small.grey) for small in self._small])
        self._embeddings = embeddings
        self._series = read_series([s.name for s in pictures], [s.taken for s in pictures])
        self._blocks = _Blocks(len(pictures))
        self._common = self._share_common()
        self._clues: dict[tuple[int, int], tuple[Shared, Clue]] = {}

    def siblings(self) -> Siblings:
        """Join what is sure; then, of the rest, what its series or its rarity speaks for."""
        rest = [m for m in self._measure() if _is_alike(m.shared)]
        controls = _controls(len(self._pictures), rest, self._series)
        for m in sorted(self._open(rest), key=lambda m: (-m.shared.fine, m.i, m.j)):
            is_told = self._series.are_near(m.i, m.j) or self._series.share_lot(m.i, m.j)
            if is_told and m.shared.fine >= STANDS_OUT * max(controls[m.i], controls[m.j]):
                self._join(m, "series")
        alone = {self._blocks.first(k) for m in self._open(rest) for k in (m.i, m.j)}
        members = sum(self._blocks.first(k) in alone for k in range(len(self._pictures)))
        if members <= RARE * len(self._pictures):
            for m in sorted(self._open(rest), key=lambda m: (-m.shared.fine, m.i, m.j)):
                self._join(m, "rare")
        return Siblings(
            groups=self._groups(),
            joined=tuple(
                self._tell(i, j, shared, clue) for (i, j), (shared, clue) in sorted(self._clues.items())
            ),
            unsure=tuple(self._tell(m.i, m.j, m.shared, None) for m in sorted(self._open(rest))),
            common=self._common,
        )

    def _measure(self) -> list[_Measured]:
        """What pictures share with the most promising candidates of each; with all, where one of those is alike.

        Pairs that are joined by then are passed over; what is sure is joined.
        """
        waiting = sorted(self._candidates(), key=lambda c: (-c.shift.peak, c.i, c.j))
        seen: Counter[int] = Counter()
        first: list[_Candidate] = []
        later: list[_Candidate] = []
        for c in waiting:
            (first if min(seen[c.i], seen[c.j]) < PROMISING else later).append(c)
            seen.update((c.i, c.j))
        found = self._measure_each(first)
        alike = {k for m in found if _is_alike(m.shared) for k in (m.i, m.j)}
        return found + self._measure_each([c for c in later if c.i in alike or c.j in alike])

    def _measure_each(self, waiting: Sequence[_Candidate]) -> list[_Measured]:
        found: list[_Measured] = []
        for start in range(0, len(waiting), _ROUND):
            todo = [c for c in waiting[start : start + _ROUND] if not self._blocks.are_joined(c.i, c.j)]
            for c, shared in self._work.share(lambda: self._compare, todo):
                found.append(measured := _Measured(c.i, c.j, shared))
                if shared.fine >= SURE and shared.outline >= SURE:
                    self._join(measured, "detail")
            self._work.report("siblings", min(start + _ROUND, len(waiting)), len(waiting))
        return found

    def _compare(self, candidate: _Candidate) -> Shared:
        first, second = (self._pictures[k].detail for k in (candidate.i, candidate.j))
        return shared_detail(first, second, candidate.shift, self._scale).beyond(self._common)

    def _share_common(self) -> float:
        """The fine detail that any two share: the median of some pairs as far apart in the order of names as can be."""
        count = len(self._pictures)
        places = np.unique(np.linspace(0, count - 1, min(count, FAR_PAIRS)).astype(int))
        pairs = np.array(
            [sorted((k, (k + step) % count)) for k in places for step in (count // 2, count // 3) if step]
        )
        found = [
            shared_detail(self._pictures[c.i].detail, self._pictures[c.j].detail, c.shift, self._scale).fine
            if c.shift.peak >= LEAST_PEAK
            else 0.0
            for c in self._place(pairs)
        ]
        return min(MOST_COMMON, max(0.0, float(np.median(found))))

    def _candidates(self) -> Iterable[_Candidate]:
        """The pairs worth a closer look: what hashes, features and frequencies find nearest, and neighbours by name."""
        rows = [self._hashes, np.stack([loudness(small.grey) for small in self._small])]
        rows += [] if self._embeddings is None else [self._embeddings]
        pairs = {(i, j) for table in rows for i, j, _ in nearest(table, CANDIDATES)}
        pairs.update(self._series.neighbours())
        return (c for c in self._place(np.array(sorted(pairs))) if c.shift.peak >= LEAST_PEAK)

    def _place(self, pairs: I64) -> Iterator[_Candidate]:
        """Where the second of each pair lies on the first."""
        for (i, j), shift in zip(pairs.tolist(), shifts(self._spectra, pairs), strict=True):
            dy = shift.dy + self._small[i].top - self._small[j].top
            dx = shift.dx + self._small[i].left - self._small[j].left
            yield _Candidate(i, j, Shift(shift.peak, dy, dx))

    def _open(self, measured: Sequence[_Measured]) -> list[_Measured]:
        return [m for m in measured if not self._blocks.are_joined(m.i, m.j)]

    def _join(self, m: _Measured, clue: Clue) -> None:
        if not self._blocks.are_joined(m.i, m.j):
            self._blocks.join(m.i, m.j)
            self._clues[m.i, m.j] = m.shared, clue

    def _groups(self) -> tuple[tuple[str, ...], ...]:
        members: dict[int, list[str]] = {}
        for index, seen in enumerate(self._pictures):
            members.setdefault(self._blocks.first(index), []).append(seen.name)
        return tuple(tuple(names) for names in members.values() if len(names) > 1)

    def _tell(self, i: int, j: int, shared: Shared, clue: Clue | None) -> Pair:
        cosine = None
        if self._embeddings is not None:
            one, other = (self._embeddings[k] - self._embeddings.mean(axis=0) for k in (i, j))
            cosine = float(one @ other / max(float(np.linalg.norm(one) * np.linalg.norm(other)), 1e-12))
        return Pair(
            first=self._pictures[i].name,
            second=self._pictures[j].name,
            fine=shared.fine,
            outline=shared.outline,
            hash_bits=int((self._hashes[i] != self._hashes[j]).sum()),
            cosine=cosine,
            apart=_gap(self._series.numbers[[i, j]]),
            seconds=_gap(self._series.moments[[i, j]]),
            clue=clue,
        )


def _is_alike(shared: Shared) -> bool:
    return shared.fine >= ALIKE and shared.outline >= OUTLINE


def _controls(count: int, alike: Sequence[_Measured], series: Series) -> list[float]:
    """For each picture how much fine detail it shares with the most similar one that was taken far from it."""
    controls = [0.0] * count
    for m in alike:
        if series.are_far(m.i, m.j):
            controls[m.i] = max(controls[m.i], m.shared.fine)
            controls[m.j] = max(controls[m.j], m.shared.fine)
    return controls


def _gap(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float | None:
    gap = abs(float(values[0] - values[1]))
    return None if np.isnan(gap) else gap
