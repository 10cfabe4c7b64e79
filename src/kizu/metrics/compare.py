"""Is one method better than another, or were the images kind to it?

Both methods have scored the same images, so every comparison is paired.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from kizu.core.errors import ConfigError, DataError
from kizu.core.types import F64, I64, Bool
from kizu.metrics.ranking import RankingMetric, Reals, pair
from kizu.metrics.undefined import Undefined

LEAST_CATEGORIES = 5
"""With fewer, no difference between two methods could reach p = 0.05 in Wilcoxon's test."""


@dataclass(frozen=True, slots=True)
class Difference:
    """First minus second."""

    value: float
    low: float
    high: float
    p_value: float
    """Two-sided, of no difference."""
    method: str


def paired_bootstrap(
    labels: Bool,
    first: Reals,
    second: Reals,
    metric: RankingMetric,
    *,
    rng: np.random.Generator,
    resamples: int = 2000,
    level: float = 0.95,
) -> Difference:
    """The difference of a ranking metric, by redrawing images, the same for both methods, good and defective apart.

    `labels` (N,) True = defective; `first`, `second` (N,) raw scores. The interval is the percentile one; the p-value
    is twice the smaller part of resamples on one side of 0, at least 2 / (resamples + 1). Source: Efron and Tibshirani,
    An Introduction to the Bootstrap, 1993, chapters 13 and 16. Raises `Undefined` without both kinds of image.
    """
    if resamples < 1 or not 0 < level < 1:
        raise ConfigError(f"resamples must be at least 1 and level in (0, 1), got {resamples} and {level}")
    labels, first = pair(labels, first)
    _, second = pair(labels, second)
    value = metric(labels, first) - metric(labels, second)
    sides = np.flatnonzero(labels), np.flatnonzero(~labels)
    differences = np.empty(resamples)
    for index in range(resamples):
        drawn: I64 = np.concatenate([rng.choice(side, side.size) for side in sides])
        differences[index] = metric(labels[drawn], first[drawn]) - metric(labels[drawn], second[drawn])
    low, high = np.quantile(differences, [(1 - level) / 2, (1 + level) / 2])
    one_side = min(np.count_nonzero(differences <= 0), np.count_nonzero(differences >= 0))
    p_value = min(1.0, 2 * (one_side + 1) / (resamples + 1))
    return Difference(
        float(value), float(low), float(high), p_value, f"paired percentile bootstrap, {resamples} resamples"
    )


def delong(labels: Bool, first: Reals, second: Reals, *, level: float = 0.95) -> Difference:
    """The difference of two AUROCs on the same images, by the covariance of their structural components.

    DeLong, DeLong and Clarke-Pearson 1988, by the ranks of Sun and Xu, "Fast implementation of DeLong's algorithm",
    2014. Raises `Undefined` with fewer than two images of either kind.
    """
    labels, first = pair(labels, first)
    _, second = pair(labels, second)
    components = [structural_components(labels, scores) for scores in (first, second)]
    defective, good = (np.stack([c[side] for c in components]) for side in (0, 1))
    value = float(defective[0].mean() - defective[1].mean())
    covariance = np.cov(defective) / defective.shape[1] + np.cov(good) / good.shape[1]
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    error = np.sqrt(max(variance, 0.0))
    reach = float(ndtri((1 + level) / 2)) * error
    p_value = 1.0 if value == 0 else 0.0 if error == 0 else float(2 * ndtr(-abs(value) / error))
    return Difference(value, value - reach, value + reach, p_value, "DeLong")


def structural_components(labels: Bool, scores: Reals) -> tuple[F64, F64]:
    """For each defective image the part of good ones below it, and for each good one of defective ones above it.

    (m,) and (n,), equal scores counting half; the mean of either is the AUROC.
    """
    from scipy.stats import rankdata

    m, n = int(labels.sum()), int((~labels).sum())
    if m < 2 or n < 2:
        raise Undefined(f"{m} defective and {n} good images: two of each are needed")
    bad, good = scores[labels], scores[~labels]
    every = rankdata(np.concatenate([bad, good]))
    return (every[:m] - rankdata(bad)) / n, 1 - (every[m:] - rankdata(good)) / m


def wilcoxon_over_categories(first: Sequence[float], second: Sequence[float]) -> float:
    """The two-sided p-value that two methods do not differ over categories, one metric value each.

    Wilcoxon's signed-rank test (Demšar, "Statistical Comparisons of Classifiers over Multiple Data Sets", 2006);
    categories without a difference are left out. Raises `Undefined` where fewer than five differ.
    """
    if len(first) != len(second):
        raise DataError(f"{len(first)} and {len(second)} categories cannot be paired")
    differences = np.subtract(first, second)
    differing = differences[differences != 0]
    if differing.size < LEAST_CATEGORIES:
        raise Undefined(f"{differing.size} categories differ: {LEAST_CATEGORIES} are needed")
    from scipy.stats import wilcoxon

    return float(wilcoxon(differing).pvalue)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """p-values that hold for all comparisons together (Holm, "A simple sequentially rejective procedure", 1979)."""
    corrected: dict[str, float] = {}
    worst = 0.0
    for rank, (name, p_value) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_value))
        corrected[name] = worst
    return {name: corrected[name] for name in p_values}
