"""What was found in one picture, and how it is shown."""

import base64
from dataclasses import asdict, dataclass, field
from html import escape
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kizu.core.errors import ConfigError
from kizu.core.types import F32, U8
from kizu.data.batches import Source, place_source
from kizu.decision.policy import Basis, Label
from kizu.decision.regions import Region, Spot
from kizu.imaging.codec import encode_jpeg, encode_png, jpeg_bytes
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
from kizu.imaging.placement import PlacementConfig
from kizu.imaging.scale import Scale

OverlayStyle = Literal["blend", "side", "outline"]
"""The map laid over the picture; that beside the picture as it is; or outlines alone."""


@dataclass(frozen=True, slots=True, repr=False)
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
    source: Source | None = field(default=None, compare=False)
    """The image itself: a file, bytes or an array; None where it was not kept."""
    scale: Scale | None = field(default=None, compare=False)
    """What its numbers mean, where they are deeper than 8 bits."""

    def __repr__(self) -> str:
        height, width = self.map.shape
        regions = f"{len(self.regions)} region{'' if len(self.regions) == 1 else 's'}"
        return f"Inspection({self.label}, {self.reason}, {regions}, {height} x {width})"

    def _repr_html_(self) -> str:
        """In a notebook: the overlay, where the image is known."""
        if self.source is None:
            return f"<code>{escape(repr(self))}</code>"
        content = base64.b64encode(jpeg_bytes(self.overlay(), 85)).decode()
        return f'<img alt="{escape(repr(self))}" src="data:image/jpeg;base64,{content}">'

    def to_dict(self) -> dict[str, Any]:
        """What was found in numbers and words, without map and mask: for JSON, or a row of a table."""
        spot = None if self.spot is None else asdict(self.spot)
        ratio = None if np.isnan(self.ratio) else self.ratio
        return {
            "label": self.label,
            "score": self.score,
            "threshold": self.threshold,
            "ratio": ratio,
            "pixel_threshold": self.pixel_threshold,
            "by": self.by,
            "reason": self.reason,
            "regions": [asdict(region) for region in self.regions],
            "spot": spot,
        }

    def save(self, path: Path | str, **how: Any) -> Path:
        """Write the overlay as a picture, PNG or JPEG by its suffix; `how` as for `overlay`.

        Raises `ConfigError` for another suffix, `OutputError`.
        """
        place = Path(path)
        drawn = self.overlay(**how)
        if place.suffix.lower() == ".png":
            encode_png(place, drawn)
        elif place.suffix.lower() in (".jpg", ".jpeg"):
            encode_jpeg(place, drawn)
        else:
            raise ConfigError(f"{place} is called neither .png nor .jpg", hint="these two are written")
        return place

    def _picture(self) -> U8:
        if self.source is None:
            raise ConfigError("this inspection does not know its image", hint="give it: overlay(image)")
        placed = place_source(self.source, PlacementConfig(scale=self.scale), keep_original=True)
        assert placed.original is not None
        return placed.original

    @property
    def ratio(self) -> float:
        """Score in units of the threshold, to show how far it is from it; NaN for a threshold that is not above 0."""
        return self.score / self.threshold if self.threshold > 0 else float("nan")

    def overlay(
        self,
        image: U8 | None = None,
        *,
        caption: bool = True,
        true_mask: NDArray[np.bool_] | None = None,
        style: OverlayStyle = "blend",
    ) -> U8:
        """The image (H, W, 3) with the heat map and the flaws' outlines; None: the image that was inspected.

        A strip above it says the verdict and why, one below it has the scale of the heat where there is any.
        Heat begins at the pixel threshold: what is below it stays as it is. Where an NG image has no flaw to show, its
        highest spot is ringed. `true_mask`: (H, W), where the flaw really is; its outline is thin.
        `style`: "side" puts the image as it is to the left, "outline" leaves the heat out.
        """
        image = self._picture() if image is None else image
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
