"""Anomaly maps in half precision: what is lost by it is counted, and what must not be lost is refused.

A half has 11 bits for a number and ends at 65504. A score is first multiplied by a power of two, which changes no digit
and no order, so that the pixel threshold lies in [1, 2): there halves are 2^-10 apart, and a score would have to be
30,000 times the threshold to be too large. Different scores that become one half are ties that a ranking metric sees.
"""

import math
from dataclasses import dataclass

import numpy as np

from kizu.core.errors import ScoreError
from kizu.core.types import F16, F32, Bool

LARGEST = float(np.finfo(np.float16).max)
_SAMPLED_SIDE = 256
"""Ties are counted on a grid of so many rows and columns at most: sorting all pixels would take longer than scoring."""


@dataclass(frozen=True, slots=True)
class HalfMap:
    """One map in half precision, and what that cost."""

    values: F16
    """(H, W)"""
    distinct: int
    """Different scores among the pixels that were looked at,"""
    left: int
    """and different halves among the same."""
    tied_with_marked: int
    """Pixels that are not marked and have the half of one that is: no threshold on the halves parts them."""


def exponent_for(threshold: float) -> int:
    """The power of two that brings a pixel threshold into [1, 2); 0 for one that is not above 0."""
    return 0 if threshold <= 0 else -math.floor(math.log2(threshold))


def to_half(scores: F32, marked: Bool, exponent: int, name: str) -> HalfMap:
    """(H, W) scores times 2^`exponent`, as halves. `marked` (H, W): which pixels are above the threshold, if any.

    Raises `ScoreError`, beginning with `name`, for scores that are not finite or too large for a half, for a map that
    holds one value, or would as halves.
    """
    scaled = np.ldexp(scores.astype(np.float64), exponent)  # exact: a power of two
    if not np.isfinite(scaled).all():
        raise ScoreError(
            f"{name}: the map holds {int((~np.isfinite(scaled)).sum())} scores that are not finite"
        )
    highest = float(np.abs(scaled).max())
    if highest > LARGEST:
        raise ScoreError(
            f"{name}: the score {highest:.6g}, times 2^{exponent}, is too large for half precision ({LARGEST:.0f})",
            hint="the pixel threshold is far below what the map holds: set it anew, then write again",
        )
    values = scaled.astype(np.float16)
    if values.min() == values.max():
        raise ScoreError(
            f"{name}: all pixels of the map have one value in half precision",
            hint="such a map ranks nothing: the image is of one colour, or the model sees nothing in it",
        )
    step = [max(1, -(-side // _SAMPLED_SIDE)) for side in scores.shape]
    some = (slice(None, None, step[0]), slice(None, None, step[1]))
    tied = 0
    if marked.any():
        tied = int((values[~marked] >= values[marked].min()).sum())
    return HalfMap(values, len(np.unique(scores[some])), len(np.unique(values[some])), tied)
