"""Two methods on the same images, judged fold by fold: scores of different fits are never compared with each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from kizu.core.errors import DataError
from kizu.core.types import F32, F64, I64, Bool

LEAST_GROUPS = 5
"""Of defects and of good images; fewer tell nothing of chance."""


@dataclass(frozen=True, slots=True)
class FoldScores:
    """N images that one fit of each method had not seen."""

    defective: Bool
    """(N,)"""
    first: F32
    """(N,) scores of one method"""
    second: F32
    """(N,) of the other"""
    groups: I64
    """(N,) which images are no independent ones"""


@dataclass(frozen=True, slots=True)
class FoldDifference:
    """AUROC within folds, and first minus second."""

    first: float
    second: float
    low: float
    """Of the difference, at the level that was asked for"""
    high: float

    @property
    def value(self) -> float:
        """The difference."""
        return self.first - self.second


def compare_folds(folds: Sequence[FoldScores], level: float = 0.95) -> FoldDifference:
    """The AUROC of both methods over all pairs of a defect and a good image of one fold, each defect counting alike,
    and an interval of the difference.

    The variance is DeLong's (DeLong, DeLong & Clarke-Pearson, Biometrics 44, 1988), over groups as clusters
    (Obuchowski, Biometrics 53, 1997), and the interval Student's, with the degrees of freedom of the smaller of both
    numbers of groups. That the fits of different folds share images is not in it; no unbiased estimate of that exists
    (Bengio & Grandvalet, JMLR 5, 2004). Raises `DataError` for fewer than five groups of defects or of good images, or
    a fold with only one of both.
    """
    from scipy.stats import t

    places = [[_placements(fold.defective, scores) for scores in (fold.first, fold.second)] for fold in folds]
    groups = [(fold.groups[fold.defective], fold.groups[~fold.defective]) for fold in folds]
    counts = np.array([len(own) for own, _ in groups])
    total = int(counts.sum())
    first, second = (float(sum(place[method][0].sum() for place in places) / total) for method in (0, 1))
    of_defects = np.concatenate([one[0] - other[0] for one, other in places])
    of_defects -= of_defects.mean()
    of_good = np.concatenate(
        [
            (one[1] - other[1] - (one[1] - other[1]).mean()) * (count / total) / len(own[1])
            for (one, other), own, count in zip(places, groups, counts, strict=True)
        ]
    )
    kinds = [np.concatenate([own[side] for own in groups]) for side in (0, 1)]
    clusters = [len(np.unique(kind)) for kind in kinds]
    if min(clusters) < LEAST_GROUPS:
        raise DataError(
            f"{clusters[0]} parts with defects and {clusters[1]} good ones cannot tell two methods apart",
            hint=f"at least {LEAST_GROUPS} of each; 20 and more tell something",
        )
    variance = _clustered(of_defects / total, kinds[0]) + _clustered(of_good, kinds[1])
    reach = float(t.ppf((1 + level) / 2, min(clusters) - 1)) * sqrt(variance)
    value = first - second
    return FoldDifference(first, second, max(-1.0, value - reach), min(1.0, value + reach))


def _placements(defective: Bool, scores: F32) -> tuple[F64, F64]:
    """Of each defect the part of good images below it, of each good image the part of defects above it; ties a half."""
    flawed, good = scores[defective], scores[~defective]
    if len(flawed) == 0 or len(good) == 0:
        raise DataError("a fold has defects or good images alone", hint="take fewer folds")
    above = (flawed[:, None] > good).astype(np.float64) + 0.5 * (flawed[:, None] == good)
    return above.mean(axis=1), above.mean(axis=0)


def _clustered(parts: F64, groups: I64) -> float:
    """The variance of the sum of `parts`, which sum to 0, where those of one group move together."""
    _, numbers = np.unique(groups, return_inverse=True)
    sums = np.bincount(numbers.reshape(-1), weights=parts)
    return float(np.sum(sums**2) * len(sums) / max(len(sums) - 1, 1))
