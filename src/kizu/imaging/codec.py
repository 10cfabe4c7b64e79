"""Bytes <-> pixels. The only room that opens a file as an image.

Every kind of file becomes (H, W, 3) uint8 RGB by fixed rules, never by what else is in the picture:

- grey, 1-bit, palette, YCbCr and CMYK are converted by Pillow; colour profiles are not applied;
- of 16 bits per channel the high byte is kept (v >> 8), for grey as for colour, and of 12 bits the highest 8;
  stretching each image to its own range would hide that one is darker than the others;
- 32-bit integers and floats have no known full scale and are refused;
- transparency is composited on black: what cannot be seen is not there, whatever colour lies beneath it; but an alpha
  channel that is 0 everywhere is the unused fourth byte of a camera, and ignored;
- the EXIF orientation is applied; an unreadable one counts as none;
- of a file with several pages or frames the first is taken, and `ImageInfo` says how many there are;
- a TIFF is read when its variant is in a table of what is known to come out right, and refused by name otherwise;
- a file with missing rows is refused, also when it looks complete; what follows the end of the picture is ignored.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile

from kizu.core.files import write_bytes
from kizu.core.room import pixel_room
from kizu.core.types import HW, U8, Bool
from kizu.imaging.detail import grey
from kizu.imaging.formats import (
    check_after,
    check_before,
    depth_of,
    open_header,
    pages_of,
    take_low_bytes,
)
from kizu.imaging.opening import Limits, Source, open_source
from kizu.imaging.pixels import is_flat, rgb, three, to_rgb
from kizu.imaging.scale import Depth, Scale
from kizu.imaging.tiff import TiffFile

__all__ = [
    "IMAGE_SUFFIXES",
    "ImageInfo",
    "Limits",
    "decode",
    "decode_grey",
    "decode_mask",
    "decoded",
    "encode_jpeg",
    "encode_png",
    "image_info",
    "image_size",
    "is_flat",
    "jpeg_bytes",
    "npy_bytes",
    "png16_bytes",
    "png_bytes",
    "read_numbers",
    "to_rgb",
]

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
"""What a folder is searched for (lower case). Decoding looks at the bytes, not at the suffix."""

_LOSSY = frozenset({"JPEG", "WEBP"})
_TRANSPOSED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDES_SWAPPED = frozenset({5, 6, 7, 8})


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What the header says."""

    hw: HW
    """After the EXIF orientation."""
    format: str
    """"PNG", "JPEG", ..."""
    mode: str
    """Pillow's name: "L", "RGB", "I;16", ..."""
    depth: Depth
    """What its numbers are"""
    pages: int = 1
    """Pictures in the file, of which the first is read"""
    unused_bands: int = 0
    """Numbers of a pixel that nothing is made of"""


class Decoded(NamedTuple):
    """A picture."""

    pixels: U8
    """(H, W, 3)"""
    beyond: float
    """The part of its numbers that lies outside of the scale."""
    pages: int = 1
    """Pictures in the file, of which this is the first"""


def decode(source: Source, *, limits: Limits = Limits(), scale: Scale | None = None) -> U8:
    """An image file, or its bytes, as (H, W, 3) uint8 RGB, contiguous; the module's docstring has the rules.

    Raises `ImageError`, naming the file, when it is too large, broken or not an image; of its kind `UnreadableError`
    when it is missing or could not be read now. `scale`: what its numbers mean, which must be of that depth.
    """
    with decoded(source, limits=limits, scale=scale) as found:
        return found.pixels


@contextmanager
def decoded(source: Source, *, limits: Limits = Limits(), scale: Scale | None = None) -> Iterator[Decoded]:
    """The same, with room for its pixels held (`core.room`) until the block ends, for whoever goes on with them."""
    with ExitStack() as stack:
        with _open(source, limits) as (stream, image):
            stack.enter_context(pixel_room().hold(image.width * image.height))
            pages = pages_of(image)
            if scale is None:
                found = Decoded(rgb(_load(stream, image), image), 0.0, pages)
            else:
                numbers = _numbers(stream, image, limits)
                found = Decoded(three(scale.apply(numbers)), scale.beyond(numbers), pages)
        yield found


def decode_grey(source: Source, *, limits: Limits = Limits(), scale: Scale | None = None) -> U8:
    """The brightness of what `decode` gives, (H, W) uint8: sooner, where a file holds nothing else."""
    with _open(source, limits) as (stream, image), pixel_room().hold(image.width * image.height):
        if image.mode == "L" and scale is None:
            return np.asarray(_load(stream, image))
    return grey(decode(source, limits=limits, scale=scale))


def read_numbers(source: Source, *, limits: Limits = Limits()) -> NDArray[Any]:
    """What a file holds before any scale: (H, W) or (H, W, 3) of one of the depths that `ImageInfo` names."""
    with _open(source, limits) as (stream, image), pixel_room().hold(image.width * image.height):
        return _numbers(stream, image, limits)


def _numbers(stream: IO[bytes], image: ImageFile.ImageFile, limits: Limits) -> NDArray[Any]:
    depth = depth_of(image)
    is_deep_colour = depth == "uint16" and image.mode == "RGB"
    loaded = _load(stream, image)
    if depth == "uint8" or is_deep_colour:
        high = rgb(loaded, image)
        if not is_deep_colour:
            return high
        stream.seek(0)
        again = open_header(stream, limits)
        take_low_bytes(again)
        return high.astype(np.uint16) << 8 | rgb(_load(stream, again), again)
    numbers = np.asarray(loaded)
    if depth == "uint32":
        return numbers.view(np.uint32)
    numbers = numbers.astype(depth, copy=False)
    return ~numbers if isinstance(image, TiffFile) and image.is_negative else numbers


def decode_mask(source: Source, *, limits: Limits = Limits()) -> Bool:
    """A mask file as (H, W) bool, True = flawed.

    A pixel is flawed where any channel is above 0: masks hold 0/255, 0/1, or one number or colour per kind of
    flaw, and all of these must count. In a lossy format (JPEG, WebP) it takes more than 127 of 255, since
    compression puts small numbers beside every edge. Transparent is not flawed. Raises `ImageError`.
    """
    with _open(source, limits) as (stream, image), pixel_room().hold(image.width * image.height):
        floor = 127 if image.format in _LOSSY else 0
        upright = _load(stream, image)
        if upright.mode == "F" or upright.mode.startswith("I"):
            highest = 65535 if isinstance(image, TiffFile) and image.is_negative else 0
            return np.asarray(np.asarray(upright) != highest if highest else np.asarray(upright) > 0)
        return np.asarray((rgb(upright, image, may_be_unused=False) > floor).any(axis=2))


def image_info(source: Source, *, limits: Limits = Limits()) -> ImageInfo:
    """What the header says, without decoding. Raises `ImageError`."""
    with _open(source, limits) as (_, image):
        width, height = image.size
        hw = (width, height) if _orientation(image) in _SIDES_SWAPPED else (height, width)
        return ImageInfo(
            hw=hw,
            format=image.format or "",
            mode=image.mode,
            depth=depth_of(image),
            pages=pages_of(image),
            unused_bands=image.unused_bands if isinstance(image, TiffFile) else 0,
        )


def image_size(source: Source, *, limits: Limits = Limits()) -> HW:
    """(H, W) as `decode` would give it, from the header alone. Raises `ImageError`."""
    return image_info(source, limits=limits).hw


def png_bytes(array: U8 | Bool) -> bytes:
    """(H, W, 3) or (H, W) uint8 as a PNG file, or (H, W, 4) with an alpha channel; a bool mask becomes 0/255."""
    return _encode(array, "PNG", compress_level=3)


def png16_bytes(array: NDArray[np.uint16]) -> bytes:
    """(H, W) uint16 as a grey PNG file of 16 bits: numbers, not to look at."""
    return _encode(array, "PNG", compress_level=3)


def npy_bytes(array: NDArray[Any]) -> bytes:
    """An array as a file that `numpy.load` reads: type, shape and numbers as they are."""
    stream = BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def jpeg_bytes(array: U8, quality: int = 90) -> bytes:
    """(H, W, 3) or (H, W) uint8 as a JPEG file."""
    return _encode(array, "JPEG", quality=quality)


def encode_png(path: Path, array: U8 | Bool) -> None:
    """Write `png_bytes`, whole or not at all; a picture can be made again, so it does not wait for the disk.

    Raises `OutputError`.
    """
    write_bytes(path, png_bytes(array), durable=False)


def encode_jpeg(path: Path, array: U8, quality: int = 90) -> None:
    """Write `jpeg_bytes` as `encode_png` writes its own."""
    write_bytes(path, jpeg_bytes(array, quality), durable=False)


def _encode(array: U8 | Bool | NDArray[np.uint16], format: str, **options: int) -> bytes:
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * np.uint8(255)
    stream = BytesIO()
    Image.fromarray(np.ascontiguousarray(array)).save(stream, format, **options)
    return stream.getvalue()


@contextmanager
def _open(source: Source, limits: Limits) -> Iterator[tuple[IO[bytes], ImageFile.ImageFile]]:
    """The image with its header read and its size allowed; whatever goes wrong inside is an `ImageError`."""
    with open_source(source) as stream:
        yield stream, open_header(stream, limits)


def _load(stream: IO[bytes], image: ImageFile.ImageFile) -> Image.Image:
    """The decoded image, whole, turned as its EXIF orientation says."""
    check_before(stream, image)
    turn = _TRANSPOSED.get(_orientation(image))
    image.load()
    check_after(stream, image)
    return image if turn is None else image.transpose(turn)


def _orientation(image: ImageFile.ImageFile) -> int:
    """EXIF orientation still to be applied, 1..8; read before decoding, so that header and pixels agree."""
    if isinstance(image, TiffFile):
        return 1  # Pillow turns TIFFs itself, and their size with them
    try:
        # The method of the base class: PNG's own would decode the whole image in search of a late chunk.
        return int(Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001 - metadata of no use must not cost the picture
        return 1
