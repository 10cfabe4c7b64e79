"""What lights the part, and what the camera's processing makes of it: values in [0, 1], clipped where they leave it."""

import numpy as np

from kizu.core.types import F32
from kizu.data.shifts.base import Drawn

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue in brightness (ITU-R BT.601)."""


def brighten(pixels: F32, change: float, drawn: Drawn) -> F32:
    """All values times one factor."""
    return _clip(pixels * (1 + change * drawn[0]))


def change_contrast(pixels: F32, change: float, drawn: Drawn) -> F32:
    """The distance of all values from the picture's mean brightness times one factor."""
    mean = _luma(pixels).mean()
    return _clip(mean + (pixels - mean) * (1 + change * drawn[0]))


def change_saturation(pixels: F32, change: float, drawn: Drawn) -> F32:
    """The distance of colours from grey times one factor. A grey picture stays as it is."""
    grey = _luma(pixels)
    return _clip(grey + (pixels - grey) * (1 + change * drawn[0]))


def bend(pixels: F32, change: float, drawn: Drawn) -> F32:
    """Values to the power of exp(change)."""
    return _clip(pixels ** np.float32(np.exp(change * drawn[0])))


def balance_white(pixels: F32, change: float, drawn: Drawn) -> F32:
    """Redder and less blue, or the other way. A grey picture is a monochrome camera's, and stays as it is."""
    if pixels.shape[2] == 1:
        return pixels
    half = change * drawn[0] / 2
    return _clip(pixels * np.exp([half, 0, -half]).astype(np.float32))


def expose(pixels: F32, stops: float, drawn: Drawn) -> F32:
    """Light times 2^stops: decoded to linear light and encoded again, as sRGB is (IEC 61966-2-1)."""
    linear = np.where(pixels <= 0.04045, pixels / 12.92, ((pixels + 0.055) / 1.055) ** 2.4)
    lit = np.clip(linear * 2 ** (stops * drawn[0]), 0, 1)
    return _clip(np.where(lit <= 0.0031308, lit * 12.92, 1.055 * lit ** (1 / 2.4) - 0.055))


def light_from_a_side(pixels: F32, change: float, drawn: Drawn) -> F32:
    """Brighter towards the drawn angle, darker away from it, straight across the picture."""
    height, width = pixels.shape[:2]
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None]
    c, s = np.cos(drawn[0]), np.sin(drawn[0])
    ramp = (c * x + s * y) / (abs(c) + abs(s))  # -1 to 1 from corner to corner
    return _clip(pixels * (1 + change * ramp)[..., None])


def _luma(pixels: F32) -> F32:
    """(H, W, 1)"""
    return pixels if pixels.shape[2] == 1 else (pixels @ LUMA)[..., None]


def _clip(pixels: F32) -> F32:
    return np.clip(pixels, 0, 1).astype(np.float32, copy=False)
