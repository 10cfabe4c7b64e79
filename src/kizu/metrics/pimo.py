"""AUPIMO: how much of each flaw is found while good images stay all but free of alarms.

Bertoldo et al., "AUPIMO: Redefining Visual Anomaly Detection Benchmarks with High Speed and Low Tolerance", BMVC 2024.
"""

from collections.abc import Sequence

import numpy as np

from kizu.core.errors import ConfigError
from kizu.core.threads import spread
from kizu.core.types import F64, Bool
from kizu.metrics.pixels import check_map, check_pairs
from kizu.metrics.ranking import Reals
from kizu.metrics.undefined import Undefined

BOUNDS = (1e-5, 1e-4)
"""Of the shared false-positive rate: one to ten good pixels in a hundred thousand."""


def pimos(maps: Sequence[Reals], masks: Sequence[Bool], bounds: tuple[float, float] = BOUNDS) -> F64:
    """One value for each image with a flaw, in order -> (R,).

    The curve of an image is the found part of its flawed pixels against the false-positive rate that all share: the
    mean over the good images of each one's own rate. The value is the mean height over the logarithm of the rate
    between `bounds`. The curve has a point at every distinct score of a good pixel, and lines that are straight in the
    logarithm between them; below the lowest rate that the good pixels can tell it stays at what is found without any
    false alarm. Only the good pixels within the upper bound are kept, whatever the number of images.

    Raises `Undefined` without flawed or without good images, and when the good pixels are too few to tell the upper
    bound; otherwise as `rank_pixels`.
    """
    low, high = bounds
    if not 0 < low < high <= 1:
        raise ConfigError(f"bounds of a false-positive rate are 0 < low < high <= 1, got {bounds}")
    check_pairs(maps, masks)
    flawed = [bool(mask.any()) for mask in masks]
    if not any(flawed):
        raise Undefined("no defective pixels")
    if all(flawed):
        raise Undefined("no good images")
    levels, rates = _share_rates(maps, masks, flawed, high)
    if rates[0] > high:
        raise Undefined(f"one good pixel is more than a rate of {high:g}")

    def area(index: int) -> float:
        mask = masks[index]
        return _area(np.sort(check_map(maps, index, mask)[mask]), levels, rates, low, high)

    return np.array(spread(area, np.flatnonzero(flawed).tolist()))


def aupimo(maps: Sequence[Reals], masks: Sequence[Bool], bounds: tuple[float, float] = BOUNDS) -> float:
    """The mean of `pimos`."""
    return float(pimos(maps, masks, bounds).mean())


def _share_rates(
    maps: Sequence[Reals], masks: Sequence[Bool], flawed: Sequence[bool], high: float
) -> tuple[Reals, F64]:
    """The distinct scores of good pixels, falling (K,), and the shared rate at each (K,), up to the first above `high`.

    What lies beyond that for some of the images lies beyond it for all of them, so it is forgotten on the way.
    """
    good_images = len(flawed) - sum(flawed)
    scores: Reals = np.empty(0, np.float32)
    weights = np.empty(0)
    for index, mask in enumerate(masks):
        if flawed[index]:
            continue
        pixels = check_map(maps, index, mask).ravel()
        if scores.size and weights.sum() > high:
            pixels = pixels[pixels >= scores[-1]]
        weight = 1 / (good_images * mask.size)
        scores = np.concatenate([scores, pixels])
        weights = np.concatenate([weights, np.full(pixels.size, weight)])
        order = np.argsort(-scores, kind="stable")
        rate = np.cumsum(weights[order])
        # All pixels of the score at which the bound is passed are needed.
        last = min(int(np.searchsorted(rate, high, side="right")), rate.size - 1)
        order = order[scores[order] >= scores[order[last]]]
        scores, weights = scores[order], weights[order]
    levels, counts = np.unique(-scores, return_counts=True)
    ends = np.cumsum(counts) - 1
    return -levels, np.cumsum(weights)[ends]


def _area(found: Reals, levels: Reals, rates: F64, low: float, high: float) -> float:
    """The normalised area of one image's curve; `found` (F,): the scores of its flawed pixels, rising."""
    above = 1 - np.searchsorted(found, levels, side="right") / found.size  # (K,)
    at = 1 - np.searchsorted(found, levels, side="left") / found.size
    log_low, log_high = np.log(low), np.log(high)
    start = np.concatenate([[min(log_low, np.log(rates[0]))], np.log(rates[:-1])])
    stop = np.log(rates)
    rise = at - above
    rise[0] = 0  # up to the lowest rate the curve is level
    left, right = np.maximum(start, log_low), np.minimum(stop, log_high)
    inside = right > left
    width = np.where(stop > start, stop - start, 1)
    middle = above + rise * ((left + right) / 2 - start) / width
    return float(((right - left) * middle)[inside].sum() / (log_high - log_low))
