"""Whether all rows of a picture are there. Pillow takes a PNG or JPEG with missing rows for whole.

PNG: the chunks must reach to IEND, each with its checksum, and hold as many bytes as the rows take. JPEG: the decoder
fills with grey what the data does not reach to, so data is added where it should have ended: if the picture changes,
the decoder was still waiting. Bytes after the end are nobody's business: cameras write them.
"""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, NamedTuple

import numpy as np
from PIL import Image
from PIL.ImageFile import MAXBLOCK

from kizu.core.errors import ImageError
from kizu.core.types import Bool

_SIGNATURE = 8
_BLOCK = 1 << 20
_PIECE = 1 << 16
_LAST_PIECE = 64
"""Bytes; more than the end of a packed stream and its checksum take"""
_CHUNK_BYTES = 64 << 20
"""What a PNG chunk that holds no pixels, or all that precedes a JPEG's pixels, may take."""
_NEXT_MARKER = re.compile(rb"\xff[\x01-\xfe]")
_RESTARTS = range(0xD0, 0xD8)
_START, _END, _SCAN, _TABLE_OF_RESTARTS = 0xD8, 0xD9, 0xDA, 0xDD
_FRAMES = {0xC0: True, 0xC1: True, 0xC2: True} | dict.fromkeys(
    (0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF), False
)
"""Kinds of JPEG, and whether they are read."""
_FILL = bytes((37 * step * step + 11) % 255 for step in range(1, 301))
"""No 0xFF, and nothing that a decoder could take for flat."""

_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Per pixel, by PNG's colour type."""
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""(x, y, step in x, step in y) of an interlaced PNG."""

_GREY = 128

_HINT = "the file was not written completely or lost a part; replace it or leave it out"


def _missing(what: str) -> ImageError:
    return ImageError(f"is not whole: {what}", hint=_HINT)


class _Chunk(NamedTuple):
    name: bytes
    start: int
    length: int


def _chunks(stream: IO[bytes]) -> Iterator[_Chunk]:
    """The chunks of a PNG up to its first IEND. Raises `ImageError` where they end before."""
    at = _SIGNATURE
    while True:
        stream.seek(at)
        head = stream.read(8)
        if len(head) < 8:
            raise _missing("it ends before its end mark (IEND)")
        chunk = _chunk(head, at + 8)
        yield chunk
        if chunk.name == b"IEND":
            return
        at = chunk.start + chunk.length + 4


def _chunk(head: bytes, start: int) -> _Chunk:
    chunk = _Chunk(head[4:], start, int.from_bytes(head[:4], "big"))
    if chunk.length > _CHUNK_BYTES and chunk.name != b"IDAT":
        raise ImageError(f"has a chunk of {chunk.length:,} bytes that holds no pixels", hint=_HINT)
    return chunk


def check_png_header(stream: IO[bytes]) -> None:
    """Raise `ImageError` for a PNG without pixels, or with something huge before them."""
    for chunk in _chunks(stream):
        if chunk.name == b"IDAT":
            return
    raise _missing("it has no pixels (IDAT)")


def check_png_chunks(stream: IO[bytes]) -> None:
    """Raise `ImageError` where a PNG's chunks do not reach to its end mark, or its pixels are not what was written.

    The pixels carry a checksum of their own, which the decoder compares when it comes to it. It does not come to it
    when all rows are there before the last piece that it reads: then the checksums of the chunks are compared here.
    """
    pixels = [chunk for chunk in _chunks(stream) if chunk.name == b"IDAT"]
    if not pixels:
        raise _missing("it has no pixels (IDAT)")
    if (pixels[-1].length - 1) % MAXBLOCK >= _LAST_PIECE:
        return
    for chunk in pixels:
        stream.seek(chunk.start)
        check, left = zlib.crc32(chunk.name), chunk.length
        while left and (block := stream.read(min(left, _BLOCK))):
            check, left = zlib.crc32(block, check), left - len(block)
        if int.from_bytes(stream.read(4), "big") != check:
            raise ImageError(
                "is damaged: a checksum of its pixels is another", hint="replace the file or leave it out"
            )


def check_png_rows(stream: IO[bytes]) -> None:
    """Raise `ImageError` where a PNG's pixels are fewer than its header says. Unpacks them once more: for suspects."""
    stream.seek(_SIGNATURE + 8)
    header = stream.read(13)
    wanted = _png_bytes(header)
    unpack, found = zlib.decompressobj(), 0
    for chunk in _chunks(stream):
        left = chunk.length if chunk.name == b"IDAT" else 0
        while left and not unpack.eof:
            block = stream.read(min(left, _BLOCK))
            left -= len(block)
            while block and found < wanted:
                found += len(unpack.decompress(block, _PIECE))
                block = unpack.unconsumed_tail
            if found >= wanted:
                return
    raise _missing(f"its pixels are {found:,} bytes of {wanted:,}")


def _png_bytes(header: bytes) -> int:
    """What the unpacked rows take, each with the byte that names its filter."""
    width, height = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big")
    bits = header[8] * _SAMPLES[header[9]]
    parts = _PASSES if header[12] else ((0, 0, 1, 1),)
    total = 0
    for x, y, step_x, step_y in parts:
        columns, rows = -(-(width - x) // step_x), -(-(height - y) // step_y)
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * bits + 7) // 8)
    return total


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """What precedes the first scan."""

    layers: int
    is_progressive: bool
    has_restarts: bool
    scan: int
    """Where the first scan's marker is"""
    is_one_scan: bool
    """All layers in one scan, which is not progressive: what is there is in one piece."""


def read_jpeg_header(stream: IO[bytes]) -> JpegHeader:
    """Raise `ImageError` for a kind of JPEG that is not read, by its name, and for one without a scan."""
    at, layers, is_progressive, has_restarts = 2, 0, False, False
    while at < _CHUNK_BYTES:
        stream.seek(at)
        head = stream.read(12)
        if len(head) < 4:
            break
        if head[0] != 0xFF or head[1] in (0x00, 0x01, 0xFF) or head[1] in _RESTARTS:
            at += 1  # filling
            continue
        marker, length = head[1], int.from_bytes(head[2:4], "big")
        if marker in _FRAMES:
            if not _FRAMES[marker] or head[4] != 8:
                raise ImageError(
                    f"is a variant of JPEG that Kizu does not read: process {marker - 0xC0}, {head[4]} bits",
                    hint="save it as an ordinary JPEG of 8 bits, or as PNG",
                )
            layers, is_progressive = head[9], marker == 0xC2
        elif marker == _TABLE_OF_RESTARTS:
            has_restarts = head[4:6] != b"\0\0"
        elif marker == _SCAN and layers:
            return JpegHeader(
                layers, is_progressive, has_restarts, at, head[4] == layers and not is_progressive
            )
        elif marker == _END:
            break
        at += 2 + length
    raise _missing("it has no picture data")


class _Scan(NamedTuple):
    layers: bytes
    first: int
    last: int
    low_bit: int


def may_be_filled(image: Image.Image, header: JpegHeader) -> bool:
    """Whether a decoded JPEG looks as if the decoder had filled a part of it, or may be without looking so.

    What it fills in a picture of one scan is grey to the end, or to the next restart, of 128 exactly.
    """
    width, height = image.size
    if (
        not header.is_one_scan
        or header.layers == 4
        or _is_grey(image.crop((width - 1, height - 1, width, height)))
    ):
        return True
    columns, rows = width // 8, height // 8
    if not header.has_restarts or not columns or not rows:
        return False
    whole_blocks = (0, 0, columns * 8, rows * 8)
    if not _find_grey(image.resize((columns, rows), Image.Resampling.NEAREST, box=whole_blocks)).any():
        return False
    grey = _find_grey(image.crop(whole_blocks)).reshape(rows, 8, columns, 8)
    return bool(
        grey[:, 2:6, :, 2:6].all(axis=(1, 3)).any()
    )  # at its border a block takes colour from the next


def _find_grey(image: Image.Image) -> Bool:
    """(H, W)"""
    pixels = np.asarray(image)
    found: Bool = (pixels == _GREY).reshape(image.height, image.width, -1).all(axis=2)
    return found


def _is_grey(image: Image.Image) -> bool:
    return bool(_find_grey(image).all())


def fill_jpeg(data: bytes, header: JpegHeader) -> bytes:
    """The JPEG with more data wherever a scan, or a piece of one, ends: what is whole decodes to the same picture.

    Raises `ImageError` where the end mark is missing, or scans that every layer needs.
    """
    pieces: list[bytes] = []
    scans: list[_Scan] = []
    done, at, in_scan = 0, header.scan, False
    while True:
        found = _NEXT_MARKER.search(data, at)
        if found is None:
            raise _missing("it ends before its end mark (EOI)")
        at, marker = found.start(), data[found.start() + 1]
        if in_scan:
            pieces += (data[done:at], _FILL)
            done = at
        if marker == _END:
            break
        if marker in _RESTARTS:
            at += 2
            continue
        if marker == _SCAN:
            scans.append(_scan(data[at : at + 20]))
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        in_scan = marker == _SCAN
    _check_scans(scans, header)
    return b"".join((*pieces, data[done : at + 2]))


def _scan(head: bytes) -> _Scan:
    count = head[4]
    first, last, bits = head[5 + 2 * count : 8 + 2 * count]
    return _Scan(head[5 : 5 + 2 * count : 2], first, last, bits & 15)


def _check_scans(scans: list[_Scan], header: JpegHeader) -> None:
    """Every layer must have come to its last bit in all 64 places."""
    finest: dict[tuple[int, int], int] = {}
    for scan in scans:
        for layer in scan.layers:
            for place in range(scan.first, min(scan.last, 63) + 1):
                finest[layer, place] = min(scan.low_bit, finest.get((layer, place), 99))
    if len(finest) < 64 * header.layers or any(finest.values()):
        raise _missing("the last of its scans are missing")
