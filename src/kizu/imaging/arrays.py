"""Arrays that cameras and other libraries give -> arrays as `to_rgb` takes them: nothing is guessed, all is said."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from scipy import ndimage

from kizu.core.errors import ImageError
from kizu.core.types import U8
from kizu.imaging.pixels import to_rgb
from kizu.imaging.scale import Scale

PillowImage = Image.Image
Order = Literal["RGB", "BGR"]
Pattern = Literal["RGGB", "BGGR", "GRBG", "GBRG"]
_KERNELS = {"G": (0, 1, 4), "R": (1, 2, 4), "B": (1, 2, 4)}
"""Weights (corner, side, centre) that fill one colour's gaps from its neighbours."""


def array_to_rgb(
    array: NDArray[Any],
    *,
    order: Order = "RGB",
    is_planar: bool = False,
    pattern: Pattern | None = None,
    scale: Scale | None = None,
) -> U8:
    """An array of any strides as (H, W, 3) uint8 RGB, by the rules of `to_rgb`.

    `order`: of the channels, as OpenCV has them "BGR" (with a fourth channel, BGRA). `is_planar`: channels come first,
    (C, H, W). `pattern`: the array is (H, W) behind a colour filter whose upper left 2 x 2 pixels are these, by rows;
    what each pixel did not see is the mean of its nearest neighbours that did. Raises `ImageError` for another shape.
    """
    if pattern is not None:
        if order != "RGB" or is_planar:
            raise ImageError("a colour filter has no order of channels and no planes", hint="leave one out")
        return to_rgb(_fill(array, pattern), scale=scale)
    if is_planar:
        if array.ndim != 3 or array.shape[0] not in (1, 3, 4):
            raise ImageError(f"a planar image must be (1, H, W), (3, H, W) or (4, H, W), got {array.shape}")
        array = array.transpose(1, 2, 0)
    if order == "BGR":
        if array.ndim != 3 or array.shape[2] not in (3, 4):
            hint = (
                "channels come last: is_planar=True" if array.ndim == 3 and array.shape[0] in (3, 4) else None
            )
            raise ImageError(f"an image in BGR must be (H, W, 3) or (H, W, 4), got {array.shape}", hint=hint)
        array = np.concatenate([array[..., 2::-1], array[..., 3:]], axis=2)
    elif order != "RGB":
        raise ImageError(f"unknown order of channels: {order!r}", hint="RGB or BGR")
    return to_rgb(array, scale=scale)


def _fill(array: NDArray[Any], pattern: str) -> NDArray[Any]:
    """(H, W) behind a colour filter -> (H, W, 3) of the same type, bilinear."""
    if pattern not in ("RGGB", "BGGR", "GRBG", "GBRG"):
        raise ImageError(f"unknown colour filter: {pattern!r}", hint="RGGB, BGGR, GRBG or GBRG")
    if array.ndim != 2 or min(array.shape) < 2:
        raise ImageError(f"an image behind a colour filter must be (H, W), 2 x 2 or more, got {array.shape}")
    values = array.astype(np.float32)
    planes = []
    for colour in "RGB":
        corner, side, centre = _KERNELS[colour]
        kernel = np.array([[corner, side, corner], [side, centre, side], [corner, side, corner]], np.float32)
        seen = np.zeros(array.shape, np.float32)
        for place, found in enumerate(pattern):
            if found == colour:
                seen[place // 2 :: 2, place % 2 :: 2] = 1
        total = ndimage.convolve(values * seen, kernel, mode="constant")
        planes.append(total / ndimage.convolve(seen, kernel, mode="constant"))
    filled = np.stack(planes, axis=2)
    return filled.astype(array.dtype) if array.dtype.kind == "f" else np.rint(filled).astype(array.dtype)


def pillow_to_array(image: PillowImage) -> NDArray[Any]:
    """An image of Pillow's as an array as `to_rgb` takes it: turned as its EXIF says, palettes and CMYK as RGB, 16 bits
    as they are."""
    upright = ImageOps.exif_transpose(image)
    if upright.mode in ("L", "RGB", "RGBA") or upright.mode.startswith(("I", "F")):
        return np.asarray(upright)
    has_alpha = "A" in upright.mode or "transparency" in upright.info
    return np.asarray(upright.convert("RGBA" if has_alpha else "RGB"))
