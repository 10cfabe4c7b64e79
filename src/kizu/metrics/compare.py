"""Is one method better than another, or were the images kind to it?

Both methods have scored the same images, so every comparison is paired.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from kizu.core.errors import ConfigError, DataError
from kizu.core.types import Bool
from kizu.metrics.auroc_interval import AurocEvidence, auroc_evidence, correlation
from kizu.metrics.intervals import check_level
from kizu.metrics.ranking import RankingMetric, Reals, pair
from kizu.metrics.undefined import Undefined

LEAST_CATEGORIES = 6
"""With fewer, no difference between two methods could reach p = 0.05 in Wilcoxon's test: n give at least 2 / 2^n."""


@dataclass(frozen=True, slots=True)
class Difference:
    """First minus second."""

    value: float
    low: float | None
    """None, as `high`: no interval is known that covers."""
    high: float | None
    p_value: float
    """Two-sided, of no difference."""
    method: str


LEAST_IMAGES = 6
"""As `LEAST_CATEGORIES`: fewer that change places could not reach p = 0.05."""
BISECTIONS = 40


def delong(labels: Bool, first: Reals, second: Reals, *, level: float = 0.95) -> Difference:
    """The difference of two AUROCs on the same N images: `labels` (N,) True = defective, raw scores (N,) of both.

    Limits: those of each AUROC (`auroc_interval`), joined by their correlation (DeLong, DeLong and Clarke-Pearson 1988)
    as in Zou and Donner, "Construction of confidence limits about effect measures", 2008. The p-value is the largest of
    DeLong's own, which is 0 where a variance is, that of the level at which the limits reach 0, and the least that any
    exchange of the methods image by image could give. Two methods that put all images in the same order do not differ.
    Raises `Undefined` with fewer than two images of either kind, or than `LEAST_IMAGES` together.
    """
    labels, first = pair(labels, first)
    _, second = pair(labels, second)
    method = "DeLong, limits joined"
    one, other = auroc_evidence(labels, first), auroc_evidence(labels, second)
    if labels.size < LEAST_IMAGES:
        raise Undefined(f"{labels.size} images: {LEAST_IMAGES} are needed")
    orders = [np.unique(scores, return_inverse=True)[1] for scores in (first, second)]
    if np.array_equal(orders[0], orders[1]):
        return Difference(0.0, 0.0, 0.0, 1.0, method)
    value = one.value - other.value
    together = correlation(one, other)
    low, high = _limits_of_difference(one, other, together, check_level(level))
    inside, outside = 0.0, 1.0  # levels whose interval leaves 0 out, and holds it
    for _ in range(BISECTIONS if value != 0 else 0):
        middle = (inside + outside) / 2
        under, over = _limits_of_difference(one, other, together, middle)
        inside, outside = (inside, middle) if under <= 0 <= over else (middle, outside)
    p_value = max(1 - inside, _delongs_p(one, other), 2.0 ** (1 - labels.size))
    return Difference(value, low, high, p_value, method)


def _delongs_p(one: AurocEvidence, other: AurocEvidence) -> float:
    value = one.value - other.value
    apart = [mine - its for mine, its in zip(one.parts, other.parts, strict=True)]
    error = sqrt(sum(float(part.var(ddof=1)) / part.size for part in apart))
    return 1.0 if value == 0 else 0.0 if error == 0 else float(2 * ndtr(-abs(value) / error))


def _limits_of_difference(
    one: AurocEvidence, other: AurocEvidence, together: float, level: float
) -> tuple[float, float]:
    value = one.value - other.value
    (low, high), (other_low, other_high) = one.worth.limits(level), other.worth.limits(level)

    def reach(mine: float, its: float) -> float:
        return sqrt(max(0.0, mine**2 + its**2 - 2 * together * mine * its))

    down = reach(one.value - low, other_high - other.value)
    up = reach(high - one.value, other.value - other_low)
    return max(-1.0, value - down), min(1.0, value + up)


def exchange_test(
    labels: Bool,
    first: Reals,
    second: Reals,
    metric: RankingMetric,
    *,
    rng: np.random.Generator,
    exchanges: int = 2000,
) -> Difference:
    """The difference of a ranking metric on the same N images, and whether chance could have made it: no interval.

    If the methods are alike, the rank that an image has in one and the rank that it has in the other may change places.
    All do so at random, `exchanges` times; p is the part of times, that of the data among them, in which the difference
    is as large: never below 1 / (exchanges + 1). Source: Bandos, Rockette and Gur, "A permutation test sensitive to
    differences in areas for comparing ROC curves from a paired design", 2005. Errors as the metric; `ConfigError` for
    fewer than one exchange.
    """
    from scipy.stats import rankdata

    if exchanges < 1:
        raise ConfigError(f"exchanges must be at least 1, got {exchanges}")
    labels, first = pair(labels, first)
    _, second = pair(labels, second)
    value = metric(labels, first) - metric(labels, second)
    ranks = rankdata(first), rankdata(second)
    as_large = 1
    for _ in range(exchanges):
        change = rng.random(labels.size) < 0.5
        mixed = metric(labels, np.where(change, *ranks)) - metric(labels, np.where(change, *ranks[::-1]))
        as_large += abs(mixed) >= abs(value) - 1e-12
    return Difference(
        float(value), None, None, as_large / (exchanges + 1), f"ranks exchanged, {exchanges} times"
    )


def wilcoxon_over_categories(first: Sequence[float], second: Sequence[float]) -> float:
    """The two-sided p-value that two methods do not differ over categories, one metric value each.

    Wilcoxon's signed-rank test (Demšar, "Statistical Comparisons of Classifiers over Multiple Data Sets", 2006);
    categories without a difference are left out. Raises `Undefined` where fewer than six differ.
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


def exchange_verdicts(labels: Bool, first: Bool, second: Bool) -> Difference:
    """The difference of F1 of two sets of verdicts on the same N images: labels (N,) True = defective, verdicts (N,)
    True = rejected. No interval.

    As `exchange_test`, of verdicts in place of ranks: if the two are alike, the verdicts that an image has in one and
    in the other may change places. All exchanges are counted: F1 knows of them only how many defective and how many
    good images the first alone rejects, two binomial numbers. Raises `Undefined` without both kinds of images.
    """
    labels, first, second = (np.asarray(values, bool) for values in (labels, first, second))
    if not labels.size == first.size == second.size:
        raise DataError(f"{labels.size} labels, {first.size} and {second.size} verdicts")
    if labels.all() or not labels.any():
        raise Undefined("F1 needs good and defective images")
    from scipy.stats import binom

    differ = first != second
    defective = int(labels.sum())
    agreed = [int((first & second & side).sum()) for side in (labels, ~labels)]
    bad, good = (int((differ & side).sum()) for side in (labels, ~labels))
    own, others = np.arange(bad + 1)[:, None], np.arange(good + 1)[None]  # what the first alone rejects

    def f1(hits: Any, alarms: Any) -> Any:
        return 2 * (agreed[0] + hits) / (agreed[0] + hits + agreed[1] + alarms + defective)

    apart = f1(own, others) - f1(bad - own, good - others)  # (bad + 1, good + 1)
    value = float(apart[int((first & differ & labels).sum()), int((first & differ & ~labels).sum())])
    chance = binom.pmf(own, bad, 0.5) * binom.pmf(others, good, 0.5)
    p_value = min(1.0, float(chance[np.abs(apart) >= abs(value) - 1e-12].sum()))
    return Difference(value, None, None, p_value, "verdicts exchanged, all ways")


def contrast_aurocs(
    labels: Bool, scores: Sequence[Reals], weights: Sequence[float], *, level: float = 0.95
) -> Difference:
    """A weighted sum of AUROCs on the same N images, and whether chance could have made it: such as what one method
    loses less what another does, of four.

    DeLong, DeLong and Clarke-Pearson 1988, eq. 5: the variance of a linear contrast, with the normal limits that they
    give; near an AUROC of 1, and of few images, these are too narrow. Raises `Undefined` with fewer than
    `LEAST_IMAGES` images, or than two of either kind, and where the variance is 0 though the contrast is not.
    """
    parts = [auroc_evidence(labels, one).parts for one in scores]
    if len(labels) < LEAST_IMAGES:
        raise Undefined(f"{len(labels)} images: {LEAST_IMAGES} are needed")
    bad, good = (
        sum(weight * part[side] for weight, part in zip(weights, parts, strict=True)) for side in (0, 1)
    )
    value = float(np.mean(bad))
    error = sqrt(sum(float(np.var(side, ddof=1)) / np.size(side) for side in (bad, good)))
    if error == 0 and abs(value) > 1e-12:
        raise Undefined("no image differs from another, so how far chance reaches is not known")
    if error == 0:
        return Difference(0.0, 0.0, 0.0, 1.0, "DeLong's contrast")
    reach = float(ndtri((1 + check_level(level)) / 2)) * error
    p_value = float(2 * ndtr(-abs(value) / error))
    return Difference(value, value - reach, value + reach, p_value, "DeLong's contrast")
