"""The uncertainty of an AUPRC (average precision) over images, for test sets with this mixture of both kinds.

Its influence function takes the place of DeLong's parts: what the value would move by, were there a little more of an
image. For precision p = TP / (TP + FP) at a defective image's score, a defective one at or above it moves p by
FP / (TP + FP)^2 and a good one by -TP / (TP + FP)^2. The rest is as for an AUROC (`worth`): docs/intervals.md.
"""

from typing import NamedTuple

import numpy as np

from kizu.core.types import F64, I64, Bool
from kizu.metrics.intervals import Interval, check_level
from kizu.metrics.ranking import Reals, pair
from kizu.metrics.undefined import Undefined
from kizu.metrics.worth import Kind, Worth, weigh

PRIOR_RATIOS = (0.35, 0.15)
"""Defective, good: the assumed variance of one image, as a part of the most that one can take from the value."""


class Influence(NamedTuple):
    """Of m defective and n good images on the AUPRC."""

    value: float
    bad: F64
    """(m,) of mean 0"""
    good: F64
    """(n,) of mean 0"""
    lost_bad: F64
    """(m,) 1 - precision at the image's score"""
    lost_good: F64
    """(n,) the alarms of this image, each weighed as a part of those it shares the loss of precision with"""


def influence(bad: Reals, good: Reals) -> Influence:
    """Of scores (m,) of defective and (n,) of good images."""
    m, n = bad.size, good.size
    levels, which, count = np.unique(bad, return_inverse=True, return_counts=True)  # rising (T,)
    alarms = n - np.searchsorted(np.sort(good), levels, "left")
    found = np.cumsum(count[::-1])[::-1]
    rejected = found + alarms
    precision = found / rejected
    value = float((count * precision).sum() / m)
    by_bad, by_good = count / m * alarms / rejected**2, count / m * found / rejected**2
    reached = np.searchsorted(levels, good, "right")  # (n,) levels at or below each good score
    return Influence(
        value,
        bad=precision[which] + m * np.cumsum(by_bad)[which] - (by_bad * found).sum() - value,
        good=(by_good * alarms).sum() - n * _up_to(by_good, reached),
        lost_bad=1 - precision[which],
        lost_good=_up_to(count / m / rejected, reached),
    )


def _up_to(shares: F64, reached: I64) -> F64:
    total: F64 = np.concatenate([[0.0], np.cumsum(shares)])[reached]
    return total


def auprc_worth(labels: Bool, scores: Reals) -> Worth:
    """Of N images: labels (N,) True = defective, raw scores (N,). Errors as `rank`; `Undefined` with fewer than two
    images of either kind."""
    labels, scores = pair(labels, scores)
    m, n = int(labels.sum()), int((~labels).sum())
    if m < 2 or n < 2:
        raise Undefined(f"{m} defective and {n} good images: two of each are needed")
    found = influence(scores[labels], scores[~labels])
    # What one image takes at its worst place: below all, of precision n / (m + n); above all, of the k-th found
    # precision 1 / (k + 1).
    most = n / (m * (m + n)), float((1 / np.arange(2, m + 2)).sum()) / m
    return weigh(
        found.value,
        (
            Kind(found.bad, found.lost_bad, PRIOR_RATIOS[0] * most[0]),
            Kind(found.good, found.lost_good, PRIOR_RATIOS[1] * most[1]),
        ),
    )


def auprc_interval(labels: Bool, scores: Reals, *, level: float = 0.95) -> Interval:
    """Of the AUPRC of N images, labels (N,) True = defective and raw scores (N,); errors as `auprc_worth`."""
    worth = auprc_worth(labels, scores)
    low, high = worth.limits(check_level(level), from_one_side=True)
    side = ", one-sided" if worth.value == 1 else ""
    return Interval(low, high, level, f"variance by influence in Wilson's score{side}")
