"""Paint a flaw into an image of a good part: (image, rng) -> the flawed image and the mask of what changed.

For tests, for the demo and for trying out a threshold: real flaws look different, so these never replace them.
Sizes grow with the image; all randomness comes from `rng`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from kizu.core.types import F64, U8, Bool

_VISIBLE = 0.25
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
    """A long, thin, slightly bent line, bright where the tool laid metal bare, with a dark edge."""
    side = min(image.shape[:2])
    path = _walk(_anchor(image, rng, part), rng, length=side * rng.uniform(0.25, 0.5), bend=0.04, steps=24)
    width = side * rng.uniform(0.0035, 0.006)
    distance = _distance(image, path)
    edge = _soft(distance - 2.2 * width, width) * 0.55
    core = _soft(distance - width, 0.5 * width) * rng.uniform(0.7, 0.95)
    darker = _over(image.astype(np.float64), edge, image * 0.45)
    return _finished(
        image, _over(darker, core, np.full(3, rng.uniform(225, 250))), np.maximum(edge, core), part
    )


def crack(image: U8, rng: np.random.Generator, part: Bool | None = None) -> Flawed:
    """A dark jagged line that thins out, with one or two branches."""
    side = min(image.shape[:2])
    trunk = _walk(_anchor(image, rng, part), rng, length=side * rng.uniform(0.2, 0.4), bend=0.55, steps=16)
    branches = [
        _walk(trunk[rng.integers(3, 12)], rng, length=side * rng.uniform(0.06, 0.14), bend=0.55, steps=8)
        for _ in range(rng.integers(1, 3))
    ]
    opacity = np.zeros(image.shape[:2])
    for path, width in ((trunk, 0.006), *((branch, 0.0035) for branch in branches)):
        opacity = np.maximum(opacity, _soft(_distance(image, path) - side * width, side * 0.003) * 0.9)
    return _finished(image, _over(image, opacity, image * 0.15), opacity, part)


def stain(image: U8, rng: np.random.Generator, part: Bool | None = None) -> Flawed:
    """A soft-edged tinted spot: oil, rust, a burn."""
    side = min(image.shape[:2])
    opacity = _soft(_blob(image, rng, part, radius=side * rng.uniform(0.04, 0.08)), side * 0.012) * 0.7
    tint = np.array([(0.5, 0.36, 0.22), (0.3, 0.3, 0.34), (0.62, 0.34, 0.2)][rng.integers(3)])
    return _finished(image, _over(image, opacity, image * tint), opacity, part)


def dent(image: U8, rng: np.random.Generator, part: Bool | None = None) -> Flawed:
    """A shallow hollow: one flank catches the light, the other lies in shadow."""
    side = min(image.shape[:2])
    radius = side * rng.uniform(0.035, 0.06)
    centre, angle = _anchor(image, rng, part), rng.uniform(0, 2 * np.pi)
    y, x = np.indices(image.shape[:2], dtype=np.float64) - centre[:, None, None]
    hollow = np.exp(-(y**2 + x**2) / (2 * (radius / 1.8) ** 2))
    slope = (y * np.sin(angle) + x * np.cos(angle)) / radius * hollow  # (H, W), from -0.34 to 0.34
    shade = 300 * slope
    opacity = np.clip(np.abs(shade) / 60, 0, 1)
    return _finished(image, image + shade[:, :, None], opacity, part)


def fibre(image: U8, rng: np.random.Generator, part: Bool | None = None) -> Flawed:
    """A curled thread that lies on the part, with its shadow."""
    side = min(image.shape[:2])
    path = _walk(
        _anchor(image, rng, part), rng, length=side * rng.uniform(0.25, 0.45), bend=0.3, steps=32, curl=0.22
    )
    colour = np.array([(196, 52, 60), (48, 92, 190), (236, 232, 214)][rng.integers(3)], dtype=np.float64)
    width = side * 0.0045
    shadow = _soft(_distance(image, path + side * 0.008) - width, 2 * width) * 0.5
    thread = _soft(_distance(image, path) - width, width) * 0.95
    shaded = _over(image, shadow, image * 0.3)
    return _finished(image, _over(shaded, thread, colour), np.maximum(shadow, thread), part)


def chip(image: U8, rng: np.random.Generator, part: Bool | None = None) -> Flawed:
    """A piece broken off the part's edge (anywhere, where the part is not known); what lies behind shows."""
    side = min(image.shape[:2])
    border = None if part is None else part & ~ndimage.binary_erosion(part, border_value=0)
    behind = image[~part] if part is not None and not part.all() else image.reshape(-1, 3) // 6
    blob = _blob(image, rng, border, radius=side * rng.uniform(0.04, 0.07))
    opacity = _soft(blob, side * 0.004)
    filling = np.median(behind, axis=0) + rng.normal(0, 3, (*image.shape[:2], 1))
    rim = _soft(np.abs(blob + side * 0.004) - side * 0.006, side * 0.006) * 0.8
    broken = _over(_over(image, opacity, filling), rim * (blob < side * 0.01), np.full(3, 205.0))
    return _finished(image, broken, np.maximum(opacity, rim), part)


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
    start: F64, rng: np.random.Generator, *, length: float, bend: float, steps: int, curl: float = 0.0
) -> F64:
    """(steps + 1, 2) points (y, x) of a line through `start` whose direction wanders by `bend` radians a step."""
    turns = rng.normal(curl, bend, steps)
    angles = rng.uniform(0, 2 * np.pi) + np.cumsum(turns)
    moves = np.stack([np.sin(angles), np.cos(angles)], axis=1) * (length / steps)
    path = np.concatenate([np.zeros((1, 2)), np.cumsum(moves, axis=0)])
    return np.asarray(start + path - path.mean(axis=0))


def _distance(image: U8, path: F64) -> F64:
    """(H, W) pixels to the nearest point of a line through the points of `path`."""
    grid = np.moveaxis(np.indices(image.shape[:2], dtype=np.float64), 0, -1)  # (H, W, 2)
    nearest = np.full(image.shape[:2], np.inf)
    for start, end in zip(path[:-1], path[1:], strict=True):
        along = end - start
        part = np.clip((grid - start) @ along / max(float(along @ along), 1e-12), 0, 1)
        offset = grid - start - part[..., None] * along
        np.minimum(nearest, np.einsum("ijk,ijk->ij", offset, offset), out=nearest)
    return np.asarray(np.sqrt(nearest))


def _blob(image: U8, rng: np.random.Generator, where: Bool | None, *, radius: float) -> F64:
    """(H, W) signed distance in px, negative inside, to a wobbly outline round a random pixel of `where`."""
    y, x = np.indices(image.shape[:2], dtype=np.float64) - _anchor(image, rng, where)[:, None, None]
    angle = np.arctan2(y, x)
    waves = zip(range(2, 7), rng.uniform(0, 2 * np.pi, 5), rng.normal(0, 0.28, 5), strict=True)
    wobble = sum(size / k * np.cos(k * angle + phase) for k, phase, size in waves)
    return np.asarray(np.hypot(y, x) - radius * (1 + wobble))


def _soft(distance: F64, softness: float) -> F64:
    """1 well inside (distance < 0), 0 outside, over `softness` px, at least a pixel's antialiasing."""
    return np.clip(0.5 - distance / max(softness, 1.0), 0, 1)


def _over(image: U8 | F64, opacity: F64, colour: F64) -> F64:
    return np.asarray(image + (colour - image) * opacity[..., None])


def _finished(image: U8, painted: F64, opacity: F64, part: Bool | None) -> Flawed:
    """Round, keep to the part, and make the mask from the opacity."""
    if part is not None and part.any():
        opacity = np.where(part, opacity, 0)
        painted = np.where(part[..., None], painted, image)
    mask = opacity >= _VISIBLE
    if not mask.any():  # an image of a few pixels
        mask.flat[np.argmax(opacity)] = True
    return Flawed(np.clip(np.rint(painted), 0, 255).astype(np.uint8), mask)
