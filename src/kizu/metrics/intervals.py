"""How far a number would move with other images of the same kinds.

All of it holds for pictures that do not depend on each other. Where several are of one part or one moment, the true
uncertainty is larger: it is then that of so many parts, not of so many pictures.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy.special import ndtri, stdtrit

from kizu.core.errors import ConfigError
from kizu.metrics.undefined import Undefined


@dataclass(frozen=True, slots=True)
class Interval:
    """In `level` of repetitions with other images such an interval should hold the true value; docs/intervals.md has
    how often it did."""

    low: float
    high: float
    level: float
    method: str


def check_level(level: float) -> float:
    """The same, or `ConfigError`."""
    if not 0 < level < 1:
        raise ConfigError(f"a level is in (0, 1), got {level}")
    return level


def score_limits(value: float, images: float, quantile: float) -> tuple[float, float]:
    """The values p in [0, 1] with |`value` - p| <= `quantile` sqrt(p (1 - p) / `images`), lowest and highest.

    `images`: how many independent yes-or-no decisions the value is worth, not necessarily a whole number.
    Source: Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
    """
    square = quantile**2
    middle = (value + square / (2 * images)) / (1 + square / images)
    reach = quantile / (1 + square / images) * sqrt(value * (1 - value) / images + square / (4 * images**2))
    # A value at an end of the range is its own limit there; rounding must not move it.
    low = 0.0 if value == 0 else max(0.0, middle - reach)
    high = 1.0 if value == 1 else min(1.0, middle + reach)
    return low, high


def rate_interval(hits: int, count: int, *, level: float = 0.95) -> Interval:
    """Of the rate `hits` / `count`, by Wilson's score.

    It covers .94 to .96 on average over a range of rates, where Clopper and Pearson's covers up to .99.
    Raises `Undefined` for a count of 0, `ConfigError` for hits outside.
    """
    if not 0 <= hits <= max(count, 0):
        raise ConfigError(f"{hits} of {count} is not a rate")
    if count == 0:
        raise Undefined("nothing was counted")
    quantile = float(ndtri((1 + check_level(level)) / 2))
    low, high = score_limits(hits / count, count, quantile)
    return Interval(low, high, level, f"Wilson's score, {count} images")


def mean_interval(
    values: Sequence[float], *, level: float = 0.95, bounds: tuple[float, float] = (-np.inf, np.inf)
) -> Interval:
    """Of the mean of independent repetitions (seeds), by Student's t, within the `bounds` that the value has anyway.

    Raises `Undefined` for fewer than two, and where all are equal: how far others would be from them is then not known.
    """
    if len(values) < 2:
        raise Undefined(f"{len(values)} repetition(s): two are needed")
    if min(values) == max(values):
        raise Undefined(f"{len(values)} equal repetitions do not show how far others would be")
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    reach = float(stdtrit(len(values) - 1, (1 + check_level(level)) / 2) * error)
    mean = float(np.mean(values))
    low, high = max(bounds[0], mean - reach), min(bounds[1], mean + reach)
    return Interval(low, high, level, f"Student's t over {len(values)} repetitions")
