"""A map to regions: threshold it, join what touches, drop what is too small."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from kizu.core.types import F32, I64, Bool

EIGHT_CONNECTED = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True, slots=True)
class Region:
    """One connected flaw, in pixels of the original image."""

    area: int
    """pixels"""
    bbox: tuple[int, int, int, int]
    """(x_min, y_min, x_max, y_max), half open: the width is x_max - x_min"""
    centroid: tuple[float, float]
    """(x, y), of the region's pixels, unweighted"""
    peak: float
    mean: float


@dataclass(frozen=True, slots=True)
class Regions:
    """The regions of one map, the highest peak first, and the mask they fill."""

    found: tuple[Region, ...]
    mask: Bool
    """(H, W)"""


@dataclass(frozen=True, slots=True)
class Spot:
    """One pixel of the original image."""

    x: int
    y: int
    value: float
    """the map's there"""


def highest_spot(anomaly_map: F32, threshold: float | F32) -> Spot:
    """The pixel that is nearest to its threshold, or furthest above it. `threshold`: one number, or (H, W)."""
    beyond = anomaly_map - np.float32(threshold)
    y, x = np.unravel_index(int(np.argmax(beyond)), anomaly_map.shape)
    return Spot(int(x), int(y), float(anomaly_map[y, x]))


def find_regions(
    anomaly_map: F32,
    threshold: float | F32,
    *,
    min_area_px: int = 1,
    open_px: int = 1,
    close_px: int = 1,
) -> Regions:
    """Regions of pixels strictly above `threshold`, 8-connected, of at least `min_area_px` pixels.

    `anomaly_map`: (H, W), raw, in pixels of the original image. `threshold`: one number, or (H, W). Before they are
    joined the marked pixels are opened by a square of `open_px` (what is thinner goes), then closed by one of
    `close_px` (gaps that are narrower are filled); 1: neither.
    """
    marked = anomaly_map > threshold
    if open_px > 1:
        marked = _grow(_shrink(marked, open_px), open_px)
    if close_px > 1:
        marked = _shrink(_grow(marked, close_px), close_px)
    labelled, count = ndimage.label(marked, structure=EIGHT_CONNECTED)
    areas = np.bincount(labelled.ravel(), minlength=count + 1)
    boxes = ndimage.find_objects(labelled)
    found = [
        _describe(anomaly_map, box, labelled[box] == label)
        for label, box in enumerate(boxes, start=1)
        if areas[label] >= min_area_px
    ]
    found.sort(key=lambda region: -region.peak)
    if len(found) == count:
        return Regions(found=tuple(found), mask=marked)
    is_kept = areas >= min_area_px
    is_kept[0] = False
    return Regions(found=tuple(found), mask=is_kept[labelled])


def _grow(marked: Bool, side_px: int) -> Bool:
    return np.asarray(ndimage.binary_dilation(marked, np.ones((side_px, side_px), bool)))


def _shrink(marked: Bool, side_px: int) -> Bool:
    """What lies beyond the border of the image counts as marked, so that nothing is lost there."""
    return np.asarray(ndimage.binary_erosion(marked, np.ones((side_px, side_px), bool), border_value=1))


def no_regions(image_hw: tuple[int, int]) -> Regions:
    """What a part without flaws has."""
    return Regions(found=(), mask=np.zeros(image_hw, dtype=bool))


def _describe(anomaly_map: F32, box: tuple[slice, ...], inside: Bool) -> Region:
    rows, columns = (np.count_nonzero(inside, axis=axis) for axis in (1, 0))
    values = anomaly_map[box][inside]
    y, x = box
    return Region(
        area=values.size,
        bbox=(x.start, y.start, x.stop, y.stop),
        centroid=(_mean_place(columns) + x.start, _mean_place(rows) + y.start),
        peak=float(values.max()),
        mean=float(values.mean(dtype=np.float64)),
    )


def _mean_place(counts: I64) -> float:
    """Of so many pixels at each place."""
    return float(np.arange(counts.size) @ counts / counts.sum())
