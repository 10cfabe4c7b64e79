"""Where to look and where not: polygons or a picture, in the pixels of the original image."""

import json
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from kizu.core.errors import ConfigError
from kizu.core.hashing import hash_value
from kizu.core.types import F64, HW, Bool
from kizu.imaging.codec import decode_mask


@dataclass(frozen=True, slots=True)
class Area:
    """A part of the image: polygons, or a picture whose pixels above 0 are in it. Keeps copies of what it is given."""

    polygons: tuple[F64, ...] = ()
    """Each (K, 2), x and y: pixels, or parts of width and height where `is_relative`."""
    is_relative: bool = False
    picture: Bool | None = None
    """(H, W); taken to images of another size by the nearest pixel."""

    def __post_init__(self) -> None:
        # Masks are kept by the hash of an area, so nobody may change one afterwards.
        polygons = tuple(np.array(polygon, np.float64) for polygon in self.polygons)
        picture = None if self.picture is None else np.array(self.picture) > 0
        for array in (*polygons, picture):
            if array is not None:
                array.flags.writeable = False
        object.__setattr__(self, "polygons", polygons)
        object.__setattr__(self, "picture", picture)

    def mask(self, image_hw: HW) -> Bool:
        """(H, W), True inside."""
        height, width = image_hw
        if self.picture is not None:
            rows, columns = (
                np.minimum((np.arange(size) + 0.5) * known / size, known - 1).astype(np.intp)
                for size, known in zip(image_hw, self.picture.shape, strict=True)
            )
            inside: Bool = self.picture[np.ix_(rows, columns)]
            return inside
        drawn = Image.new("1", (width, height))
        pen = ImageDraw.Draw(drawn)
        for polygon in self.polygons:
            corners = polygon * (width, height) if self.is_relative else polygon
            pen.polygon([(float(x), float(y)) for x, y in corners], fill=1)
        return np.array(drawn, dtype=np.bool_)


@dataclass(frozen=True)
class Roi:
    """The region of interest of a product."""

    include: Area | None = None
    """None: everywhere."""
    ignore: Area | None = None
    """None: nothing."""
    sha256: str = field(init=False)
    """Of both areas' content: regions of one content are equal, whoever made them."""

    def __post_init__(self) -> None:
        areas = (self.include, self.ignore)
        object.__setattr__(
            self, "sha256", hash_value([None if area is None else _tell(area) for area in areas])
        )

    def mask(self, image_hw: HW) -> Bool:
        """(H, W), True where a flaw counts. Kept for the sizes that were asked for last; do not write to it."""
        return _mask(self, image_hw)

    def __hash__(self) -> int:
        return hash(self.sha256)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Roi) and other.sha256 == self.sha256


@lru_cache(maxsize=8)
def _mask(roi: Roi, image_hw: HW) -> Bool:
    inside = np.ones(image_hw, np.bool_) if roi.include is None else roi.include.mask(image_hw)
    if roi.ignore is not None:
        inside = inside & ~roi.ignore.mask(image_hw)
    inside.flags.writeable = False
    return inside


def read_roi(include: Path | None, ignore: Path | None) -> Roi | None:
    """From files: a picture (PNG and so on; above 0 is inside), or JSON with polygons. None where neither is given.

    JSON: `{"polygons": [[[x, y], ...], ...], "unit": "px"}`; with `"unit": "fraction"` corners are parts of width and
    height. Raises `ConfigError` naming the file and what is wrong, `ImageError` for a broken picture.
    """
    if include is None and ignore is None:
        return None
    return Roi(*(None if path is None else _read_area(path) for path in (include, ignore)))


def _read_area(path: Path) -> Area:
    if path.suffix.lower() != ".json":
        picture = decode_mask(path)
        if not picture.any():
            raise ConfigError(f"{path} marks nothing", hint="pixels above 0 are the area")
        return Area(picture=picture)
    try:
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        unit = told.get("unit", "px")
        polygons = tuple(np.asarray(corners, np.float64) for corners in told["polygons"])
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ConfigError(
            f"{path} holds no polygons ({error!r})", hint='write {"polygons": [[[x, y], [x, y], [x, y]]]}'
        ) from error
    if unit not in ("px", "fraction"):
        raise ConfigError(f"{path}: unit {unit!r}", hint="px or fraction")
    for number, corners in enumerate(polygons, start=1):
        if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3 or not np.isfinite(corners).all():
            raise ConfigError(f"{path}: polygon {number} is not a list of at least three [x, y]")
    if not polygons:
        raise ConfigError(f"{path} holds no polygon")
    _ensure_in_some_picture(path, np.concatenate(polygons), unit)
    return Area(polygons, is_relative=unit == "fraction")


def _ensure_in_some_picture(path: Path, corners: F64, unit: str) -> None:
    """Refuse what lies outside every picture, and parts of width and height that are taken for pixels."""
    low, high = corners.min(axis=0), corners.max(axis=0)
    if unit == "px" and (low >= 0).all() and (high <= 1).all():
        raise ConfigError(
            f"{path}: all corners lie in one pixel",
            hint='write "unit": "fraction" for parts of width and height',
        )
    if (high < 0).any() or (unit == "fraction" and (low > 1).any()):
        raise ConfigError(
            f"{path}: all corners lie outside of every picture",
            hint='corners are [x, y] in pixels; with "unit": "fraction" 0 to 1 of width and height',
        )


def _tell(area: Area) -> list[Any]:
    picture = None if area.picture is None else [list(area.picture.shape), area.picture.tobytes().hex()]
    return [[polygon.tolist() for polygon in area.polygons], area.is_relative, picture]
