"""Score and map to a verdict."""

from dataclasses import dataclass, field
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from kizu.core.config import Config
from kizu.core.types import F32, Bool
from kizu.decision.calibration import Thresholds
from kizu.decision.regions import Regions, find_regions, no_regions

Label = Literal["OK", "NG"]

Basis = Literal["score", "regions"]
"""What a verdict rests on: the image score against its threshold, or whether the map has a region that counts."""


class PolicyConfig(Config):
    """What an operator may turn without a new fit."""

    min_defect_area: Annotated[int, Field(ge=1)] = 1
    """pixels of the original image"""
    pixel_threshold_mult: Annotated[float, Field(gt=0)] = 1.0
    """The pixel threshold is multiplied by this before regions are cut."""
    open_px: Annotated[int, Field(ge=1, le=255)] = 1
    """Side of the square that marked pixels are opened by: what is thinner is not listed. 1: nothing. Odd."""
    close_px: Annotated[int, Field(ge=1, le=255)] = 1
    """Side of the square that they are then closed by: narrower gaps are filled. 1: nothing. Odd."""

    @model_validator(mode="after")
    def _odd_sides(self) -> Self:
        for name in ("open_px", "close_px"):
            if getattr(self, name) % 2 == 0:
                raise ValueError(f"{name} must be odd, so that the square has a centre")
        return self


@dataclass(frozen=True, slots=True)
class Verdict:
    """OK or NG, and where."""

    label: Label
    score: float
    regions: Regions
    """Of an NG image. An OK image lists none: what is shown to an operator never contradicts the verdict."""
    by: Basis
    reason: str
    """Why it is so, for a person: "score 1.387 > 1.298"."""


@dataclass(frozen=True)  # with slots, setting what is no field ends in a TypeError of the library
class Policy:
    """The rules of one line. They do not change: `Inspector.with_threshold` gives others."""

    thresholds: Thresholds
    config: PolicyConfig = field(default_factory=PolicyConfig)

    @property
    def pixel_threshold(self) -> float:
        """The threshold that regions are cut at."""
        return self.thresholds.pixel.value * self.config.pixel_threshold_mult

    def decide(self, score: float, anomaly_map: F32, zones: F32 | None = None) -> Verdict:
        """NG when `score` is strictly above the image threshold. `anomaly_map`: (H, W), original pixels.

        `zones`: (H, W) pixel thresholds in place of the one, where the thresholds have zones.
        """
        shown, limit = told_apart(score, self.thresholds.image.value)
        if not self.thresholds.image.is_exceeded_by(score):
            none = no_regions((anomaly_map.shape[0], anomaly_map.shape[1]))
            return Verdict("OK", score, none, "score", f"score {shown} <= {limit}")
        return Verdict("NG", score, self._regions(anomaly_map, zones), "score", f"score {shown} > {limit}")

    def decide_by_map(self, anomaly_map: F32, inside: Bool, zones: F32 | None = None) -> Verdict:
        """NG when there is a region within `inside` (H, W), whatever lies outside; the score is its highest pixel.

        An image score is of the whole picture, so it cannot judge a part. The pixel threshold can: with the conformal
        rule a good image has a region anywhere with at most the promised rate, and so within a part.
        """
        seen = np.where(inside, anomaly_map, np.float32(0))
        regions = self._regions(seen, zones)
        reason = self._tell(regions, is_zoned=zones is not None)
        return Verdict("NG" if regions.found else "OK", float(seen.max()), regions, "regions", reason)

    def _tell(self, regions: Regions, *, is_zoned: bool) -> str:
        limit = "the threshold of its zone" if is_zoned else f"{self.pixel_threshold:.3f}"
        areas = [region.area for region in regions.found]
        if not areas:
            fewest = self.config.min_defect_area
            large_enough = f" of {fewest} px or more" if fewest > 1 else ""
            return f"no region{large_enough} above {limit}"
        if len(areas) == 1:
            return f"a region of {areas[0]} px above {limit}"
        return f"{len(areas)} regions above {limit}, the largest {max(areas)} px"

    def _regions(self, anomaly_map: F32, zones: F32 | None) -> Regions:
        config = self.config
        return find_regions(
            anomaly_map,
            self.pixel_threshold if zones is None else zones * config.pixel_threshold_mult,
            min_area_px=config.min_defect_area,
            open_px=config.open_px,
            close_px=config.close_px,
        )


def told_apart(score: float, limit: float) -> tuple[str, str]:
    """Both to three decimals, or to as many more as show that they differ: no picture says 1.298 > 1.298."""
    for decimals in range(3, 18):
        shown = f"{score:.{decimals}f}", f"{limit:.{decimals}f}"
        if shown[0] != shown[1] or score == limit:
            return shown
    return repr(score), repr(limit)
