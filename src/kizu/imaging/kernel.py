"""What `placement.place` computes, written down to the last bit, so that other programs can compute it too.

Pillow does it here. This is the same in whole numbers, for pictures of one size (H, W):

1. Where a side shrinks to a third or less, boxes of `factors` pixels are averaged: the sum of a box, and half its area,
   divided by its area. Boxes at the bottom and right border may be smaller.
2. Each row is resized by `columns`, and each column by `rows`: a pixel is the sum of weight * pixel over the source,
   plus 2**21, divided by 2**22 and cut to 0..255. Weights are a triangle (bilinear) or a cubic with a = -0.5 (bicubic),
   as wide as the picture shrinks. Which of the two comes first depends on the sizes, and on Pillow's version: it is
   tried, not assumed.

Between any two steps pixels are bytes; divisions round down.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from kizu.core.errors import ConfigError
from kizu.core.types import F64, HW, I64, U8
from kizu.imaging.placement import REDUCING_GAP, PlacementConfig, place

WEIGHT_BITS = 22
"""Weights are whole numbers that add up to 2**22, but for rounding."""
ROUNDING = 1 << (WEIGHT_BITS - 1)


@dataclass(frozen=True, slots=True)
class Kernel:
    """The way of pictures (H, W) to what the network sees (h, w)."""

    picture_hw: HW
    factors: HW
    """Height and width of the boxes; (1, 1): there is no first step."""
    rows: I64 | None
    """(h, H / factor) weights; None: this side keeps its length"""
    columns: I64 | None
    """(w, W / factor)"""
    crop: tuple[slice, slice]
    """What is cut out of the sides that keep their length; the weights of the others are of the crop already."""

    rows_first: bool = False
    """Columns are resized before rows."""

    @property
    def area(self) -> I64:
        """(H / factor, W / factor): how many pixels each box holds, fewer at the border."""
        return np.multiply.outer(
            *(
                np.minimum(factor, side - factor * np.arange(-(-side // factor)))
                for side, factor in zip(self.picture_hw, self.factors, strict=True)
            )
        )

    def __call__(self, image: U8) -> U8:
        """(H, W, 3) -> (h, w, 3): slow, and the same as `place` to the last bit."""
        pixels = _average_boxes(image.astype(np.float64), self)
        turns = (
            ((self.rows, 0), (self.columns, 1)) if self.rows_first else ((self.columns, 1), (self.rows, 0))
        )
        for weights, axis in turns:
            if weights is not None:
                sums = np.moveaxis(np.tensordot(weights.astype(np.float64), pixels, (1, axis)), 0, axis)
                pixels = np.clip(np.floor((sums + ROUNDING) / (1 << WEIGHT_BITS)), 0, 255)
        return np.ascontiguousarray(pixels[self.crop].astype(np.uint8))


def kernel(picture_hw: HW, config: PlacementConfig) -> Kernel:
    """How `place` treats pictures of this size, tried on noise.

    Raises `ConfigError` where it does not: of a version of Pillow that computes otherwise.
    """
    guess = _kernel(picture_hw, config)
    noise = np.random.default_rng(0).integers(0, 256, (*picture_hw, 3), np.uint8)
    true = place(noise, config)
    for how in (guess, replace(guess, rows_first=True)):
        if np.array_equal(how(noise), true):
            return how
    raise ConfigError(
        f"how this version of Pillow resizes {picture_hw} to {config.resized_hw} is not known to the last bit",
        hint="export without --input-size, and resize as kizu does before",
    )


def _kernel(picture_hw: HW, config: PlacementConfig) -> Kernel:
    (top, left), (h, w) = config.crop_offset, config.seen_hw
    crop = (slice(top, top + h), slice(left, left + w))
    if picture_hw == config.resized_hw:
        return Kernel(picture_hw, (1, 1), None, None, crop)
    factors: list[int] = []
    weights: list[I64 | None] = []
    for side, target, seen in zip(picture_hw, config.resized_hw, crop, strict=True):
        factor = int(side / target / REDUCING_GAP) or 1
        length = -(-side // factor)
        factors.append(factor)
        keeps = length == target and side == factor * length
        weights.append(None if keeps else _weights(length, side / factor, target, config.resample)[seen])
    top_down, across = (
        slice(None) if given is not None else seen for given, seen in zip(weights, crop, strict=True)
    )
    return Kernel(picture_hw, (factors[0], factors[1]), weights[0], weights[1], (top_down, across))


def _average_boxes(pixels: F64, how: Kernel) -> F64:
    if how.factors == (1, 1):
        return pixels
    (height, width), (y, x) = how.picture_hw, how.factors
    padded = np.pad(pixels, ((0, -height % y), (0, -width % x), (0, 0)))
    sums = padded.reshape(padded.shape[0] // y, y, padded.shape[1] // x, x, 3).sum(axis=(1, 3))
    area = how.area[..., None]
    # As Pillow divides: by a product with 2**24 / area, rounded down. Of areas that are no power of two the quotient
    # of a whole multiple comes out one too small.
    mean: F64 = np.floor((sums + area // 2) * ((1 << 24) // area) / (1 << 24))
    return mean


def _weights(length: int, covered: float, target: int, resample: str) -> I64:
    """(target, length): the weights of one side, of whose `length` pixels `covered` are of the picture."""
    scale = float(np.float32(covered)) / target  # Pillow keeps it so
    widened = max(scale, 1.0)
    reach = (1.0 if resample == "bilinear" else 2.0) * widened
    table = np.zeros((target, length), np.int64)
    for index in range(target):
        centre = (index + 0.5) * scale
        first = max(int(centre - reach + 0.5), 0)
        last = min(int(centre + reach + 0.5), length)
        x: F64 = (np.arange(first, last) - centre + 0.5) * np.float64(1.0 / widened)
        shares = _triangle(x) if resample == "bilinear" else _cubic(x)
        shares = shares / math.fsum(shares)
        table[index, first:last] = np.trunc(shares * (1 << WEIGHT_BITS) + np.where(shares < 0, -0.5, 0.5))
    return table


def _triangle(x: F64) -> F64:
    return np.maximum(1.0 - np.abs(x), 0.0)


def _cubic(x: F64) -> F64:
    a, x = -0.5, np.abs(x)
    near = ((a + 2.0) * x - (a + 3.0)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))
