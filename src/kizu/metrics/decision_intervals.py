"""The uncertainty of what a threshold decides: two rates, of defective and of good images, and what is made of them.

The threshold is taken as it is, and the test set keeps its numbers of good and defective images: another mixture has
another precision, F1 and accuracy.
"""

from collections.abc import Callable
from math import hypot, inf, sqrt
from typing import NamedTuple

from kizu.metrics.decisions import Confusion
from kizu.metrics.intervals import Interval, rate_interval
from kizu.metrics.undefined import Undefined


class Estimate(NamedTuple):
    """A value with its limits."""

    value: float
    low: float
    high: float

    def scaled(self, factor: float, plus: float = 0.0) -> "Estimate":
        """`factor` > 0."""
        return Estimate(*(factor * number + plus for number in self))


def ratio(above: Estimate, below: Estimate) -> tuple[float, float]:
    """Limits of above / below, of estimates that do not depend on each other; infinite where `below` reaches 0.

    Source: Donner and Zou, "Closed-form confidence intervals for functions of the normal mean and standard deviation",
    2012, by the method of variance estimates recovery; the lower limit is multiplied out, so that nothing cancels.
    """
    product = above.value * below.value

    def root(top: float, bottom: float) -> float:
        taken = top * bottom * (2 * above.value - top) * (2 * below.value - bottom)
        return sqrt(max(product**2 - taken, 0.0))

    under = product + root(above.low, below.high)
    low = above.low * (2 * above.value - above.low) / under if under > 0 else 0.0
    scale = below.low * (2 * below.value - below.low)
    high = (product + root(above.high, below.low)) / scale if scale > 0 else inf
    return low, high


def decision_intervals(counts: Confusion, *, level: float = 0.95) -> dict[str, Interval]:
    """For each rate of `counts` that is defined, by the name it has there: its interval.

    Recall, escape, specificity and overkill are single rates: Wilson's score. Precision, F1 and accuracy are made of
    recall r and overkill o of m defective and n good images: precision = 1 / (1 + n o / (m r)), F1 = 2 / (1 + g) with
    g = (1 + n o / m) / r, accuracy = (m r + n (1 - o)) / (m + n); their limits come from those of r and o (Zou and
    Donner, "Construction of confidence limits about effect measures", 2008).
    """
    found: dict[str, Interval] = {}
    single = {
        "recall": (counts.tp, counts.defective),
        "escape_rate": (counts.fn, counts.defective),
        "specificity": (counts.tn, counts.good),
        "overkill_rate": (counts.fp, counts.good),
    }
    for name, (hits, count) in single.items():
        if count:
            found[name] = rate_interval(hits, count, level=level)
    for name, made in _MADE.items():
        try:
            value = getattr(counts, name)
        except Undefined:
            continue
        if not (counts.defective and counts.good):
            hits = counts.tp + counts.tn  # accuracy of one kind alone
            found[name] = rate_interval(hits, counts.defective + counts.good, level=level)
            continue
        recall, overkill = (
            Estimate(hits / count, found[key].low, found[key].high)
            for key, (hits, count) in single.items()
            if key in ("recall", "overkill_rate")
        )
        low, high = made(recall, overkill, counts.good / counts.defective)
        found[name] = Interval(min(low, value), max(high, value), level, "from Wilson's scores of two rates")
    return found


def _precision(recall: Estimate, overkill: Estimate, good_per_defective: float) -> tuple[float, float]:
    low, high = ratio(overkill.scaled(good_per_defective), recall)
    return 1 / (1 + high), 1 / (1 + low)


def _f1(recall: Estimate, overkill: Estimate, good_per_defective: float) -> tuple[float, float]:
    low, high = ratio(overkill.scaled(good_per_defective, plus=1.0), recall)
    return 2 / (1 + high), 2 / (1 + low)


def _accuracy(recall: Estimate, overkill: Estimate, good_per_defective: float) -> tuple[float, float]:
    of_defective, of_good = 1 / (1 + good_per_defective), good_per_defective / (1 + good_per_defective)
    value = of_defective * recall.value + of_good * (1 - overkill.value)
    down = hypot(of_defective * (recall.value - recall.low), of_good * (overkill.high - overkill.value))
    up = hypot(of_defective * (recall.high - recall.value), of_good * (overkill.value - overkill.low))
    return value - down, value + up


_MADE: dict[str, Callable[[Estimate, Estimate, float], tuple[float, float]]] = {
    "precision": _precision,
    "f1": _f1,
    "accuracy": _accuracy,
}
