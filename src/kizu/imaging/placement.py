"""From image pixels to the network's input, and the exact way back.

Coordinates: the centre of pixel (y, x) is (y, x). An image of H rows reaches from -0.5 to H - 0.5.
"""

from functools import lru_cache
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from PIL import Image
from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from kizu.core.config import Config
from kizu.core.types import F32, HW, I64, U8
from kizu.imaging.scale import Scale

Side = Annotated[int, Field(ge=1, le=8192)]

DEFAULT_PIXELS = 256 * 256

_RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
REDUCING_GAP = 3.0
"""Shrink by a whole-number box first, to 3 times the target: faster, and by eye no different."""
_BLOCK_ROWS = 64


class PlacementConfig(Config):
    """How an image of any size becomes the network's input: squash to `resize`, then cut out the centre.

    Squashing keeps the whole part in view. Where neither `image_size` nor `resize` is given, a fit chooses the shape of
    the input from its pictures, at so many `pixels`.
    """

    pixels: Annotated[int, Field(ge=256, le=8192**2)] | None = None
    """Of the network's input; latency goes with them. 65,536 where no size is given; None: `image_size` holds."""
    smallest_flaw_px: Annotated[float, Field(gt=0)] | None = None
    """Side of the smallest flaw that must be found, in pixels of the product's pictures: where `pixels` would make it
    smaller than a patch, a fit takes more of them; an `image_size` that does is told."""
    image_size: tuple[Side, Side] = (256, 256)
    """(H, W) of the network's input. One number means a square."""
    resize: tuple[Side, Side] | None = None
    """(H, W) before the centre crop, or before tiles are cut; None: `image_size`, nothing is cut off."""
    tile_overlap: Annotated[float, Field(ge=0, le=0.75)] | None = None
    """For images much larger than the network's input: all of the resized image is cut into tiles of `image_size` that
    overlap by at least this part of one, and their maps are blended. None: one centre crop."""
    resample: Literal["bilinear", "bicubic"] = "bilinear"
    """Both widen their kernel when shrinking (antialiased)."""

    scale: Scale | None = None
    """What numbers deeper than 8 bits mean, for all pictures of the product: `{bits: 12}`, or a depth with the numbers
    that become 0 and 255. None: 8 bits as they are, of 16 the high byte; a fit on deeper pictures chooses one."""

    @model_validator(mode="before")
    @classmethod
    def _size_or_pixels(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        sized = [name for name in ("image_size", "resize") if values.get(name) is not None]
        if sized and values.get("pixels") is not None:
            raise ValueError(f"pixels and {sized[0]} cannot both be had: pixels choose the size")
        return values if sized or "pixels" in values else {**values, "pixels": DEFAULT_PIXELS}

    @field_validator("image_size", "resize", mode="before")
    @classmethod
    def _square(cls, value: Any) -> Any:
        return (value, value) if isinstance(value, int) else value

    @model_validator(mode="after")
    def _crop_fits(self) -> Self:
        if self.resize is not None and any(r < c for r, c in zip(self.resize, self.image_size, strict=True)):
            raise ValueError(f"resize {self.resize} is smaller than image_size {self.image_size}")
        return self

    @model_serializer(mode="wrap")
    def _without_default(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """As it was written before there were a scale, pixels and a flaw, where there are none: what was hashed keeps
        its hash. With pixels there is no size yet."""
        values: dict[str, Any] = dump(self)
        left = {"image_size"} if self.pixels is not None else set()
        absent = {name for name in ("pixels", "scale", "smallest_flaw_px") if values[name] is None}
        return {key: value for key, value in values.items() if key not in left | absent}

    def settled(self) -> Self:
        """With the size that it has as it is: no fit chooses one any more."""
        return self if self.pixels is None else self.model_copy(update={"pixels": None})

    @property
    def resized_hw(self) -> HW:
        """(H, W) after the resize, before the crop."""
        return self.resize or self.image_size

    @property
    def seen_hw(self) -> HW:
        """(H, W) of what is looked at and mapped: the network's input, or of tiles all they cover."""
        return self.image_size if self.tile_overlap is None else self.resized_hw

    @property
    def crop_offset(self) -> tuple[int, int]:
        """(top, left) of the crop in the resized image, in pixels; of an odd rest, more goes bottom right."""
        if self.tile_overlap is not None:
            return 0, 0
        (height, width), (h, w) = self.resized_hw, self.image_size
        return (height - h) // 2, (width - w) // 2

    def tell_crop(self) -> str | None:
        """In words, what of each picture is not looked at; None where all of it is."""
        (height, width), (h, w) = self.resized_hw, self.seen_hw
        if (height, width) == (h, w):
            return None
        unseen = 1 - (h * w) / (height * width)
        return (
            f"of each picture only the centre is looked at, {h} x {w} of {height} x {width}: a flaw in the other"
            f" {unseen:.0%} passes"
        )


class _Axis(NamedTuple):
    """Where the seen pixels of one image axis lie between the cells of the map."""

    before: I64
    """(S,) the cell at or before each pixel start..stop-1"""
    after: I64
    """(S,)"""
    weight: F32
    """(S,) of `after`"""
    start: int
    stop: int


def place(image: U8, config: PlacementConfig) -> U8:
    """(H, W, 3) uint8 of any size -> (h, w, 3) uint8 with (h, w) == `config.seen_hw`, contiguous.

    The image itself where nothing is to be done.
    """
    height, width = config.resized_hw
    if image.shape[:2] != (height, width):
        resized = Image.fromarray(image).resize(
            (width, height), _RESAMPLING[config.resample], reducing_gap=REDUCING_GAP
        )
        image = np.asarray(resized)
    (top, left), (h, w) = config.crop_offset, config.seen_hw
    return np.ascontiguousarray(image[top : top + h, left : left + w])  # (h, w, 3)


def map_back(score_map: F32, image_hw: HW, config: PlacementConfig) -> F32:
    """A map over the network's input -> (H, W) float32 over the original image.

    `score_map` is (h, w) float32 of any resolution; it covers all of `config.seen_hw`. Bilinear with
    half-pixel centres, the border repeated; no value leaves the range of `score_map`, which is returned itself where
    nothing was resized or cut. Pixels that the crop cut off are 0.0: distances are >= 0, and what was not seen is never
    the reason of an NG.
    """
    if image_hw == config.resized_hw == score_map.shape:
        return score_map
    (height, width), (top, left) = config.resized_hw, config.crop_offset
    (h, w), (grid_h, grid_w) = config.seen_hw, score_map.shape
    rows = _axis(image_hw[0], height, top, h, grid_h)
    columns = _axis(image_hw[1], width, left, w, grid_w)
    seen = _interpolate(score_map, rows, columns)
    if seen.shape == image_hw:
        return seen
    whole = np.zeros(image_hw, dtype=np.float32)
    whole[rows.start : rows.stop, columns.start : columns.stop] = seen
    return whole


def seen_part(image_hw: HW, config: PlacementConfig) -> tuple[slice, slice]:
    """The rows and columns of an image of this size that are looked at."""
    rows, columns = (
        _axis(image, resized, offset, seen, seen)
        for image, resized, offset, seen in zip(
            image_hw, config.resized_hw, config.crop_offset, config.seen_hw, strict=True
        )
    )
    return slice(rows.start, rows.stop), slice(columns.start, columns.stop)


def _interpolate(score_map: F32, rows: _Axis, columns: _Axis) -> F32:
    """(h, w) -> (rows, columns): across first, then down, in blocks that fit the processor's cache."""
    low, high = score_map.min(), score_map.max()
    wide = np.take(score_map, columns.before, axis=1)  # (h, W)
    wide += (np.take(score_map, columns.after, axis=1) - wide) * columns.weight
    whole = np.empty((rows.weight.size, columns.weight.size), dtype=np.float32)
    steps = np.empty_like(whole[:_BLOCK_ROWS])
    for top in range(0, whole.shape[0], _BLOCK_ROWS):
        here = slice(top, top + _BLOCK_ROWS)
        block = whole[here]
        np.take(wide, rows.before[here], axis=0, out=block, mode="clip")
        step = np.take(wide, rows.after[here], axis=0, out=steps[: len(block)], mode="clip")
        step -= block
        step *= rows.weight[here, None]
        block += step
        np.clip(block, low, high, out=block)  # rounding may overshoot by the last bit
    return whole


@lru_cache(maxsize=256)
def _axis(image: int, resized: int, offset: int, network: int, grid: int) -> _Axis:
    """The same for all images of one size; all lengths in pixels, `grid` in cells."""
    position = (np.arange(image) + 0.5) * (resized / image) - offset  # 0 .. network, from edge to edge
    inside = np.flatnonzero((position >= 0) & (position <= network))
    cell = np.clip(position[inside] * (grid / network) - 0.5, 0, grid - 1)
    before = np.floor(cell).astype(np.int64)
    start, stop = (int(inside[0]), int(inside[-1]) + 1) if inside.size else (0, 0)
    return _Axis(before, np.minimum(before + 1, grid - 1), (cell - before).astype(np.float32), start, stop)
