"""AU-PRO: how well defect regions, large and small alike, are covered before good pixels raise alarms."""

from collections.abc import Sequence

import numpy as np

from kizu.core.errors import ConfigError
from kizu.core.types import Bool
from kizu.metrics.pixels import PixelRanking, rank_pixels
from kizu.metrics.ranking import Reals, area_shares


def aupro_of(pixels: PixelRanking, limit: float) -> float:
    """Area under the per-region-overlap curve up to the false-positive rate `limit`, divided by the limit.

    Regions are 8-connected and weigh the same whatever their size. The rate is taken over the good pixels of
    all images; equal scores are merged; the curve is cut at the limit by linear interpolation.
    Limits in use: 0.30 (Bergmann et al., MVTec AD, IJCV 2021), 0.05 (the same group's for MVTec AD 2, 2025).
    Raises `Undefined` without defective or without good pixels.
    """
    shares = area_shares(pixels.ranking, check_limit(limit))
    return float(np.average(shares, weights=pixels.overlap_gain))


def aupro(maps: Sequence[Reals], masks: Sequence[Bool], limit: float) -> float:
    """`aupro_of` for one limit; arguments and errors as in `rank_pixels`."""
    return aupro_of(rank_pixels(maps, masks, up_to=check_limit(limit)), limit)


def check_limit(limit: float) -> float:
    """The same, or `ConfigError`."""
    if not 0 < limit <= 1:
        raise ConfigError(f"a false-positive rate limit is in (0, 1], got {limit}")
    return limit
