"""What a page shows of an inspected picture: the picture itself made small, and what was found as layers over it."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kizu.core.errors import OutputError
from kizu.core.files import write_bytes
from kizu.core.types import F32, HW, U8, Bool
from kizu.imaging.codec import jpeg_bytes, png_bytes
from kizu.imaging.overlay import FOUND, HEAT_RANGE, TRUE, contour_layer, heat_layer
from kizu.imaging.placement import PlacementConfig, place
from kizu.inspection.inspector import Inspection

SMALL_PX, HEAT_PX = 480, 160
"""Longest sides of the picture and its outlines, and of its heat, which is smooth."""
FOLDER = "page"
"""Beside `overlays/`: a folder for each layer."""
SUFFIXES = {"picture": ".jpg", "heat": ".png", "found": ".png", "true": ".png", "faint": ".png"}


@dataclass(frozen=True, slots=True)
class Layers:
    """Files that lie over each other; None: there is nothing to show."""

    picture: bytes
    """JPEG"""
    heat: bytes | None
    """PNG, clear where the map is not above the pixel threshold"""
    found: bytes | None
    """PNG, the outline of what was found"""
    true: bytes | None
    """PNG, the outline of the true flaw"""
    faint: bytes | None
    """PNG, of a missed flaw the whole map on its own scale, lowest to highest"""

    def write(self, folder: Path, name: str) -> None:
        """Put each into `folder / FOLDER`; a layer that an earlier content had and this one has not goes.

        Raises `OutputError`.
        """
        for field in fields(self):
            path = place_of(folder, field.name, name)
            content = getattr(self, field.name)
            if content is not None:
                write_bytes(path, content, durable=False)
                continue
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise OutputError(f"cannot remove {path}: {error.strerror or error}") from error


def place_of(folder: Path, layer: str, name: str) -> Path:
    """Where a layer of the picture called `name` lies in the results `folder`."""
    return folder / FOLDER / layer / f"{name}{SUFFIXES[layer]}"


def draw_layers(
    inspection: Inspection,
    image: U8,
    true_mask: NDArray[np.bool_] | None = None,
    *,
    is_flawed: bool = False,
) -> Layers:
    """Of a picture (H, W, 3) and what was found in it; `true_mask` (H, W), `is_flawed`: what is known to be true."""
    small = _small_hw(inspection.map.shape, SMALL_PX)
    low, high = (factor * inspection.pixel_threshold for factor in HEAT_RANGE)
    over = _thin_out(inspection.map, HEAT_PX)
    return Layers(
        picture=jpeg_bytes(place(image, PlacementConfig(image_size=small)), 82),
        heat=png_bytes(heat_layer(over, low, high)) if float(over.max()) > low else None,
        found=_outline(_marked(inspection), small, FOUND, 3),
        true=None if true_mask is None else _outline(true_mask, small, TRUE, 2),
        faint=_faint(over) if is_flawed and inspection.label == "OK" else None,
    )


def _marked(inspection: Inspection) -> Bool:
    """The flaw's pixels; where an NG picture has none, a disc about its highest spot, so that a ring is drawn."""
    spot = inspection.spot
    if spot is None:
        return inspection.mask
    radius = max(4, round(0.06 * min(inspection.map.shape)))
    y, x = np.ogrid[: inspection.map.shape[0], : inspection.map.shape[1]]
    return np.asarray((y - spot.y) ** 2 + (x - spot.x) ** 2 <= radius**2)


def _small_hw(hw: HW | tuple[int, ...], longest_px: int) -> HW:
    scale = min(1.0, longest_px / max(hw))
    return max(1, round(hw[0] * scale)), max(1, round(hw[1] * scale))


def _thin_out(score_map: F32, longest_px: int) -> F32:
    """Every so many-th row and column: the map was enlarged from one about as small."""
    step = max(1, -(-max(score_map.shape) // longest_px))
    return score_map[step // 2 :: step, step // 2 :: step] if min(score_map.shape) > step else score_map


def _outline(mask: Bool, small: HW, colour: Any, width: int) -> bytes | None:
    """No flawed pixel gets lost, however small the picture is made."""
    y, x = np.nonzero(mask)
    if not y.size:
        return None
    marked = np.zeros(small, np.bool_)
    marked[y * small[0] // mask.shape[0], x * small[1] // mask.shape[1]] = True
    return png_bytes(contour_layer(marked, colour, width))


def _faint(over: F32) -> bytes | None:
    low, high = float(over.min()), float(over.max())
    return png_bytes(heat_layer(over, low, high, least=0.0)) if high > low else None
