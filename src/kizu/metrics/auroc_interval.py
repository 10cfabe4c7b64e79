"""The uncertainty of an AUROC that may be near 1, where most methods are too sure of themselves.

An AUROC is the mean over defective images of the part of good ones below each, and the mean over good images of the
part of defective ones above: DeLong, DeLong and Clarke-Pearson (1988) take its variance from these parts. Here they are
joined by images that are assumed (`worth`), and Wilson's score makes limits within [0, 1]; Newcombe, "Confidence
intervals for an effect size measure based on the Mann-Whitney statistic, part 2", 2006, does so with the variance of
Hanley and McNeil's model (1982) alone. How often the result covers was measured: docs/intervals.md.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np

from kizu.core.types import F64, Bool
from kizu.metrics.intervals import Interval, check_level
from kizu.metrics.ranking import Reals, pair
from kizu.metrics.undefined import Undefined
from kizu.metrics.worth import Kind, Worth, weigh

PRIOR_RATIO = 0.2
"""Of the variance of a part to that of a yes-or-no decision. Hanley and McNeil's are (1 - a) / (2 - a) for good and
a / (1 + a) for defective images: 0 and 1/2 as a goes to 1."""


FEW, MANY, TIMES = 12, 100, 8
"""With fewer images of one kind, or a smaller part, beside so many of the other an interval near 1 is wider than it
says (.97 to .98)."""


def structural_components(labels: Bool, scores: Reals) -> tuple[F64, F64]:
    """For each defective image the part of good ones below it, and for each good one of defective ones above it.

    (m,) and (n,), equal scores counting half; the mean of either is the AUROC. Raises `Undefined` with fewer than two
    images of either kind.
    """
    from scipy.stats import rankdata

    m, n = int(labels.sum()), int((~labels).sum())
    if m < 2 or n < 2:
        raise Undefined(f"{m} defective and {n} good images: two of each are needed")
    bad, good = scores[labels], scores[~labels]
    every = rankdata(np.concatenate([bad, good]))
    return (every[:m] - rankdata(bad)) / n, 1 - (every[m:] - rankdata(good)) / m


@dataclass(frozen=True, slots=True)
class AurocEvidence:
    """What images tell of an AUROC and of its uncertainty."""

    worth: Worth
    parts: tuple[F64, F64]
    """Structural components: (m,) of defective and (n,) of good images."""

    @property
    def value(self) -> float:
        return self.worth.value


def auroc_evidence(labels: Bool, scores: Reals) -> AurocEvidence:
    """Of N images: labels (N,) True = defective, raw scores (N,). Errors as `rank`; `Undefined` with fewer than two
    images of either kind."""
    labels, scores = pair(labels, scores)
    parts = structural_components(labels, scores)
    value = float(parts[0].mean())
    kinds = [
        Kind(moved=part, lost=1 - part if value >= 0.5 else part, prior=PRIOR_RATIO / part.size)
        for part in parts
    ]
    return AurocEvidence(weigh(value, kinds), parts)


def auroc_interval(labels: Bool, scores: Reals, *, level: float = 0.95) -> Interval:
    """Of the AUROC of N images, labels (N,) True = defective and raw scores (N,); errors as `auroc_evidence`, and
    `Undefined` for few images of one kind among very many."""
    few, many = sorted((int(labels.sum()), int((~np.asarray(labels)).sum())))
    needed = max(FEW, many // TIMES) if many >= MANY else 2
    if 2 <= few < needed:
        raise Undefined(f"{few} images of one kind beside {many} of the other: {needed} are needed")
    worth = auroc_evidence(labels, scores).worth
    low, high = worth.limits(check_level(level), from_one_side=True)
    side = ", one-sided" if worth.value in (0, 1) else ""
    return Interval(low, high, level, f"DeLong's variance in Wilson's score{side}")


def correlation(first: AurocEvidence, second: AurocEvidence) -> float:
    """Of two AUROCs on the same images, in [-1, 1], by DeLong's covariance; 0 where a perfect one leaves it unknown."""
    sides = zip(first.parts, second.parts, strict=True)
    covariance = np.sum([np.cov(*parts) / parts[0].size for parts in sides], axis=0)  # (2, 2)
    scale = sqrt(covariance[0, 0] * covariance[1, 1])
    return min(1.0, max(-1.0, float(covariance[0, 1]) / scale)) if scale > 0 else 0.0
