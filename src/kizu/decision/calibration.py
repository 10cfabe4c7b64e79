"""From held-out scores and maps to the two thresholds a line runs with."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from kizu.core.config import Config
from kizu.core.errors import CalibrationError
from kizu.core.split import Split
from kizu.core.types import F32, Bool
from kizu.decision.thresholds import Threshold, conformal, f1_max, quantile, tightest_rate

DEFAULT_RATE = 0.01
PIXELS_PER_IMAGE = 4096
"""Enough for a quantile of 0.999 over twenty images; memory stays bounded on any number of them."""

Rate = Annotated[float, Field(gt=0, lt=1)]


class CalibrationConfig(Config):
    """How thresholds are set. The defaults work with any number of good images and say what they guarantee."""

    fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Part of train/good held out of the fit (see docs/decisions/0007)."""
    rule: Literal["conformal", "quantile", "f1_max"] = "conformal"
    """For the image threshold. `f1_max` needs a labelled validation split."""
    false_alarm_rate: Rate | None = None
    """For `conformal`. None: 0.01, or the lowest rate that the images at hand can support, 1 / (n + 1). A rate that
    is given is kept or refused, never changed."""
    quantile: Annotated[float, Field(ge=0, le=1)] = 0.995
    pixel_rule: Literal["conformal", "quantile"] = "conformal"
    """For the pixel threshold. `conformal`: over the highest pixel of each good map, so that a good image shows any
    region with at most the guaranteed rate. `quantile`: of all pixels of all good maps."""
    pixel_quantile: Annotated[float, Field(ge=0, le=1)] = 0.999


class Thresholds(Config):
    """What a bundle carries."""

    image: Threshold
    pixel: Threshold


def image_threshold(
    config: CalibrationConfig, good_scores: F32, *, validation: tuple[F32, Bool] | None = None
) -> Threshold:
    """The image threshold by the configured rule.

    `good_scores`: (N,) of held-out good images. `validation`: scores (N,) and whether each is defective (N,), for
    `f1_max`. Raises `CalibrationError` where the data cannot support the rule.
    """
    if config.rule == "f1_max":
        if validation is None:
            raise CalibrationError(
                "the rule f1_max needs a labelled validation split, and this data set has none",
                hint="add validation/good and validation/<defect>, or use the rule conformal",
            )
        return f1_max(*validation, split=Split.VALIDATION)
    if config.rule == "quantile":
        return quantile(good_scores, config.quantile)
    return conformal(good_scores, _rate(config, len(good_scores)))


def pixel_threshold(config: CalibrationConfig, peaks: F32, pixels: F32) -> Threshold:
    """The pixel threshold by the configured rule.

    `peaks`: (N,) highest pixel of each held-out good map. `pixels`: a sample of the pixels of all these maps.
    """
    if config.pixel_rule == "quantile":
        return quantile(pixels, config.pixel_quantile).model_copy(update={"count": len(peaks)})
    return conformal(peaks, _rate(config, len(peaks)))


def sample_pixels(maps: F32, rng: np.random.Generator) -> F32:
    """At most `PIXELS_PER_IMAGE` pixels of each map (N, H, W), drawn without replacement -> (S,)."""
    flat = maps.reshape(len(maps), -1)
    if flat.shape[1] <= PIXELS_PER_IMAGE:
        return flat.ravel()
    return np.concatenate([rng.choice(row, PIXELS_PER_IMAGE, replace=False, shuffle=False) for row in flat])


def _rate(config: CalibrationConfig, count: int) -> float:
    return config.false_alarm_rate or tightest_rate(count, DEFAULT_RATE)
