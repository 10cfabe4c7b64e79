"""Score and map to a verdict."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from kizu.core.config import Config
from kizu.core.types import F32
from kizu.decision.calibration import Thresholds
from kizu.decision.regions import Regions, find_regions, no_regions

Label = Literal["OK", "NG"]


class PolicyConfig(Config):
    """What an operator may turn without a new fit."""

    min_defect_area: Annotated[int, Field(ge=1)] = 1
    """pixels of the original image"""
    pixel_threshold_mult: Annotated[float, Field(gt=0)] = 1.0
    """The pixel threshold is multiplied by this before regions are cut."""


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
        threshold = self.pixel_threshold if zones is None else zones * self.config.pixel_threshold_mult
        regions = find_regions(anomaly_map, threshold, min_area_px=self.config.min_defect_area)
        return Verdict("NG", score, regions)
