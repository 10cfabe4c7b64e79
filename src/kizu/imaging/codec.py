"""Bytes <-> pixels. The only room that opens a file as an image.

Every kind of file becomes (H, W, 3) uint8 RGB by fixed rules, never by what else is in the picture:

- grey, 1-bit, palette, YCbCr and CMYK are converted by Pillow; colour profiles are not applied;
- of 16 bits per channel the high byte is kept (v >> 8), for grey as for colour; stretching each image to its
  own range would hide that one is darker than the others;
- 32-bit integers and floats have no known full scale and are refused;
- transparency is composited on black: what cannot be seen is not there, whatever colour lies beneath it;
- the EXIF orientation is applied; an unreadable one counts as none;
- of a file with several frames the first is taken.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from kizu.core.errors import ImageError
from kizu.core.files import write_bytes
from kizu.core.types import HW, U8, Bool

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
"""What a folder is searched for (lower case). Decoding looks at the bytes, not at the suffix."""

FORMATS = "PNG, JPEG, BMP, TIFF or WebP"

# Called directly rather than through Image.open: that one warns of large images before we can say how large
# they may be, and warnings can only be silenced for all threads at once.
_OPENERS: tuple[tuple[bytes, Callable[[IO[bytes]], ImageFile.ImageFile]], ...] = (
    (b"\x89PNG\r\n\x1a\n", PngImageFile),
    (b"\xff\xd8\xff", JpegImageFile),
    (b"BM", BmpImageFile),
    (b"II*\0", TiffImageFile),
    (b"MM\0*", TiffImageFile),
    (b"II+\0", TiffImageFile),
    (b"MM\0+", TiffImageFile),
    (b"RIFF", WebPImageFile),
)
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
class Limits:
    """What a decoder may spend on one image."""

    max_pixels: int = 100_000_000
    """Checked in the header, before any pixel is decoded."""


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What the header says."""

    hw: HW
    """After the EXIF orientation."""
    format: str
    """"PNG", "JPEG", ..."""
    mode: str
    """Pillow's name: "L", "RGB", "I;16", ..."""


def decode(source: Path | str | bytes, *, limits: Limits = Limits(), path: Path | None = None) -> U8:
    """An image file, or its bytes, as (H, W, 3) uint8 RGB, contiguous; the module's docstring has the rules.

    `path`: of the file that the bytes are of, for errors.

    Raises `ImageError`, naming the file, when it is missing, unreadable, too large, broken or not an image.
    """
    with _open(source, limits, path) as image:
        return _rgb(_upright(image))


def decode_mask(source: Path | str | bytes, *, limits: Limits = Limits()) -> Bool:
    """A mask file as (H, W) bool, True = flawed.

    A pixel is flawed where any channel is above 0: masks hold 0/255, 0/1, or one number or colour per kind of
    flaw, and all of these must count. In a lossy format (JPEG, WebP) it takes more than 127 of 255, since
    compression puts small numbers beside every edge. Transparent is not flawed. Raises `ImageError`.
    """
    with _open(source, limits) as image:
        floor = 127 if image.format in _LOSSY else 0
        upright = _upright(image)
        if upright.mode == "F" or upright.mode.startswith("I"):
            return np.asarray(upright) > 0
        return np.asarray((_rgb(upright) > floor).any(axis=2))


def image_info(source: Path | str | bytes, *, limits: Limits = Limits()) -> ImageInfo:
    """What the header says, without decoding. Raises `ImageError`."""
    with _open(source, limits) as image:
        width, height = image.size
        hw = (width, height) if _orientation(image) in _SIDES_SWAPPED else (height, width)
        return ImageInfo(hw=hw, format=image.format or "", mode=image.mode)


def image_size(source: Path | str | bytes, *, limits: Limits = Limits()) -> HW:
    """(H, W) as `decode` would give it, from the header alone. Raises `ImageError`."""
    return image_info(source, limits=limits).hw


def to_rgb(array: NDArray[Any]) -> U8:
    """An array a user holds, as (H, W, 3) uint8 RGB, by the rules of `decode`.

    Takes (H, W), (H, W, 1), (H, W, 3) or (H, W, 4 = RGBA) of uint8, uint16 or bool. Raises `ImageError` for
    anything else: floats have no known scale.
    """
    if array.dtype not in (np.uint8, np.uint16, np.bool_):
        raise ImageError(
            f"an image array must hold uint8, uint16 or bool, got {array.dtype}",
            hint="scale it to 0..255 by one fixed factor for all images, then .astype(np.uint8)",
        )
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)) or array.size == 0:
        first = array.ndim == 3 and array.shape[0] in (1, 3, 4)
        raise ImageError(
            f"an image array must be (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), got {array.shape}",
            hint="channels come last: array.transpose(1, 2, 0)" if first else None,
        )
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * np.uint8(255)
    elif array.dtype == np.uint16:
        array = _high_byte(array)
    if array.ndim == 3 and array.shape[2] == 4:
        return _rgb(Image.fromarray(np.ascontiguousarray(array), "RGBA"))
    channels = array.reshape(*array.shape[:2], -1)  # (H, W, 1 or 3)
    return np.ascontiguousarray(np.broadcast_to(channels, (*array.shape[:2], 3)))


def png_bytes(array: U8 | Bool) -> bytes:
    """(H, W, 3) or (H, W) uint8 as a PNG file; a bool mask becomes 0/255."""
    return _encode(array, "PNG", compress_level=3)


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


def _encode(array: U8 | Bool, format: str, **options: int) -> bytes:
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * np.uint8(255)
    stream = BytesIO()
    Image.fromarray(np.ascontiguousarray(array)).save(stream, format, **options)
    return stream.getvalue()


@contextmanager
def _open(
    source: Path | str | bytes, limits: Limits, path: Path | None = None
) -> Iterator[ImageFile.ImageFile]:
    """The image with its header read and its size allowed; whatever goes wrong inside is an `ImageError`."""
    path = path if isinstance(source, bytes) else Path(source)
    try:
        with BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb") as stream:
            image = _recognise(stream)
            width, height = image.size
            if width * height > limits.max_pixels:
                raise ImageError(
                    f"{width} x {height} pixels are more than the {limits.max_pixels:,} allowed",
                    hint="crop or shrink the image, or raise max_pixels if its source is trusted",
                )
            yield image
    except ImageError as error:
        raise ImageError(f"{_name(path)}: {error.message}", path=path, hint=error.hint) from error.__cause__
    except FileNotFoundError as error:
        raise ImageError(f"{_name(path)}: no such file", path=path, hint="check the path") from error
    except IsADirectoryError as error:
        raise ImageError(
            f"{_name(path)}: is a folder, not an image", path=path, hint="name one file"
        ) from error
    except PermissionError as error:
        hint = "check who may read the file"
        raise ImageError(f"{_name(path)}: no permission to read it", path=path, hint=hint) from error
    except Exception as error:  # foreign decoders on arbitrary bytes raise anything
        hint = "the file is damaged or was not written completely; replace it or leave it out"
        raise ImageError(f"{_name(path)}: cannot be decoded ({error})", path=path, hint=hint) from error


def _name(path: Path | None) -> str:
    return "image bytes" if path is None else str(path)


def _recognise(stream: IO[bytes]) -> ImageFile.ImageFile:
    head = stream.read(16)
    stream.seek(0)
    if not head:
        raise ImageError("is empty (0 bytes)", hint="it was probably read before it was written; replace it")
    for magic, opener in _OPENERS:
        if head.startswith(magic):
            return opener(stream)
    raise ImageError("is not an image in a format that Kizu reads", hint=f"use {FORMATS}")


def _orientation(image: ImageFile.ImageFile) -> int:
    """EXIF orientation still to be applied, 1..8; read before decoding, so that header and pixels agree."""
    if isinstance(image, TiffImageFile):
        return 1  # Pillow turns TIFFs itself, and their size with them
    try:
        # The method of the base class: PNG's own would decode the whole image in search of a late chunk.
        return int(Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001 - metadata of no use must not cost the picture
        return 1


def _upright(image: ImageFile.ImageFile) -> Image.Image:
    """The decoded image, turned as its EXIF orientation says."""
    turn = _TRANSPOSED.get(_orientation(image))
    image.load()
    return image if turn is None else image.transpose(turn)


def _rgb(image: Image.Image) -> U8:
    if image.mode.startswith("I;16"):
        grey = _high_byte(np.asarray(image))
        return np.ascontiguousarray(np.broadcast_to(grey[:, :, None], (*grey.shape, 3)))
    if image.mode in ("I", "F"):
        kind = "32-bit integers" if image.mode == "I" else "floating-point numbers"
        raise ImageError(
            f"holds {kind}, whose full scale is unknown",
            hint="save it with 8 or 16 bits, scaled alike for all",
        )
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.new("RGB", image.size)
        image.paste(layer, mask=layer.getchannel("A"))
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _high_byte(array: NDArray[Any]) -> U8:
    """v >> 8, as Pillow does for 16-bit colour; rounding v / 257 would tell grey files from colour ones."""
    return (array >> 8).astype(np.uint8)
