"""What was found in one picture, and how it is shown."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kizu.core.types import F32, U8
from kizu.decision.policy import Basis, Label
from kizu.decision.regions import Region, Spot
from kizu.imaging.overlay import (
    FOUND,
    GREEN,
    HEAT_RANGE,
    RED,
    TRUE,
    banner,
    draw_contours,
    draw_ring,
    heat_overlay,
    line_width_px,
    scale_bar,
)

OverlayStyle = Literal["blend", "side", "outline"]
"""The map laid over the picture; that beside the picture as it is; or outlines alone."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found in one image. All coordinates are pixels of that image."""

    label: Label
    score: float
    threshold: float
    pixel_threshold: float
    map: F32
    """(H, W), raw: the higher, the more anomalous"""
    mask: NDArray[np.bool_]
    """(H, W), the flaw's pixels; empty when OK"""
    regions: tuple[Region, ...]
    by: Basis
    """What decided: the image score, or in a region of interest the regions of the map."""
    reason: str
    """Why the label is so, for a person: "score 1.387 > 1.298"."""
    spot: Spot | None = None
    """Where the map is highest, when the image is NG and nothing in it is above the pixel threshold."""

    @property
    def ratio(self) -> float:
        """Score in units of the threshold, to show how far it is from it; NaN for a threshold that is not above 0."""
        return self.score / self.threshold if self.threshold > 0 else float("nan")

    def overlay(
        self,
        image: U8,
        *,
        caption: bool = True,
        true_mask: NDArray[np.bool_] | None = None,
        style: OverlayStyle = "blend",
    ) -> U8:
        """The image (H, W, 3) with the heat map and the flaws' outlines, below a strip that says the verdict and why,
        above one with the scale of the heat where there is any.

        Heat begins at the pixel threshold: what is below it stays as it is. Where an NG image has no flaw to show, its
        highest spot is ringed. `true_mask`: (H, W), where the flaw really is; its outline is thin.
        `style`: "side" puts the image as it is to the left, "outline" leaves the heat out.
        """
        low, high = (factor * self.pixel_threshold for factor in HEAT_RANGE)
        is_hot = style != "outline" and bool((self.map > low).any())
        drawn = heat_overlay(image, self.map, low, high) if is_hot else image.copy()
        drawn = draw_contours(drawn, self.mask, FOUND)
        if self.spot is not None:
            drawn = draw_ring(drawn, (self.spot.x, self.spot.y))
        if true_mask is not None:
            drawn = draw_contours(drawn, true_mask, TRUE, max(1, line_width_px(image) // 2))
        if style == "side":
            drawn = np.concatenate([image, drawn], axis=1)
        if not caption:
            return drawn
        where = "" if self.spot is None else "; no pixel is above its threshold: the highest is ringed"
        drawn = banner(drawn, f"{self.label}  {self.reason}{where}", RED if self.label == "NG" else GREEN)
        return np.concatenate([drawn, scale_bar(drawn.shape[1], HEAT_RANGE[1])]) if is_hot else drawn
