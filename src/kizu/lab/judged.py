"""What fits said of painted flaws, and whether one said it better than another, picture by picture."""

from dataclasses import dataclass

import numpy as np

from kizu.core.randomness import rng_for
from kizu.core.types import F32, F64, I64, Bool

RESAMPLED = 1000
"""Draws of pictures, for an interval."""
LEVEL = 0.05
"""Chance that a difference lies beyond one end of its interval by chance."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What one fit said of a painted set."""

    scores: F32
    """(M,)"""
    owner: I64
    """(M,) as `PaintedSet.owner`"""
    side_px: I64
    """(M,) as `PaintedSet.side_px`"""
    groups: I64
    """(N,) as `PaintedSet.groups`: which of the pictures do not bear witness for themselves"""

    @property
    def is_flawed(self) -> Bool:
        """(M,)"""
        return self.side_px > 0

    def ranks(self) -> F64:
        """(F, N) of each flawed image and each good one 1 where the flawed one has the higher score, .5 where both have
        the same: the mean is the AUROC."""
        flawed, good = self.scores[self.is_flawed][:, None], self.scores[~self.is_flawed][None]
        return np.where(flawed > good, 1.0, np.where(flawed == good, 0.5, 0.0))

    def auroc(self, side_px: int | None = None) -> float:
        """Of all flaws, or of those of one side."""
        return float(self.ranks()[self._of(side_px)].mean())

    def table(self, side_px: int | None = None) -> F64:
        """(P, N) of the flaws of each painted picture, all or those of one side, against each good picture the mean of
        `ranks`: what may be resampled by pictures. The P painted ones are the first of the N."""
        of = self._of(side_px)
        owner, ranks = self.owner[self.is_flawed][of], self.ranks()[of]
        return np.stack([ranks[owner == number].mean(axis=0) for number in np.unique(owner)])

    def found(self, threshold: float, side_px: int) -> Bool:
        """(F',) which flaws of one side lie above a threshold, in the order of the pictures."""
        above: Bool = self.scores[self.side_px == side_px] > threshold
        return above

    @property
    def good(self) -> F32:
        """(N,) scores of the good pictures."""
        return self.scores[~self.is_flawed]

    def _of(self, side_px: int | None) -> Bool:
        sides = self.side_px[self.is_flawed]
        return np.ones(len(sides), bool) if side_px is None else sides == side_px


@dataclass(frozen=True, slots=True)
class Difference:
    """How much more of the flaws one fit tells from good pictures than another, in AUROC."""

    mean: float
    low: float
    high: float
    """From `low` to here chance explains it: groups of pictures drawn anew, each with its flaws."""

    @property
    def is_noise(self) -> bool:
        """Whether the interval has 0 in it."""
        return self.low <= 0 <= self.high


def compare(one: Judged, other: Judged, *, side_px: int | None = None, level: float = LEVEL) -> Difference:
    """`one` less `other`, of the same painted set: the flaws of one side, or all.

    Groups of pictures are resampled with all that was painted into them, and as the good pictures that they are. A flaw
    is compared with pictures of other groups than its own, since a group drawn twice would be compared with itself.
    `level`: the part of the draws beyond each end.
    """
    off = one.table(side_px) - other.table(side_px)  # (P, N)
    numbers, of = np.unique(one.groups, return_inverse=True)  # (N,)
    apart = (of[: len(off), None] != of[None]).astype(float)
    if not apart.any():  # one group: itself is all there is
        apart = np.ones_like(off)
    count = len(numbers)
    drawn_groups = rng_for(0, "compare").multinomial(count, np.full(count, 1 / count), RESAMPLED)
    counts = drawn_groups[:, of].astype(float)  # (draws, N)
    flawed = counts[:, : len(off)]
    weight = np.einsum("bp,pn,bn->b", flawed, apart, counts)
    total = np.einsum("bp,pn,bn->b", flawed, apart * off, counts)
    drawn = total[weight > 0] / weight[weight > 0]
    mean = float((off * apart).sum() / apart.sum())
    low, high = np.quantile(drawn, (level, 1 - level)) if len(drawn) else (mean, mean)
    return Difference(mean, float(min(low, mean)), float(max(high, mean)))
