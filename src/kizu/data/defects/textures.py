"""Patterns that fill a flaw: (height, width, rng) -> (H, W, 3) in grey levels, 0 to 255."""

from collections.abc import Callable, Mapping

import numpy as np
from scipy import ndimage

from kizu.core.types import F64, HW


def grain(hw: HW, rng: np.random.Generator) -> F64:
    """Noise of one size of grain, each colour by itself or all alike."""
    channels = 3 if rng.random() < 0.5 else 1
    size = rng.uniform(0.4, 3)
    noise = ndimage.gaussian_filter(rng.normal(size=(*hw, channels)), (size, size, 0))
    return _spread(np.broadcast_to(noise, (*hw, 3)), rng)


def perlin(hw: HW, rng: np.random.Generator) -> F64:
    """Clouds: gradient noise (Perlin, "An Image Synthesizer", SIGGRAPH 1985) of three octaves, between two colours."""
    return _between_colours(perlin_noise(hw, rng), rng)


def woven(hw: HW, rng: np.random.Generator) -> F64:
    """A regular pattern of two colours: stripes, checks, dots or rings, turned, and bent a little."""
    y, x = np.mgrid[: hw[0], : hw[1]].astype(np.float64)
    bend = 2 * perlin_noise(hw, rng)
    angle, period = rng.uniform(0, np.pi), rng.uniform(4, max(5.0, min(hw) / 4))
    u = (x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period + bend
    v = (y * np.cos(angle) - x * np.sin(angle)) * 2 * np.pi / period + bend
    centre = rng.uniform(0, 1, 2) * hw
    rings = np.hypot(y - centre[0], x - centre[1]) * 2 * np.pi / period + bend
    pattern = [np.sin(u), np.sign(np.sin(u) * np.sin(v)), np.sin(u) * np.sin(v), np.sin(rings)][
        rng.integers(4)
    ]
    return _between_colours(pattern, rng)


TEXTURES: Mapping[str, Callable[[HW, np.random.Generator], F64]] = {
    "grain": grain,
    "perlin": perlin,
    "woven": woven,
}


def perlin_noise(hw: HW, rng: np.random.Generator, octaves: int = 3) -> F64:
    """(H, W) gradient noise, from about -1 to 1, whose coarsest cells are a half to an eighth of the longer side."""
    cell = max(hw) / rng.integers(2, 9)
    total = np.zeros(hw)
    for octave in range(octaves):
        total += _gradient_noise(hw, max(cell / 2**octave, 2.0), rng) / 2**octave
    return total / max(float(np.abs(total).max()), 1e-12)


def _gradient_noise(hw: HW, cell_px: float, rng: np.random.Generator) -> F64:
    """One octave: at each corner of a grid a direction; between them, faded products with the way from there."""
    y, x = (np.arange(side) / cell_px for side in hw)
    rows, columns = (int(along[-1]) + 2 for along in (y, x))
    angles = rng.uniform(0, 2 * np.pi, (rows, columns))
    at_y, at_x = np.floor(y).astype(int), np.floor(x).astype(int)
    dy, dx = (y - at_y)[:, None], (x - at_x)[None]

    def corner(down: int, right: int) -> F64:
        angle = angles[np.ix_(at_y + down, at_x + right)]
        return np.asarray(np.sin(angle) * (dy - down) + np.cos(angle) * (dx - right))

    fade_y, fade_x = (part**3 * (part * (part * 6 - 15) + 10) for part in (dy, dx))
    top = corner(0, 0) * (1 - fade_x) + corner(0, 1) * fade_x
    bottom = corner(1, 0) * (1 - fade_x) + corner(1, 1) * fade_x
    return np.asarray(top * (1 - fade_y) + bottom * fade_y)


def _spread(values: F64, rng: np.random.Generator) -> F64:
    """About a random grey level, with a random contrast."""
    deviation = max(float(values.std()), 1e-12)
    return np.asarray(rng.uniform(30, 225) + values / deviation * rng.uniform(20, 70))


def _between_colours(pattern: F64, rng: np.random.Generator) -> F64:
    """(H, W) from -1 to 1 -> (H, W, 3) from one colour to another; half of the time both are greys."""
    dark, light = (
        rng.uniform(0, 255, (2, 3)) if rng.random() < 0.5 else rng.uniform(0, 255, (2, 1)).repeat(3, 1)
    )
    return np.asarray(dark + (pattern[..., None] + 1) / 2 * (light - dark))
