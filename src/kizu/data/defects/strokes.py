"""What painters are made of: lines, outlines, opacities, and the end of each of them."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kizu.core.types import F64, HW, U8, Bool

VISIBLE = 0.3
"""Opacity from which a pixel counts as flawed."""


@dataclass(frozen=True, slots=True)
class Flawed:
    """An image with a flaw in it."""

    image: U8
    """(H, W, 3)"""
    mask: Bool
    """(H, W), True where the flaw is; at least one pixel"""


Painter = Callable[[U8, np.random.Generator, Bool | None], Flawed]
"""Takes an image (H, W, 3), the randomness, and where the part is (H, W); None: everywhere."""


def anchor(image: U8, rng: np.random.Generator, part: Bool | None) -> F64:
    """(y, x) of a random pixel of the part."""
    if part is None or not part.any():
        return np.array(image.shape[:2]) * rng.uniform(0.2, 0.8, size=2)
    return np.argwhere(part)[rng.integers(np.count_nonzero(part))].astype(np.float64)


def walk(
    middle: F64, rng: np.random.Generator, *, length: float, bend: float, steps: int, curl: float = 0.0
) -> F64:
    """(steps + 1, 2) points (y, x) of a line about `middle` that turns by `curl` ± `bend` radians a step."""
    angles = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(curl, bend, steps))
    moves = np.stack([np.sin(angles), np.cos(angles)], axis=1) * (length / steps)
    path = np.concatenate([np.zeros((1, 2)), np.cumsum(moves, axis=0)])
    return np.asarray(middle + path - path.mean(axis=0))


def stroke(hw_px: HW, path: F64, half_width: float) -> F64:
    """(H, W) signed distance in px, negative inside, to a line along `path` that tapers to points."""
    hw = np.array(hw_px)
    margin = 4 * half_width + 4
    low = np.clip(np.floor(path.min(axis=0) - margin), 0, hw).astype(int)
    high = np.clip(np.ceil(path.max(axis=0) + margin), 0, hw).astype(int)
    window = slice(low[0], high[0]), slice(low[1], high[1])
    y, x = np.ogrid[window]
    nearest = np.full((y.size, x.size), np.inf)
    widths = half_width * np.sin(np.linspace(0, np.pi, len(path))) ** 0.6
    for (start, end), (thin, thick) in zip(pairwise(path), pairwise(widths), strict=True):
        dy, dx = end - start
        along = np.clip(((y - start[0]) * dy + (x - start[1]) * dx) / max(dy**2 + dx**2, 1e-12), 0, 1)
        distance = np.hypot(y - start[0] - along * dy, x - start[1] - along * dx)
        np.minimum(nearest, distance - thin - along * (thick - thin), out=nearest)
    whole = np.full(hw_px, np.inf)
    whole[window] = nearest
    return whole


def blob(image: U8, rng: np.random.Generator, where: Bool | None, *, radius: float) -> F64:
    """(H, W) signed distance in px, negative inside, to a wobbly outline about a random pixel of `where`."""
    y, x = np.indices(image.shape[:2], dtype=np.float64) - anchor(image, rng, where)[:, None, None]
    angle = np.arctan2(y, x)
    waves = zip(range(2, 8), rng.uniform(0, 2 * np.pi, 6), rng.normal(0, 0.3, 6), strict=True)
    wobble = sum(size / k**1.3 * np.cos(k * angle + phase) for k, phase, size in waves)
    return np.asarray(np.hypot(y, x) - radius * (1 + wobble))


def soft(distance: F64, softness: float) -> F64:
    """1 inside (distance < 0), 0 outside, over `softness` px: at least one, for smooth edges."""
    return np.clip(0.5 - distance / max(softness, 1.0), 0, 1)


def over(image: U8 | F64, opacity: F64, colour: NDArray[Any]) -> F64:
    """`colour`, one or (H, W, 3), laid over the image."""
    return np.asarray(image + (colour - image) * opacity[..., None])


def finish(image: U8, painted: F64, opacity: F64, part: Bool | None) -> Flawed:
    """Round, keep to the part, and make the mask from the opacity."""
    if part is not None and part.any():
        opacity = np.where(part, opacity, 0)
        painted = np.where(part[..., None], painted, image)
    mask = opacity >= VISIBLE
    if not mask.any():  # an image of a few pixels
        mask.flat[np.argmax(opacity)] = True
    return Flawed(np.clip(np.rint(painted), 0, 255).astype(np.uint8), mask)
