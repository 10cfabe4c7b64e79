"""How well raw scores rank defective samples above good ones, whatever the threshold.

Every metric here is a function of a `Ranking`: at each distinct score of a defective sample, how many good
samples lie above it and how many at it. That is all a falling threshold can reveal, so the good scores are
sorted by value (vectorised in NumPy 2, some 20 times faster than an argsort) and never stored in order.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kizu.core.errors import ConfigError, DataError, ScoreError
from kizu.core.threads import cores, in_order
from kizu.core.types import F64, I64, Bool
from kizu.metrics.undefined import Undefined

Reals = NDArray[np.floating[Any]]
"""Scores of any float width: float32 is not widened, float64 not rounded."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """What a threshold meets while it falls through T distinct scores of the defective samples.

    The counts may have leading axes: one bootstrap resample per row.
    """

    scores: Reals  # (T,) falling
    hits: I64  # (..., T) defective samples with exactly this score
    alarms_above: I64  # (..., T) good samples with a higher score
    alarms: I64  # (..., T) good samples with this score or a higher one
    defective: int
    good: int
    noun: str  # what is counted, for the reason when something is missing

    def require_both_kinds(self) -> None:
        """Raise `Undefined` unless there are defective and good samples: without both, nothing is ranked."""
        for count, kind in ((self.defective, "defective"), (self.good, "good")):
            if count == 0:
                raise Undefined(f"no {kind} {self.noun}")

    @property
    def found(self) -> I64:
        """(..., T) defective samples with this score or a higher one."""
        return np.cumsum(self.hits, axis=-1)


def rank(labels: Bool, scores: Reals, *, noun: str = "samples") -> Ranking:
    """Rank N samples: `labels` (N,) True = defective, `scores` (N,) higher = more anomalous.

    Raises `DataError` for arrays that do not match, `ScoreError` for a score that is not finite.
    """
    labels, scores = pair(labels, scores)
    levels, hits = np.unique(scores[labels], return_counts=True)
    above, level, good = count_alarms(levels, [scores[~labels]])
    return Ranking(levels[::-1], hits[::-1], above[::-1], level[::-1], labels.size - good, good, noun)


def pair(labels: Bool, scores: Reals) -> tuple[Bool, Reals]:
    """Both as arrays (N,), labels boolean and scores finite floats; or the error that `rank` names."""
    labels, scores = np.asarray(labels), np.asarray(scores)
    if labels.ndim != 1 or labels.shape != scores.shape:
        raise DataError(f"labels have shape {labels.shape} and scores {scores.shape}; both must be (N,)")
    if labels.dtype != np.bool_:
        raise DataError(f"labels must be boolean (True = defective), got {labels.dtype}")
    if not np.issubdtype(scores.dtype, np.floating):
        scores = scores.astype(np.float64)
    finite = np.isfinite(scores)
    if not finite.all():
        index = int(np.argmin(finite))
        raise ScoreError(f"score {index} is {scores[index]}", hint="metrics need finite scores")
    return labels, scores


def count_alarms(levels: Reals, good_chunks: Iterable[Reals]) -> tuple[I64, I64, int]:
    """For each of `levels` (T,), rising: the good scores above it, and those at or above it; and their total.

    The good scores come in chunks, so that they need not be in memory at once. Each is sorted in place; each core takes
    one at a time.
    """

    def count(chunk: Reals) -> tuple[I64, I64]:
        chunk.sort()
        sides = (np.searchsorted(chunk, levels, side=side) for side in ("right", "left"))
        above, level = (chunk.size - below for below in sides)
        return above, level

    above, level = np.zeros(levels.size, np.int64), np.zeros(levels.size, np.int64)
    good = 0
    workers = cores()
    for chunk, (above_here, level_here) in in_order(count, good_chunks, workers=workers, ahead=workers + 1):
        above += above_here
        level += level_here
        good += chunk.size
    return above, level, good


def area_shares(ranking: Ranking, limit: float) -> F64:
    """(..., T): what finding a sample of each score adds to the mean of a curve over the rates in [0, limit].

    A curve (ROC or PRO) joins its points at all distinct scores by straight lines. A sample with score s is
    missed up to the point before s, at the rate a = P(good > s), and found from the point at s on, at the
    rate b = P(good >= s); between them the line rises from 0 to 1. Cutting this ramp at the limit is the
    linear interpolation there. Since areas add up, a whole curve is a weighted sum of these shares.
    """
    ranking.require_both_kinds()
    width = limit * ranking.good
    start = np.minimum(ranking.alarms_above, width)
    stop = np.minimum(ranking.alarms, width)
    ramp = np.maximum(ranking.alarms - ranking.alarms_above, 1)  # where it is 0, stop == start
    share: F64 = (width - stop + (stop - start) ** 2 / (2 * ramp)) / width
    return share


@dataclass(frozen=True, slots=True)
class RankingMetric:
    """A metric of a `Ranking`, callable on labels (N,) and scores (N,) as well.

    Both forms raise `Undefined` without defective or without good samples.
    """

    compute: Callable[[Ranking], F64]

    def of(self, ranking: Ranking) -> F64:
        """The metric of each row of `ranking`: shape (...)."""
        ranking.require_both_kinds()
        return self.compute(ranking)

    def __call__(self, labels: Bool, scores: Reals) -> float:
        """The metric of N labels (True = defective) and raw scores; errors as in `rank`."""
        return float(self.of(rank(labels, scores)))


@RankingMetric
def auroc(ranking: Ranking) -> F64:
    """Area under the ROC curve: P(defective > good) + P(equal) / 2 for a random pair."""
    area: F64 = (ranking.hits * area_shares(ranking, limit=1.0)).sum(axis=-1) / ranking.defective
    return area


@RankingMetric
def auprc(ranking: Ranking) -> F64:
    """Average precision: precision at each threshold weighted by its gain in recall, not interpolated."""
    found = ranking.found
    precision = found / np.maximum(found + ranking.alarms, 1)  # a resample may start with nothing found
    average: F64 = (ranking.hits * precision).sum(axis=-1) / ranking.defective
    return average


def fpr_at_tpr(tpr: float) -> RankingMetric:
    """The metric: the lowest false-positive rate that finds at least the fraction `tpr` of the defects."""
    if not 0 < tpr <= 1:
        raise ConfigError(f"a true-positive rate is in (0, 1], got {tpr}")

    @RankingMetric
    def metric(ranking: Ranking) -> F64:
        wanted = np.ceil(tpr * ranking.defective - 1e-9)  # 0.95 * 20 must stay 19 in floating point
        first = np.argmax(ranking.found >= wanted, axis=-1)
        rate: F64 = np.take_along_axis(ranking.alarms, first[..., None], axis=-1)[..., 0] / ranking.good
        return rate

    return metric


class OracleF1(NamedTuple):
    """The best F1 and a threshold that reaches it (NG when strictly above): only hindsight knows either."""

    value: float
    threshold: float


def oracle_f1_of(ranking: Ranking) -> OracleF1:
    """The best F1 that any threshold reaches on `ranking`; of several such thresholds the highest.

    Only thresholds just below a defective score matter: falling on through good scores costs precision alone.
    """
    ranking.require_both_kinds()
    found = ranking.found
    f1 = 2 * found / (found + ranking.alarms + ranking.defective)
    best = int(np.argmax(f1))
    just_below = np.nextafter(ranking.scores[best], -np.inf, dtype=ranking.scores.dtype)
    return OracleF1(float(f1[best]), float(just_below))


def oracle_f1_max(labels: Bool, scores: Reals) -> OracleF1:
    """`oracle_f1_of` for labels (N,) and scores (N,); errors as in `rank`, or `Undefined`."""
    return oracle_f1_of(rank(labels, scores))


class Curve(NamedTuple):
    """A line to draw: `x` and `y` of shape (V,), x never falling."""

    x: F64
    y: F64


def roc_curve(labels: Bool, scores: Reals) -> Curve:
    """False-positive rate against true-positive rate, equal scores merged, corners only.

    Between two defective scores the line is level, so two points per defective score draw it exactly.
    """
    ranking = rank(labels, scores)
    ranking.require_both_kinds()
    alarms = np.stack([ranking.alarms_above, ranking.alarms], axis=1).ravel()  # (2T,)
    found = np.stack([ranking.found - ranking.hits, ranking.found], axis=1).ravel()  # (2T,)
    points = np.stack([alarms / ranking.good, found / ranking.defective], axis=1)
    points = np.concatenate([[[0.0, 0.0]], points, [[1.0, 1.0]]])
    moved = np.concatenate([[True], np.any(np.diff(points, axis=0) != 0, axis=1)])
    return Curve(points[moved, 0], points[moved, 1])


def pr_curve(labels: Bool, scores: Reals) -> Curve:
    """Recall against precision at each distinct defective score, equal scores merged; draw it as steps."""
    ranking = rank(labels, scores)
    ranking.require_both_kinds()
    found = ranking.found
    return Curve(found / ranking.defective, found / (found + ranking.alarms))
