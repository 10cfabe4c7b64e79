"""Why a promise of false alarms may be broken: what the pictures at hand say, and no more than that."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from kizu.core.types import F32, F64
from kizu.decision.promise import Check, percent

CLEAR = 0.01
"""Good scores are called shifted where, were they exchangeable, so clear a shift had less than this probability."""
FEW = 20
"""With fewer calibration pictures chance moves a threshold far, and hides a shift."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known beside the counts."""

    calibration: F32 | F64
    """(n,) scores of the good pictures that set the threshold; none: they are not known."""
    measured: F32 | F64
    """(m,) scores of the good pictures that were measured."""
    siblings: int = 0
    """Calibration pictures that share a group with a picture that was fitted on."""
    groups: int | None = None
    """How many groups the calibration pictures are of; None: none are known."""


def likely_causes(check: Check, evidence: Evidence) -> tuple[str, ...]:
    """For a person, what may have broken the promise, or lets this threshold reject more than promised; else none."""
    promise = check.promise
    if promise is None or not check.is_exceeded:
        return ()
    causes = []
    if evidence.siblings:
        causes.append(
            f"siblings: {evidence.siblings} calibration pictures are of a group that was fitted on, and score lower"
            " than a stranger does; fit anew with whole groups on one side (--group)"
        )
    if evidence.groups is not None and evidence.groups < promise.rests_on:
        causes.append(
            f"siblings: the promise counts {promise.rests_on} calibration pictures, which are of {evidence.groups}"
            " groups only"
        )
    causes += _by_scores(evidence)
    if promise.rests_on < FEW:
        causes.append(
            f"few images: {promise.rests_on} set the threshold; one in ten thresholds of so few rejects more than"
            f" {percent(promise.rate_of(0.9))} of good parts though all is in order"
        )
    return tuple(causes)


def _by_scores(evidence: Evidence) -> list[str]:
    if len(evidence.calibration) == 0:
        return []
    higher, probability = rank_sum(evidence.calibration, evidence.measured)
    if probability < CLEAR:
        return [
            "a shift: good pictures score higher here than the calibration pictures as a whole"
            f" (in {percent(higher)} of pairs). Another lot, exposure or time, or calibration pictures that have"
            " siblings among the fitted ones (kizu data check shows them)"
        ]
    if len(evidence.calibration) < FEW:
        return []
    return [
        "single pictures: good ones as a whole score like the calibration pictures; look whether those rejected are"
        " really good, and of a kind that the calibration pictures hold"
    ]


def rank_sum(low: F32 | F64, high: F32 | F64) -> tuple[float, float]:
    """In which part of the pairs `high` (m,) is above `low` (n,), ties as a half, and how probable as much or more is.

    The normal approximation of Mann and Whitney's test with its corrections for continuity and ties, one-sided, for
    exchangeable scores.
    """
    n, m = len(low), len(high)
    _, place, count = np.unique(np.concatenate([low, high]), return_inverse=True, return_counts=True)
    ranks = np.cumsum(count) - (count - 1) / 2
    wins = float(ranks[place[n:]].sum()) - m * (m + 1) / 2
    ties = float((count.astype(float) ** 3 - count).sum()) / ((n + m) * (n + m - 1))
    variance = n * m / 12 * (n + m + 1 - ties)
    if variance <= 0:
        return 0.5, 1.0
    return wins / (n * m), float(ndtr(-(wins - n * m / 2 - 0.5) / np.sqrt(variance)))
