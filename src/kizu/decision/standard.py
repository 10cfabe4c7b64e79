"""A threshold that can be carried from one category to another, told in spreads of each one's own good scores."""

import numpy as np

from kizu.core.config import Config
from kizu.core.errors import CalibrationError
from kizu.core.types import F32, F64


class StandardThreshold(Config):
    """An image threshold that can be carried to another category.

    Raw scores of two categories differ in scale, so it is told in units of the spread of a category's own held-out
    good scores: `median + value * spread`, where the spread is 1.4826 times the median absolute deviation.
    """

    value: float
    rule: str
    """For a person to read, in the words that a frozen file holds and its hash covers: "fpr@0.01 on development
    categories"."""
    count: int
    """Good test images of the development categories that it rests on."""


def standardise(scores: F32 | F64, held_out: F32 | F64) -> F64:
    """`scores` in spreads above the median of the held-out good scores; see `StandardThreshold`."""
    centre, spread = centre_and_spread(held_out)
    return (np.asarray(scores, np.float64) - centre) / spread


def carry_threshold(threshold: StandardThreshold, held_out: F32 | F64) -> float:
    """The raw image threshold for a category, from its own held-out good scores (N,). Errors as `centre_and_spread`."""
    centre, spread = centre_and_spread(held_out)
    return centre + threshold.value * spread


def centre_and_spread(held_out: F32 | F64) -> tuple[float, float]:
    """Median, and 1.4826 times the median absolute deviation; the standard deviation where that is 0.

    Raises `CalibrationError` when all scores are equal.
    """
    scores = np.asarray(held_out, np.float64)
    centre = float(np.median(scores))
    spread = 1.4826 * float(np.median(np.abs(scores - centre))) or float(scores.std())
    if spread == 0:
        raise CalibrationError(
            f"{len(scores)} held-out score(s) have no spread: a threshold cannot be carried to them",
            hint="hold out at least 3 different good images",
        )
    return centre, spread
