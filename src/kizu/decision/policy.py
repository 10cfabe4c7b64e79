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


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one line."""

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
        if not self.thresholds.image.exceeded_by(score):
            return Verdict("OK", score, no_regions((anomaly_map.shape[0], anomaly_map.shape[1])))
        return Verdict("NG", score, self._regions(anomaly_map, zones))

    def decide_by_map(self, anomaly_map: F32, inside: Bool, zones: F32 | None = None) -> Verdict:
        """NG when there is a region within `inside` (H, W), whatever lies outside; the score is its highest pixel.

        An image score is of the whole picture, so it cannot judge a part. The pixel threshold can: with the conformal
        rule a good image has a region anywhere with at most the promised rate, and so within a part.
        """
        seen = np.where(inside, anomaly_map, np.float32(0))
        regions = self._regions(seen, zones)
        return Verdict("NG" if regions.found else "OK", float(seen.max()), regions)

    def _regions(self, anomaly_map: F32, zones: F32 | None) -> Regions:
        config = self.config
        return find_regions(
            anomaly_map,
            self.pixel_threshold if zones is None else zones * config.pixel_threshold_mult,
            min_area_px=config.min_defect_area,
            open_px=config.open_px,
            close_px=config.close_px,
        )
