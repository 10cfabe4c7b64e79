"""From the first bytes of a stream to an image of which only the header has been read.

Pillow's openers are called directly rather than through `Image.open`: that one warns of large images before we can say
how large they may be, and warnings can only be silenced for all threads at once.
"""

import sys
from collections.abc import Callable
from io import BytesIO
from types import FunctionType
from typing import IO, TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from kizu.core.errors import ImageError
from kizu.imaging.opening import Limits
from kizu.imaging.scale import Depth
from kizu.imaging.tiff import SIGNED, TiffFile, count_pages
from kizu.imaging.wholeness import (
    JpegHeader,
    check_png_chunks,
    check_png_header,
    check_png_rows,
    fill_jpeg,
    may_be_filled,
    read_jpeg_header,
)

FORMATS = "PNG, JPEG, BMP, TIFF or WebP"
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)
_NATIVE = "B" if sys.byteorder == "little" else "L"
_LOW_BYTES = {
    f"{bands};16{order}": f"{bands};16{other}"
    for bands in ("RGB", "RGBX")
    for order, other in (("B", "L"), ("L", "B"), ("N", _NATIVE))
}
"""Pillow's unpackers of 16-bit colour keep the high byte; told that the bytes lie the other way round, the low one."""
_MARK = 77
"""What no last row of a picture is made of, as a rule."""
_WEBP_BYTES = 256 << 20
"""The decoder wants all of a WebP file in memory."""
_JPEG_BYTES = 512 << 20
"""The same of a JPEG that is looked at more closely."""


class _Strict(ImageFile.ImageFile):
    """Loads all pixels or fails: `PIL.ImageFile.LOAD_TRUNCATED_IMAGES`, which holds for the whole process and which any
    library may have set, is not seen here."""

    if not TYPE_CHECKING:
        load = FunctionType(
            ImageFile.ImageFile.load.__code__, {**vars(ImageFile), "LOAD_TRUNCATED_IMAGES": False}, "load"
        )


class _Png(PngImageFile, _Strict):
    def _open(self) -> None:
        assert self.fp is not None
        check_png_header(self.fp)
        self.fp.seek(0)
        super()._open()

    def load_prepare(self) -> None:
        """As Pillow's, with a mark in the last two rows (interlaced, the last but one may be the last to come)."""
        super().load_prepare()
        bands = len(self.getbands())
        self.im.paste(self._mark if bands == 1 else (self._mark,) * bands, self._bottom)

    @property
    def is_marked(self) -> bool:
        """Whether the mark is still there after decoding, or looks as if it were."""
        if not self.info.get("interlace"):
            corner = self.im.getpixel((0, self.height - 1))
            return all(value == self._mark for value in (corner if isinstance(corner, tuple) else (corner,)))
        return bool((np.asarray(self.crop(self._bottom)) == self._mark).any())

    @property
    def _mark(self) -> int:
        return 1 if self.mode == "1" else _MARK

    @property
    def _bottom(self) -> tuple[int, int, int, int]:
        return 0, max(0, self.height - 2), self.width, self.height


class _Jpeg(JpegImageFile, _Strict):
    header: JpegHeader

    def _open(self) -> None:
        assert self.fp is not None
        self.header = read_jpeg_header(self.fp)
        self.fp.seek(0)
        super()._open()

    def load_read(self, read_bytes: int) -> bytes:
        """As Pillow's, which may make up an end that is missing."""
        assert self.fp is not None
        return self.fp.read(read_bytes)


class _Bmp(BmpImageFile, _Strict):
    def _open(self) -> None:
        assert self.fp is not None
        head = self.fp.read(18)
        if int.from_bytes(head[14:], "little") not in _BMP_HEADERS:
            raise ImageError("is a variant of BMP that Kizu does not read", hint="save it as PNG")
        self.fp.seek(0)
        super()._open()


class _WebP(WebPImageFile, _Strict):
    def _open(self) -> None:
        assert self.fp is not None
        head = self.fp.read(12)
        size = int.from_bytes(head[4:8], "little") + 8
        if head[8:] != b"WEBP":
            raise ImageError("is not an image in a format that Kizu reads", hint=f"use {FORMATS}")
        if size > _WEBP_BYTES:
            raise ImageError(
                f"says that it has {size:,} bytes", hint=f"at most {_WEBP_BYTES:,} of WebP are read"
            )
        self.fp = BytesIO(head + self.fp.read(size - len(head)))  # whatever follows the picture is left alone
        super()._open()


class _Tiff(TiffFile, _Strict):
    def _open(self) -> None:
        assert self.fp is not None
        if self.fp.read(4) == b"MM\0+":
            raise ImageError(
                "is a variant of TIFF that Kizu does not read: BigTIFF with the high byte first",
                hint="it may well be sound: save it with the low byte first, or as an ordinary TIFF",
            )
        self.fp.seek(0)
        super()._open()


_OPENERS: tuple[tuple[bytes, Callable[[IO[bytes]], ImageFile.ImageFile]], ...] = (
    (b"\x89PNG\r\n\x1a\n", _Png),
    (b"\xff\xd8\xff", _Jpeg),
    (b"BM", _Bmp),
    (b"II*\0", _Tiff),
    (b"MM\0*", _Tiff),
    (b"II+\0", _Tiff),
    (b"MM\0+", _Tiff),
    (b"RIFF", _WebP),
)


def open_header(stream: IO[bytes], limits: Limits) -> ImageFile.ImageFile:
    """The image at the beginning of `stream`, its header read and its size allowed.

    Raises `ImageError` without the file's name, and whatever Pillow raises.
    """
    head = stream.read(16)
    stream.seek(0)
    if not head:
        raise ImageError("is empty (0 bytes)", hint="it was probably read before it was written; replace it")
    for magic, opener in _OPENERS:
        if head.startswith(magic):
            try:
                image = opener(stream)
            except Image.DecompressionBombError as error:  # of WebP, before there is an image
                raise ImageError(f"is too large ({error})", hint="crop or shrink the image") from error
            limits.check(*image.size)
            return image
    raise ImageError("is not an image in a format that Kizu reads", hint=f"use {FORMATS}")


def depth_of(image: ImageFile.ImageFile) -> Depth:
    """What the numbers of a file are, by its header. Of colour with transparency 8 bits are read, whatever it has."""
    if image.mode.startswith("I;16") or _raw_mode(image) in _LOW_BYTES:
        return "uint16"
    if image.mode == "F":
        return "float32"
    if image.mode == "I" and isinstance(image, TiffFile):
        bits, is_signed = image.variant.bits, image.variant.sample_format == SIGNED
        return "int16" if bits == 16 else "int32" if is_signed else "uint32"
    return "uint8"


def take_low_bytes(image: ImageFile.ImageFile) -> bool:
    """Have a file of 16-bit colours, not decoded yet, give the low byte of each number in place of the high one.

    Pillow has no mode for such numbers. False, and nothing done, for any other file.
    """
    if _raw_mode(image) not in _LOW_BYTES:
        return False
    for index, tile in enumerate(image.tile):
        args = tile.args
        low = _LOW_BYTES[_raw_mode(image, index)]
        image.tile[index] = tile._replace(args=(low, *args[1:]) if isinstance(args, tuple) else low)
    return True


def _raw_mode(image: ImageFile.ImageFile, index: int = 0) -> str:
    args = image.tile[index].args if image.tile else ""
    return str(args[0]) if isinstance(args, tuple) else str(args)


def pages_of(image: ImageFile.ImageFile) -> int:
    """How many pictures the file holds, of which the first is read."""
    if isinstance(image, _Tiff):
        assert image.fp is not None
        return count_pages(image.fp)
    return int(getattr(image, "n_frames", 1))


def check_before(stream: IO[bytes], image: ImageFile.ImageFile) -> None:
    """Raise `ImageError` for a file that is known not to be whole before it is decoded."""
    if isinstance(image, _Png):
        place = stream.tell()
        check_png_chunks(stream)
        stream.seek(place)


def check_after(stream: IO[bytes], image: ImageFile.ImageFile) -> None:
    """Raise `ImageError` where some of the decoded pixels of `image` were never in its file.

    Only what looks as if it had been filled in is looked at twice.
    """
    if isinstance(image, _Png) and image.is_marked:
        check_png_rows(stream)
    elif isinstance(image, _Jpeg) and may_be_filled(image, image.header):
        stream.seek(0)
        filled = _Jpeg(BytesIO(fill_jpeg(stream.read(_JPEG_BYTES), image.header)))
        filled.load()
        if filled.tobytes() != image.tobytes():
            raise ImageError(
                "is not whole: its last rows, or a part of them, were never in it",
                hint="the file was not written completely; replace it or leave it out",
            )
