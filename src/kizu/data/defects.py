"""Paint a flaw into an image of a good part: (image, rng) -> the flawed image and the mask of what changed.

For tests, for the demo and for trying out a threshold; real flaws look different, so these never replace
them. Sizes grow with the image; all randomness comes from `rng`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kizu.core.types import F64, U8, Bool

_VISIBLE = 0.3
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


def scratch(image: U8, rng: np.random.Generator, part: Bool | None = None) -> Flawed:
    """A thin, slightly bent line that fades out at its ends: bare metal beside a dark furrow."""
    side = min(image.shape[:2])
    path = _walk(_anchor(image, rng, part), rng, length=side * rng.uniform(0.3, 0.55), bend=0.035, steps=20)
    width = side * rng.uniform(0.0022, 0.0036)
    furrow = _soft(_stroke(image, path, 2.6 * width), 1.5 * width) * 0.6
    bare = _soft(_stroke(image, path, width), width) * rng.uniform(0.75, 0.95)
    painted = _over(_over(image, furrow, image * 0.4), bare, np.full(3, rng.uniform(225, 250)))
    return _finish(image, painted, np.maximum(furrow, bare), part)


def crack(image: U8, rng: np.random.Generator, part: Bool | None = None) -> Flawed:
    """A dark jagged line that thins out, with one or two branches."""
    side = min(image.shape[:2])
    trunk = _walk(_anchor(image, rng, part), rng, length=side * rng.uniform(0.22, 0.4), bend=0.5, steps=18)
    opacity = _soft(_stroke(image, trunk, side * 0.006), side * 0.003)
    for _ in range(rng.integers(1, 3)):
        start = trunk[rng.integers(4, 14)]
        branch = _walk(start, rng, length=side * rng.uniform(0.07, 0.14), bend=0.5, steps=8)
        opacity = np.maximum(opacity, _soft(_stroke(image, branch + (start - branch[0]), side * 0.003), 1))
    return _finish(image, _over(image, opacity * 0.92, image * 0.12), opacity, part)


def stain(image: U8, rng: np.random.Generator, part: Bool | None = None) -> Flawed:
    """A soft, uneven, tinted spot: oil, rust, a burn."""
    side = min(image.shape[:2])
    radius = side * rng.uniform(0.045, 0.085)
    cloud = ndimage.gaussian_filter(rng.normal(size=image.shape[:2]), radius / 4) * radius
    depth = _blob(image, rng, part, radius=radius) + cloud * 0.35
    opacity = _soft(depth, radius * 0.9)
    tint = np.array([(0.5, 0.36, 0.22), (0.3, 0.3, 0.34), (0.62, 0.34, 0.2)][rng.integers(3)])
    return _finish(image, _over(image, opacity * 0.75, image * tint), opacity, part)


def dent(image: U8, rng: np.random.Generator, part: Bool | None = None) -> Flawed:
    """A shallow hollow: one flank catches the light, the other lies in shadow."""
    radius = min(image.shape[:2]) * rng.uniform(0.03, 0.055)
    centre, angle = _anchor(image, rng, part), rng.uniform(0, 2 * np.pi)
    y, x = np.indices(image.shape[:2], dtype=np.float64) - centre[:, None, None]
    hollow = np.exp(-(y**2 + x**2) / radius**2)
    slope = (y * np.sin(angle) + x * np.cos(angle)) / radius * hollow  # (H, W), from -0.43 to 0.43
    return _finish(image, image + rng.uniform(150, 210) * slope[:, :, None], hollow, part)


def fibre(image: U8, rng: np.random.Generator, part: Bool | None = None) -> Flawed:
    """A curled thread that lies on the part, with its shadow."""
    side = min(image.shape[:2])
    length = side * rng.uniform(0.25, 0.45)
    path = _walk(
        _anchor(image, rng, part), rng, length=length, bend=0.2, steps=32, curl=rng.uniform(0.03, 0.16)
    )
    colour = np.array([(196, 52, 60), (48, 92, 190), (236, 232, 214)][rng.integers(3)], dtype=np.float64)
    width = side * 0.0035
    shadow = _soft(_stroke(image, path + side * 0.007, width), 2 * width) * 0.5
    thread = _soft(_stroke(image, path, width), width) * 0.95
    painted = _over(_over(image, shadow, image * 0.3), thread, colour)
    return _finish(image, painted, np.maximum(shadow, thread), part)


def chip(image: U8, rng: np.random.Generator, part: Bool | None = None) -> Flawed:
    """A piece broken off the part's outer edge, showing what lies behind; without a part, anywhere."""
    side = min(image.shape[:2])
    if part is None or not part.any() or part.all():
        whole, edge, behind = np.ones(image.shape[:2], dtype=bool), None, image.reshape(-1, 3) // 5
    else:
        whole = np.asarray(ndimage.binary_fill_holes(part))
        edge, behind = whole & ~ndimage.binary_erosion(whole), image[~whole]
    depth = _blob(image, rng, edge, radius=side * rng.uniform(0.04, 0.075))
    grain = rng.normal(0, 3, (*image.shape[:2], 1))
    broken = _soft(depth, 1)
    flank = np.where(whole, _soft(np.abs(depth + side * 0.006) - side * 0.004, 1) * 0.7, 0)
    gone = _over(image, broken, np.median(behind, axis=0) + grain)
    painted = _over(gone, flank, np.full(3, 150) + 4 * grain)
    with_rim = ndimage.binary_dilation(whole, iterations=2)
    return _finish(image, painted, np.maximum(broken, flank), with_rim)


PAINTERS: Mapping[str, Painter] = {
    "chip": chip,
    "crack": crack,
    "dent": dent,
    "fibre": fibre,
    "scratch": scratch,
    "stain": stain,
}


def _anchor(image: U8, rng: np.random.Generator, part: Bool | None) -> F64:
    """(y, x) of a random pixel of the part."""
    if part is None or not part.any():
        return np.array(image.shape[:2]) * rng.uniform(0.2, 0.8, size=2)
    return np.argwhere(part)[rng.integers(np.count_nonzero(part))].astype(np.float64)


def _walk(
    middle: F64, rng: np.random.Generator, *, length: float, bend: float, steps: int, curl: float = 0.0
) -> F64:
    """(steps + 1, 2) points (y, x) of a line about `middle` that turns by `curl` ± `bend` radians a step."""
    angles = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(curl, bend, steps))
    moves = np.stack([np.sin(angles), np.cos(angles)], axis=1) * (length / steps)
    path = np.concatenate([np.zeros((1, 2)), np.cumsum(moves, axis=0)])
    return np.asarray(middle + path - path.mean(axis=0))


def _stroke(image: U8, path: F64, half_width: float) -> F64:
    """(H, W) signed distance in px, negative inside, to a line along `path` that tapers to points."""
    hw = np.array(image.shape[:2])
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
    whole = np.full(image.shape[:2], np.inf)
    whole[window] = nearest
    return whole


def _blob(image: U8, rng: np.random.Generator, where: Bool | None, *, radius: float) -> F64:
    """(H, W) signed distance in px, negative inside, to a wobbly outline about a random pixel of `where`."""
    y, x = np.indices(image.shape[:2], dtype=np.float64) - _anchor(image, rng, where)[:, None, None]
    angle = np.arctan2(y, x)
    waves = zip(range(2, 8), rng.uniform(0, 2 * np.pi, 6), rng.normal(0, 0.3, 6), strict=True)
    wobble = sum(size / k**1.3 * np.cos(k * angle + phase) for k, phase, size in waves)
    return np.asarray(np.hypot(y, x) - radius * (1 + wobble))


def _soft(distance: F64, softness: float) -> F64:
    """1 inside (distance < 0), 0 outside, over `softness` px: at least one, for smooth edges."""
    return np.clip(0.5 - distance / max(softness, 1.0), 0, 1)


def _over(image: U8 | F64, opacity: F64, colour: NDArray[Any]) -> F64:
    """`colour`, one or (H, W, 3), laid over the image."""
    return np.asarray(image + (colour - image) * opacity[..., None])


def _finish(image: U8, painted: F64, opacity: F64, part: Bool | None) -> Flawed:
    """Round, keep to the part, and make the mask from the opacity."""
    if part is not None and part.any():
        opacity = np.where(part, opacity, 0)
        painted = np.where(part[..., None], painted, image)
    mask = opacity >= _VISIBLE
    if not mask.any():  # an image of a few pixels
        mask.flat[np.argmax(opacity)] = True
    return Flawed(np.clip(np.rint(painted), 0, 255).astype(np.uint8), mask)
