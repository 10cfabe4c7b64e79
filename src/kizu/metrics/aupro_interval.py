"""The uncertainty of an AU-PRO over images: pixels and regions of one image are not independent, images are.

The value is a mean over regions of 1 - F(s) / limit, where it is above 0, with F the false-positive rate at a flawed
pixel's score s. An image moves it by its own regions and by its good pixels, which raise F for all. The variance of
these influences by images goes the way of an AUROC's (`worth`): docs/intervals.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from kizu.core.threads import spread
from kizu.core.types import F64, Bool
from kizu.metrics.intervals import Interval, check_level
from kizu.metrics.overlap import check_limit
from kizu.metrics.pixels import EIGHT_CONNECTED, PixelRanking, check_map, check_pairs
from kizu.metrics.ranking import Reals, area_shares
from kizu.metrics.undefined import Undefined
from kizu.metrics.worth import Kind, weigh

PRIOR_RATIOS = (0.25, 0.03)
"""Flawed, good: the assumed variance of one image, as a part of the most that one can take from the value."""
LEAST_FLAWED, LEAST_GOOD = 10, 20
"""Images; with fewer the interval is so wide that it nearly always holds (.97 and more for 95 %)."""
PIXELS_PER_IMAGE = 1 << 14
"""Of the good ones: what images differ by is far more than what these leave unknown."""


@dataclass(frozen=True, slots=True)
class _Image:
    """For each of the L limits."""

    regions: int
    covered: F64
    """(L,) summed over its regions"""
    good_px: int
    taken: F64
    """(L,) from the covered part of all regions together, times the limit and all good pixels"""


def aupro_intervals(
    pixels: PixelRanking,
    maps: Sequence[Reals],
    masks: Sequence[Bool],
    limits: Sequence[float],
    *,
    level: float = 0.95,
) -> list[Interval]:
    """Of AU-PRO at each of `limits`. `pixels`: the ranking of the N `maps` (H, W) against `masks` (H, W), which are
    walked through once more.

    Errors as `rank_pixels`; `Undefined` without `LEAST_FLAWED` with flaws and `LEAST_GOOD` without.
    """
    check_pairs(maps, masks)
    check_level(level)
    ranking = pixels.ranking
    shares = np.array([area_shares(ranking, check_limit(limit))[::-1] for limit in limits])  # (L, T) rising
    within = np.array([ranking.alarms[::-1] < limit * ranking.good for limit in limits])
    gains = np.cumsum(within * pixels.overlap_gain[::-1], axis=1)
    gains = np.concatenate([np.zeros((len(limits), 1)), gains], axis=1)  # (L, T + 1)
    levels = ranking.scores[::-1]

    def look(index: int) -> _Image:
        mask = masks[index]
        scores = check_map(maps, index, mask)
        step = max(1, mask.size // PIXELS_PER_IMAGE) | 1  # odd: no column of an even width is favoured
        sample = scores.ravel()[::step][~mask.ravel()[::step]]
        good_px = mask.size - int(mask.sum())
        raised = gains[:, np.searchsorted(levels, sample, "right")]  # (L, pixels)
        mean: F64 = raised.mean(axis=1) if sample.size else np.zeros(len(limits))
        if good_px == mask.size:
            return _Image(0, np.zeros(len(limits)), good_px, good_px * mean)
        region, count = ndimage.label(mask, structure=EIGHT_CONNECTED)
        found = np.searchsorted(levels, scores[mask])
        inside = region[mask]
        weights = 1 / np.bincount(inside, minlength=count + 1)[inside]
        return _Image(count, shares[:, found] @ weights, good_px, good_px * mean)

    images = spread(look, range(len(masks)))
    flawed = [image for image in images if image.regions]
    good = [image for image in images if not image.regions]
    if len(flawed) < LEAST_FLAWED or len(good) < LEAST_GOOD:
        raise Undefined(
            f"{len(flawed)} images with flaws and {len(good)} without: {LEAST_FLAWED} and {LEAST_GOOD} are needed"
        )
    return [_interval(flawed, good, which, limit, level) for which, limit in enumerate(limits)]


def _interval(
    flawed: Sequence[_Image], good: Sequence[_Image], which: int, limit: float, level: float
) -> Interval:
    regions = np.array([image.regions for image in flawed])
    covered = np.array([image.covered[which] for image in flawed])
    value = float(np.clip(covered.sum() / regions.sum(), 0, 1))
    own = (covered - value * regions) / regions.mean()
    everyone = [*flawed, *good]
    px = np.array([image.good_px for image in everyone])
    taken = np.array([image.taken[which] for image in everyone]) / (limit * regions.sum())
    count = len(everyone)
    raised = -(taken - px * taken.sum() / px.sum()) / px.mean()
    parts = len(flawed) / count, len(good) / count
    worst = (
        1 / len(flawed),
        min(1.0, 1 / (count * limit)),
    )  # nothing of it is found; all its pixels are alarms
    kinds = (
        Kind(own + parts[0] * raised[: len(flawed)], regions - covered, PRIOR_RATIOS[0] * worst[0]),
        Kind(parts[1] * raised[len(flawed) :], taken[len(flawed) :], PRIOR_RATIOS[1] * worst[1]),
    )
    low, high = weigh(value, kinds).limits(level, from_one_side=True)
    side = ", one-sided" if value in (0, 1) else ""
    return Interval(low, high, level, f"variance by images in Wilson's score{side}")
