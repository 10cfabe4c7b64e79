"""From held-out scores and maps to the two thresholds a line runs with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field

from kizu.core.config import Config
from kizu.core.errors import CalibrationError
from kizu.core.types import F32, HW, I64, Bool
from kizu.decision.conformal import conformal, conformal_confident, maximum, tightest_rate, usual_rate
from kizu.decision.good_scores import GoodScores, number_groups
from kizu.decision.thresholds import Threshold, f1_max, least_cost, mean_sigma, quantile
from kizu.decision.zones import Grid, ZoneThresholds, zone_peaks

DEFAULT_RATE = 0.01
PIXELS_PER_IMAGE = 4096
"""Enough for a quantile of 0.999 over twenty images; memory stays bounded on any number of them."""

ImageRule = Literal["conformal", "conformal_confident", "quantile", "maximum", "mean_sigma", "f1_max", "cost"]
PixelRule = Literal["conformal", "conformal_confident", "quantile", "maximum", "mean_sigma"]

PixelMetric = Literal["f1", "iou"]
"""Which one a pixel threshold makes highest. IoU = F1 / (2 - F1) rises with F1, so both have the same threshold."""

Rate = Annotated[float, Field(gt=0, lt=1)]
Scheme = Literal["auto", "left_out", "held_out"]


class CalibrationConfig(Config):
    """How thresholds are set. The defaults work with any number of good images and say what they guarantee."""

    scheme: Scheme = "auto"
    """Where the scores come from that set thresholds (docs/decisions/0029). `left_out`: the model is fitted on all good
    images, and each is scored as by a fit without its group. `held_out`: some are not fitted on. `auto`: `held_out`
    where `fraction` is given, or the method or the rule wants it, or from 400 groups on; else `left_out`."""
    fraction: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Part of train/good that is held out of the fit. None: a tenth; from 200 groups on at least 99 images, from 400
    on 199, for a promise of 1 %."""
    folds: Annotated[int, Field(ge=2)] | None = None
    """For few good images: so many fits, each scoring what it has not seen, set the thresholds, and the last fit is on
    all of them. The scores are not of the model that runs, so no rate is promised. None: `fraction` is held out."""
    rule: ImageRule = "conformal"
    """For the image threshold. `f1_max` and `cost` need a labelled validation split."""
    false_alarm_rate: Rate | None = None
    """For the conformal rules. None: 0.01, or what the n images or groups at hand support: 2 / (n + 1), with one of
    them above the threshold, or 1 / (n + 1) where that is more than 0.05. A rate that is given is kept or refused,
    never changed."""
    quantile: Annotated[float, Field(ge=0, le=1)] = 0.995
    sigmas: Annotated[float, Field(ge=0)] = 3
    confidence: Rate = 0.95
    """For `conformal_confident`: the rate then holds for this very threshold, not only on average."""
    escape_cost: Annotated[float, Field(gt=0)] = 10
    overkill_cost: Annotated[float, Field(gt=0)] = 1
    prevalence: Rate | None = None
    """For `cost`: the part of products that is defective; None: as in the validation split."""
    pixel_rule: PixelRule = "conformal"
    """For the pixel threshold. `conformal`: over the highest pixel of each good map, so that a good image shows any
    region with at most the guaranteed rate; `maximum` likewise. `quantile` and `mean_sigma`: of all pixels of all good
    maps."""
    pixel_quantile: Annotated[float, Field(ge=0, le=1)] = 0.999
    zones: Grid | None = None
    """(rows, columns): a pixel threshold for each cell of this grid, by `pixel_rule` over the cell's highest pixel in
    each good map. A rate is shared out among the cells. They decide where regions are cut; OK or NG only where the map
    decides that, in a region of interest."""


class Thresholds(Config):
    """What a bundle carries."""

    image: Threshold
    pixel: Threshold
    zones: ZoneThresholds | None = None
    """In force in place of `pixel`, where there are any."""

    def out_of(self, folds: int) -> Self:
        """The same, set on scores of so many other fits, and so without a promise; see `Threshold.out_of`."""
        zones = None if self.zones is None else self.zones.out_of(folds)
        return type(self)(image=self.image.out_of(folds), pixel=self.pixel.out_of(folds), zones=zones)

    def pixel_field(self, input_hw: HW) -> F32 | None:
        """(H, W) the zones' thresholds over the network's input; None: `pixel` holds everywhere."""
        return None if self.zones is None else self.zones.field(input_hw)


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What thresholds are set on: good images that were not fitted on, in their order."""

    scores: F32
    """(N,)"""
    peaks: F32
    """(N,) highest pixel of each map"""
    pixels: F32
    """(S,) a sample of all maps' pixels"""
    zone_peaks: F32
    """(N, zones) highest pixel of each zone"""
    groups: I64
    """(N,) which belong together"""
    left_out: bool = False
    """They were fitted on; each is scored as by a fit without its group."""
    monotone: bool = False
    """As in `GoodScores`."""

    def good(self, values: F32) -> GoodScores:
        """`values` (N,) of these images."""
        return GoodScores.of(values, self.groups, left_out=self.left_out, monotone=self.monotone)

    @classmethod
    def join_parts(cls, parts: Sequence["HeldOut"]) -> Self:
        """Those of several batches, one after the other; no group has images in two of them."""
        names = ("scores", "peaks", "pixels", "zone_peaks")
        joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        starts = np.cumsum([0, *(part.groups.max(initial=-1) + 1 for part in parts[:-1])])
        groups = np.concatenate([part.groups + start for part, start in zip(parts, starts, strict=True)])
        return cls(
            **joined,
            groups=groups,
            left_out=any(part.left_out for part in parts),
            monotone=all(part.monotone for part in parts),
        )


def image_threshold(
    config: CalibrationConfig, good_scores: F32 | GoodScores, *, validation: tuple[F32, Bool] | None = None
) -> Threshold:
    """The image threshold by the configured rule.

    `good_scores`: (N,) of good images. `validation`: scores (N,) and whether each is defective (N,), for
    `f1_max`. Raises `CalibrationError` where the data cannot support the rule.
    """
    if config.rule in _LABELLED:
        if validation is None:
            raise CalibrationError(
                f"the rule {config.rule} needs a labelled validation split, and this data set has none",
                hint="add validation/good and validation/<defect>, or use the rule conformal",
            )
        return _LABELLED[config.rule](config, *validation)
    return _GOOD_ONLY[config.rule](config, GoodScores.of(good_scores))


def pixel_threshold(config: CalibrationConfig, peaks: F32 | GoodScores, pixels: F32) -> Threshold:
    """The pixel threshold by the configured rule.

    `peaks`: (N,) highest pixel of each good map. `pixels`: a sample of the pixels of all these maps.
    """
    if config.pixel_rule in ("quantile", "mean_sigma"):
        by_pixel = config.model_copy(update={"quantile": config.pixel_quantile})
        found = _GOOD_ONLY[config.pixel_rule](by_pixel, GoodScores.of(pixels))
        return found.model_copy(update={"count": len(GoodScores.of(peaks).values)})
    return _GOOD_ONLY[config.pixel_rule](config, GoodScores.of(peaks))


def zone_thresholds(
    config: CalibrationConfig, grid: Grid, peaks: F32, held: HeldOut | None = None
) -> ZoneThresholds:
    """A threshold for each zone by the configured pixel rule. `peaks`: (N, rows * columns) of good maps; `held`: what
    tells their groups, None: each is its own, and none was fitted on.

    Of a conformal rate each zone gets its part; where none was asked for and the images cannot support that, the
    lowest that they can. Raises `CalibrationError` where they cannot support a rate that was asked for.
    """
    zones = peaks.shape[1]
    target = (config.false_alarm_rate or DEFAULT_RATE) / zones
    columns = [GoodScores.of(column) if held is None else held.good(column) for column in peaks.T]
    rate = target if config.false_alarm_rate else tightest_rate(columns[0], target)
    by_zone = config.model_copy(update={"false_alarm_rate": rate, "quantile": config.pixel_quantile})
    found = tuple(_GOOD_ONLY[config.pixel_rule](by_zone, column) for column in columns)
    rates = [zone.false_alarm_rate for zone in found]
    together = None if None in rates else sum(rate for rate in rates if rate is not None)
    promised = together if together is not None and together < 1 else None
    return ZoneThresholds(grid=grid, zones=found, false_alarm_rate=promised)


def good_thresholds(
    config: CalibrationConfig,
    held: HeldOut,
    *,
    validation: tuple[F32, Bool] | None = None,
) -> Thresholds:
    """All thresholds by the configured rules; arguments and errors as for each."""
    return Thresholds(
        image=image_threshold(config, held.good(held.scores), validation=validation),
        pixel=pixel_threshold(config, held.good(held.peaks), held.pixels),
        zones=None if config.zones is None else zone_thresholds(config, config.zones, held.zone_peaks, held),
    )


def keep_held_out(
    config: CalibrationConfig,
    scores: F32,
    maps: F32,
    rng: np.random.Generator,
    *,
    groups: I64 | None = None,
    left_out: bool = False,
    monotone: bool = False,
) -> HeldOut:
    """What calibration keeps of good images: their scores (N,) and maps (N, H, W). `groups`: (N,) any numbers; None:
    each is a group of its own. `left_out`, `monotone`: as in `HeldOut`."""
    return HeldOut(
        scores=scores,
        peaks=maps.max(axis=(1, 2)),
        pixels=sample_pixels(maps, rng),
        zone_peaks=zone_peaks(maps, config.zones or (1, 1)),
        groups=np.arange(len(scores)) if groups is None else number_groups(groups),
        left_out=left_out,
        monotone=monotone,
    )


def sample_pixels(maps: F32, rng: np.random.Generator) -> F32:
    """At most `PIXELS_PER_IMAGE` pixels of each map (N, H, W), drawn without replacement -> (S,)."""
    flat = maps.reshape(len(maps), -1)
    if flat.shape[1] <= PIXELS_PER_IMAGE:
        return flat.ravel()
    return np.concatenate([rng.choice(row, PIXELS_PER_IMAGE, replace=False, shuffle=False) for row in flat])


def _rate(config: CalibrationConfig, good: GoodScores) -> float:
    return config.false_alarm_rate or usual_rate(good, DEFAULT_RATE)


_GOOD_ONLY: Mapping[str, Callable[[CalibrationConfig, GoodScores], Threshold]] = {
    "conformal": lambda config, scores: conformal(scores, _rate(config, scores)),
    "conformal_confident": lambda config, scores: conformal_confident(
        scores, config.false_alarm_rate or DEFAULT_RATE, config.confidence
    ),
    "quantile": lambda config, scores: quantile(scores.values, config.quantile),
    "maximum": lambda _config, scores: maximum(scores),
    "mean_sigma": lambda config, scores: mean_sigma(scores.values, config.sigmas),
}
_LABELLED: Mapping[str, Callable[[CalibrationConfig, F32, Bool], Threshold]] = {
    "f1_max": lambda _config, scores, defective: f1_max(scores, defective),
    "cost": lambda config, scores, defective: least_cost(
        scores,
        defective,
        escape_cost=config.escape_cost,
        overkill_cost=config.overkill_cost,
        prevalence=config.prevalence,
    ),
}
LABELLED_RULES = frozenset(_LABELLED)
"""Image rules that want a labelled validation split."""
