"""What a shift is: what is drawn for each picture, and what a strength makes of it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kizu.core.types import F32, F64, HW

Drawn = tuple[float, ...]
"""What chance decides for one picture, whatever the severity: a sign, an angle, a place. Written to the manifest."""
Draw = Callable[[np.random.Generator], Drawn]
Strengths = tuple[float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class Geometric:
    """Moves the content of a picture: the matrix of a homography."""

    matrix: Callable[[HW, float, Drawn], F64]
    """((H, W), strength, drawn) -> (3, 3), from where a point was to where it goes: (x, y, 1) in pixels from the
    picture's centre."""
    draw: Draw | None
    strengths: Strengths
    """Of severities 1 to 5"""
    unit: str
    """What a strength says"""


@dataclass(frozen=True, slots=True)
class Photometric:
    """Changes the values of pixels and leaves them where they are; the mask stays as it is."""

    change: Callable[[F32, float, Drawn], F32]
    """(pixels (H, W, C) in [0, 1], strength, drawn) -> the same shape; C is 1 for a grey picture, else 3."""
    draw: Draw | None
    strengths: Strengths
    unit: str
    of_lens: bool = False
    """Drawn once for all pictures of a data set: there is one lens."""


Shift = Geometric | Photometric


def signed(rng: np.random.Generator) -> float:
    """A part of the strength: .5 to 1 of it, either way, so that no picture goes without."""
    return float(rng.choice((-1, 1)) * rng.uniform(0.5, 1))
