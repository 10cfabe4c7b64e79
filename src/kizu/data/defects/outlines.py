"""Where a flaw is: (H, W) signed distance in px, negative inside, to an outline of a side that is asked for."""

from collections.abc import Callable, Mapping

import numpy as np
from scipy import ndimage

from kizu.core.types import F64, HW
from kizu.data.defects.strokes import stroke, walk
from kizu.data.defects.textures import perlin_noise

Outline = Callable[[HW, F64, float, np.random.Generator], F64]
"""Takes (H, W), the middle (y, x), the longer side in px and the randomness."""


def circle(hw: HW, middle: F64, side_px: float, rng: np.random.Generator) -> F64:
    """An ellipse, up to three times as long as it is wide."""
    y, x = _turned(hw, middle, rng)
    thin = rng.uniform(1 / 3, 1)
    return np.asarray(np.hypot(y / thin, x) - side_px / 2)


def rectangle(hw: HW, middle: F64, side_px: float, rng: np.random.Generator) -> F64:
    """Up to four times as long as it is wide."""
    y, x = _turned(hw, middle, rng)
    return np.asarray(np.maximum(np.abs(x) - side_px / 2, np.abs(y) - side_px / 2 * rng.uniform(0.25, 1)))


def polygon(hw: HW, middle: F64, side_px: float, rng: np.random.Generator) -> F64:
    """Three to six corners, convex: what all of its edges hold."""
    y, x = _turned(hw, middle, rng)
    count = int(rng.integers(3, 7))
    angles = 2 * np.pi * (np.arange(count) + rng.uniform(-0.25, 0.25, count)) / count
    reach = side_px / 2 * rng.uniform(0.45, 1, count)
    edges = [x * np.cos(a) + y * np.sin(a) - r for a, r in zip(angles, reach, strict=True)]
    return np.asarray(np.maximum.reduce(edges))


def line(hw: HW, middle: F64, side_px: float, rng: np.random.Generator) -> F64:
    """Straight, and of one width but for its ends."""
    return _along(hw, middle, side_px, rng, bend=0.0, width=rng.uniform(0.03, 0.1))


def scratch(hw: HW, middle: F64, side_px: float, rng: np.random.Generator) -> F64:
    """Thin, slightly bent, and fading out at its ends."""
    return _along(hw, middle, side_px, rng, bend=0.06, width=rng.uniform(0.01, 0.04))


def crack(hw: HW, middle: F64, side_px: float, rng: np.random.Generator) -> F64:
    """Thin and jagged, with a branch."""
    trunk = _along(hw, middle, side_px, rng, bend=0.5, width=rng.uniform(0.015, 0.04))
    return np.minimum(trunk, _along(hw, middle, side_px / 2, rng, bend=0.5, width=0.02))


def cloud(hw: HW, middle: F64, side_px: float, rng: np.random.Generator) -> F64:
    """What of a disc's surroundings Perlin noise holds: ragged, with islands."""
    y, x = _turned(hw, middle, rng)
    noise = perlin_noise(hw, rng) * side_px / 4
    return np.asarray(np.hypot(y, x) - side_px / 2 + np.abs(noise) * 2 + ndimage.gaussian_filter(noise, 1))


OUTLINES: Mapping[str, Outline] = {
    "circle": circle,
    "rectangle": rectangle,
    "line": line,
    "polygon": polygon,
    "scratch": scratch,
    "crack": crack,
    "cloud": cloud,
}
SOLID = ("circle", "rectangle", "polygon", "cloud")
"""Those that have an inside worth filling with a pattern."""


def _turned(hw: HW, middle: F64, rng: np.random.Generator) -> F64:
    """(2, H, W) the way (across, along) from the middle, in axes turned at random."""
    y, x = np.mgrid[: hw[0], : hw[1]] - middle[:, None, None]
    angle = rng.uniform(0, np.pi)
    return np.stack([y * np.cos(angle) - x * np.sin(angle), x * np.cos(angle) + y * np.sin(angle)])


def _along(
    hw: HW, middle: F64, side_px: float, rng: np.random.Generator, *, bend: float, width: float
) -> F64:
    path = walk(middle, rng, length=side_px, bend=bend, steps=16)
    return stroke(hw, path, max(0.7, width * side_px / 2))
