"""Which shape the network's input gets: from the shapes of a product's pictures, at a number of pixels."""

import math
from collections.abc import Sequence

import numpy as np

from kizu.core.errors import ConfigError
from kizu.core.types import HW

ELONGATED = 2.0
"""From this ratio of the sides on a shape is kept; squares do as well for more compact ones (docs/choices.md)."""
ALIKE = 1.25
"""Pictures have one shape where nine in ten have the ratio of their median within this factor."""
_LEAST_SIDES, _MOST_STEPS = 2, 512
"""In steps: fewer show no place, more are not looked at."""


def common_aspect(sizes: Sequence[HW]) -> float | None:
    """Width over height of pictures (H, W) that share a shape; None where they do not, or there are none."""
    if not sizes:
        return None
    logs = np.log([width / height for height, width in sizes])
    middle = float(np.median(logs))
    is_shared = np.mean(np.abs(logs - middle) <= math.log(ALIKE)) >= 0.9
    return math.exp(middle) if is_shared else None


def kept_aspect(sizes: Sequence[HW]) -> float:
    """Width over height of the input that pictures (H, W) deserve: theirs where it is shared and elongated, else 1."""
    aspect = common_aspect(sizes)
    if aspect is None or max(aspect, 1 / aspect) < ELONGATED / 1.01:  # a pixel or two are no reason
        return 1.0
    return aspect


def fit_size(aspect: float, pixels: int, step: int) -> HW:
    """(H, W) in multiples of `step`, of about `pixels` and no more, and of the width over height `aspect` as nearly as
    both allow. Raises `ConfigError` for fewer pixels than any such size has."""
    least = _LEAST_SIDES * step
    if pixels < least**2:
        raise ConfigError(
            f"{pixels} pixels are too few: patches of {step} pixels need {least} x {least}",
            hint=f"give at least {least**2}",
        )
    best: tuple[float, HW] | None = None
    for rows in range(_LEAST_SIDES, _MOST_STEPS + 1):
        height = rows * step
        most = min(pixels // (height * step), _MOST_STEPS)
        for columns in {math.floor(height * aspect / step), math.ceil(height * aspect / step)}:
            width = min(max(columns, _LEAST_SIDES), most) * step
            if width < _LEAST_SIDES * step:
                continue
            # twice the shape: else more pixels would make up for a wrong one
            off = 2 * abs(math.log(width / height / aspect)) + math.log(pixels / (height * width))
            if best is None or off < best[0]:
                best = off, (height, width)
    assert best is not None
    return best[1]


def told_size(size: HW) -> str:
    """ "256x384": height x width"""
    return "x".join(map(str, size))
