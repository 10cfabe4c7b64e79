"""Focus, motion, sensor and file."""

import numpy as np
from scipy import ndimage

from kizu.core.types import F32, F64
from kizu.data.shifts.base import Drawn
from kizu.imaging.codec import decode, jpeg_bytes


def draw_angle(rng: np.random.Generator) -> Drawn:
    """In radians."""
    return (float(rng.uniform(0, 2 * np.pi)),)


def draw_field(rng: np.random.Generator) -> Drawn:
    """The seed of a field of noise, which is the same at every strength."""
    return (float(rng.integers(2**31)),)


def blur_defocus(pixels: F32, diameter: float, _drawn: Drawn) -> F32:
    """The mean over a disc."""
    return _filter(pixels, disc(diameter))


def blur_motion(pixels: F32, length: float, drawn: Drawn) -> F32:
    """The mean over a straight path."""
    return _filter(pixels, path(length, drawn[0]))


def lose_resolution(pixels: F32, factor: float, _drawn: Drawn) -> F32:
    """Each `factor` x `factor` pixels become one, and are enlarged again, bilinearly."""
    height, width = pixels.shape[:2]
    small = max(1, round(height / factor)), max(1, round(width / factor))
    soft = ndimage.gaussian_filter(pixels, (factor / 2.5, factor / 2.5, 0), mode="mirror")
    return _resample(_resample(soft, small), (height, width))


def noise_gaussian(pixels: F32, sigma: float, drawn: Drawn) -> F32:
    """The same spread everywhere, each channel for itself."""
    return np.clip(pixels + np.float32(sigma) * _field(pixels, drawn), 0, 1)


def noise_shot(pixels: F32, sigma: float, drawn: Drawn) -> F32:
    """A spread that grows as the root of the brightness: photons counted, many of them, so that a normal law will
    do."""
    return np.clip(pixels + np.float32(sigma) * np.sqrt(pixels) * _field(pixels, drawn), 0, 1)


def compress(pixels: F32, quality: float, _drawn: Drawn) -> F32:
    """Through a JPEG file and back (Pillow)."""
    levels = np.rint(pixels * 255).astype(np.uint8)
    is_grey = levels.shape[2] == 1
    back = decode(jpeg_bytes(levels[..., 0] if is_grey else levels, round(quality)))
    return (back[..., :1] if is_grey else back).astype(np.float32) / np.float32(255)


def disc(diameter: float) -> F64:
    """(K, K), of sum 1; pixels at the rim count by the part that is covered, to a tenth of a pixel."""
    side = 2 * int(np.ceil((diameter - 1) / 2)) + 1
    steps = (np.arange(side * 10) + 0.5) / 10 - side / 2
    inside = np.hypot(steps[:, None], steps[None]) <= diameter / 2
    kernel = inside.reshape(side, 10, side, 10).mean(axis=(1, 3))
    return np.asarray(kernel / kernel.sum())


def path(length: float, angle: float) -> F64:
    """(K, K), of sum 1: a line through the centre, its points shared out among the four pixels round each."""
    side = 2 * int(np.ceil(length / 2)) + 1
    kernel = np.zeros((side, side))
    along = np.linspace(-(length - 1) / 2, (length - 1) / 2, 101)
    rows, columns = side // 2 + along * np.sin(angle), side // 2 + along * np.cos(angle)
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    for down, weight_y in ((0, 1 - (rows - top)), (1, rows - top)):
        for right, weight_x in ((0, 1 - (columns - left)), (1, columns - left)):
            at = np.minimum(top + down, side - 1), np.minimum(left + right, side - 1)
            np.add.at(kernel, at, weight_y * weight_x)
    return np.asarray(kernel / kernel.sum())


def _filter(pixels: F32, kernel: F64) -> F32:
    blurred = ndimage.convolve(pixels, kernel[..., None].astype(np.float32), mode="mirror")
    return np.clip(blurred, 0, 1)


def _field(pixels: F32, drawn: Drawn) -> F32:
    return np.random.default_rng(int(drawn[0])).standard_normal(pixels.shape, np.float32)


def _resample(pixels: F32, hw: tuple[int, int]) -> F32:
    """Bilinearly, with half-pixel centres."""
    axes = [
        (np.arange(after) + 0.5) * before / after - 0.5
        for after, before in zip(hw, pixels.shape, strict=False)
    ]
    where = np.stack(np.meshgrid(*axes, indexing="ij"))
    parts = [
        ndimage.map_coordinates(pixels[..., c], where, order=1, mode="nearest")
        for c in range(pixels.shape[2])
    ]
    return np.stack(parts, axis=2).astype(np.float32)
