"""Decoded pixels and arrays in memory -> (H, W, 3) uint8 RGB, by the rules of `imaging.codec`."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kizu.core.errors import ImageError
from kizu.core.types import U8
from kizu.imaging.scale import Scale
from kizu.imaging.tiff import TiffFile

_ENCODED_AT_ONCE, _BAND_PIXELS = 1 << 18, 1 << 22


def rgb(image: Image.Image, file: Image.Image, *, may_be_unused: bool = True) -> U8:
    """The loaded image, (H, W, 3). `file`: as it was opened, which knows what its numbers mean.

    `may_be_unused`: an alpha channel of zeros alone is none. Raises `ImageError` for numbers without a known scale.
    """
    if image.mode.startswith("I;16"):
        return three(_high_bits(np.asarray(image), file))
    if image.mode in ("I", "F"):
        kind = "32-bit integers" if image.mode == "I" else "floating-point numbers"
        raise ImageError(
            f"holds {kind}, whose full scale is unknown",
            hint="save it with 8 or 16 bits, scaled alike for all",
        )
    if image.has_transparency_data:
        image = _on_black(image.convert("RGBA"), may_be_unused=may_be_unused)
    return _as_array(image)


def is_flat(image: U8) -> bool:
    """Whether all pixels of (H, W, 3) are the same."""
    first = image[0, 0]
    return bool((image[0] == first).all() and (image == first).all())


def to_rgb(array: NDArray[Any], *, scale: Scale | None = None) -> U8:
    """An array a user holds, as (H, W, 3) uint8 RGB, by the rules of `decode`.

    Takes (H, W), (H, W, 1), (H, W, 3) or (H, W, 4 = RGBA) of uint8, uint16 or bool; with a `scale`, of its depth and
    without a fourth channel. Raises `ImageError` for anything else: floats have no known scale.
    """
    counts = (1, 3, 4) if scale is None else (1, 3)
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in counts) or array.size == 0:
        first = array.ndim == 3 and array.shape[0] in counts
        known = ", ".join(f"(H, W, {count})" for count in counts)
        raise ImageError(
            f"an image array must be (H, W), {known}, got {array.shape}",
            hint="channels come last: array.transpose(1, 2, 0)" if first else None,
        )
    if scale is not None:
        return three(scale.apply(array))
    if array.dtype not in (np.uint8, np.uint16, np.bool_):
        raise ImageError(
            f"an image array must hold uint8, uint16 or bool, got {array.dtype}",
            hint="scale it to 0..255 by one fixed factor for all images, then .astype(np.uint8)",
        )
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * np.uint8(255)
    elif array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    if array.ndim == 3 and array.shape[2] == 4:
        return _as_array(_on_black(Image.fromarray(np.ascontiguousarray(array), "RGBA"), may_be_unused=True))
    return three(array)


def three(array: NDArray[Any]) -> U8:
    """(H, W), (H, W, 1) or (H, W, 3) -> (H, W, 3), contiguous and the caller's own."""
    three = np.empty((*array.shape[:2], 3), np.uint8)
    for channel in range(3):  # ten times as fast as a broadcast
        three[..., channel] = array if array.ndim == 2 else array[..., channel % array.shape[2]]
    return three


def _high_bits(array: NDArray[Any], file: Image.Image) -> U8:
    """v >> (bits - 8), as Pillow does for 16-bit colour; rounding v / 257 would tell grey files from colour ones."""
    bits = file.variant.bits if isinstance(file, TiffFile) else 16
    high = (array >> (bits - 8)).astype(np.uint8)
    return ~high if isinstance(file, TiffFile) and file.is_negative else high


def _on_black(layer: Image.Image, *, may_be_unused: bool) -> Image.Image:
    """RGBA -> RGB. Cameras that write four bytes for three leave the fourth at 0, in every pixel."""
    alpha = layer.getchannel("A")
    if may_be_unused and alpha.getextrema() == (0, 0):
        return layer.convert("RGB")
    image = Image.new("RGB", layer.size)
    image.paste(layer, mask=alpha)
    return image


def _as_array(image: Image.Image) -> U8:
    """-> (H, W, 3). What `np.array` gives of the image as RGB; that one holds all of it several times on the way."""
    array = np.empty((image.height, image.width, 3), np.uint8)
    rows = image.height if image.mode == "RGB" else max(1, _BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        is_all = rows >= image.height
        band = image if is_all else image.crop((0, top, image.width, min(top + rows, image.height)))
        _write(band if band.mode == "RGB" else band.convert("RGB"), array[top : top + rows])
    return array


def _write(image: Image.Image, array: U8) -> None:
    """The pixels of RGB, into an array of its size."""
    room, at = array.data.cast("B"), 0
    encoder = Image._getencoder("RGB", "raw", ("RGB",))
    encoder.setimage(image.im, (0, 0, *image.size))
    at_once = max(_ENCODED_AT_ONCE, 4 * image.width)
    try:
        while True:
            _, status, piece = encoder.encode(at_once)
            room[at : at + len(piece)] = piece
            at += len(piece)
            if status:
                return
    finally:
        encoder.cleanup()
