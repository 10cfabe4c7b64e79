"""What is on the lens, and what the lens does to the corners. It lies where it lies in every picture of one camera."""

import numpy as np

from kizu.core.types import F32
from kizu.data.shifts.base import Drawn

SPOTS, STREAKS = 8, 3


def draw_dust(rng: np.random.Generator) -> Drawn:
    """Of each spot: x and y as parts of the sides, radius as a part of the shorter one."""
    return tuple(float(v) for _ in range(SPOTS) for v in (*rng.uniform(0, 1, 2), rng.uniform(0.01, 0.03)))


def draw_scratches(rng: np.random.Generator) -> Drawn:
    """Of each streak: x and y of its middle, its angle, half its length as a part of the shorter side."""
    return tuple(
        float(v)
        for _ in range(STREAKS)
        for v in (*rng.uniform(0, 1, 2), rng.uniform(0, np.pi), rng.uniform(0.1, 0.3))
    )


def show_dust(pixels: F32, opacity: float, drawn: Drawn) -> F32:
    """Dark spots with soft rims."""
    height, width = pixels.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    cover = np.zeros((height, width), np.float32)
    for left, top, radius in _cut(drawn, 3):
        far = np.hypot(x - left * (width - 1), y - top * (height - 1)) / (radius * min(height, width))
        cover = np.maximum(cover, np.exp(-0.5 * far**2))
    return (pixels * (1 - opacity * cover[..., None])).astype(np.float32)


def show_scratches(pixels: F32, opacity: float, drawn: Drawn) -> F32:
    """Bright streaks, a two-hundredth of the shorter side wide, out of focus."""
    height, width = pixels.shape[:2]
    shorter = min(height, width)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    cover = np.zeros((height, width), np.float32)
    for left, top, angle, reach in _cut(drawn, 4):
        dx, dy = x - left * (width - 1), y - top * (height - 1)
        along = np.abs(dx * np.cos(angle) + dy * np.sin(angle)) - reach * shorter
        across = -dx * np.sin(angle) + dy * np.cos(angle)
        far = np.hypot(np.maximum(along, 0), across) / max(1.0, shorter / 200)
        cover = np.maximum(cover, np.exp(-0.5 * far**2))
    return (pixels + (1 - pixels) * opacity * cover[..., None]).astype(np.float32)


def shade_corners(pixels: F32, darker: float, _drawn: Drawn) -> F32:
    """Nothing at the centre, `darker` in the corners."""
    height, width = pixels.shape[:2]
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None]
    return (pixels * (1 - darker * (x**2 + y**2) / 2)[..., None]).astype(np.float32)


def _cut(drawn: Drawn, length: int) -> list[tuple[float, ...]]:
    return [drawn[start : start + length] for start in range(0, len(drawn), length)]
