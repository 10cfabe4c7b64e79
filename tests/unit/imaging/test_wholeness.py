"""A picture with missing rows is not decoded as whole, however complete its file looks; what follows it is let be."""

import struct
import subprocess
import sys
import zlib
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from kizu.core.errors import ImageError
from kizu.core.types import U8
from kizu.imaging.codec import decode, decode_mask

END = b"\xff\xd9"


@pytest.fixture(scope="module")
def picture() -> U8:
    """(120, 160, 3), nowhere flat."""
    y, x = np.mgrid[:120, :160]
    noise = np.random.default_rng(0).integers(0, 24, (120, 160, 3))
    return (np.stack([y, x, (x + y) // 2], axis=-1) + noise).astype(np.uint8)


def encoded(array: U8, format: str, **options: object) -> bytes:
    stream = BytesIO()
    Image.fromarray(array).save(stream, format, **options)
    return stream.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(
    rows: bytes, shape: tuple[int, ...], *, pieces: int = 1 << 20, interlaced: int = 0, end: bool = True
) -> bytes:
    packed = zlib.compress(rows)
    header = struct.pack(">IIBBBBB", shape[1], shape[0], 8, 2, 0, 0, interlaced)
    body = chunk(b"IHDR", header)
    for start in range(0, len(packed), pieces):
        body += chunk(b"IDAT", packed[start : start + pieces])
    return b"\x89PNG\r\n\x1a\n" + body + (chunk(b"IEND", b"") if end else b"")


def rows_of(picture: U8) -> bytes:
    return b"".join(b"\0" + row.tobytes() for row in picture)


def assert_not_whole(data: bytes) -> None:
    for look in (decode, decode_mask):
        with pytest.raises(ImageError) as caught:
            look(data)
        assert "not whole" in caught.value.message or "truncated" in caught.value.message
        assert caught.value.hint


@pytest.mark.parametrize("missing", [1, 2, 60, 119, 120])
def test_a_png_with_too_few_rows_is_refused(picture: U8, missing: int) -> None:
    assert np.array_equal(decode(png(rows_of(picture), picture.shape)), picture)
    assert_not_whole(png(rows_of(picture[: 120 - missing]), picture.shape))


@pytest.mark.parametrize("size", [(9, 9), (8, 16), (1, 1), (1, 7), (7, 1), (2, 2), (3, 5)])
def test_an_interlaced_png_must_have_all_its_passes(size: tuple[int, int]) -> None:
    height, width = size
    picture = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    passes = (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    )
    parts = [picture[y::dy, x::dx] for x, y, dx, dy in passes]
    rows = b"".join(rows_of(part) for part in parts if part.size)
    assert np.array_equal(decode(png(rows, picture.shape, interlaced=1)), picture)
    last = next(part for part in reversed(parts) if part.size)
    assert_not_whole(png(rows[: -(1 + last.shape[1] * 3)], picture.shape, interlaced=1))


@pytest.mark.parametrize("value", [0, 1, 77, 255])
def test_a_flat_picture_is_whole(value: int) -> None:
    flat = np.full((40, 30, 3), value, np.uint8)
    for data in (
        encoded(flat, "PNG"),
        encoded(flat[..., 0], "PNG"),
        encoded(flat[..., 0] > 0, "PNG"),
        encoded(np.dstack([flat, flat[..., :1] | 1]), "PNG"),
        encoded(flat, "BMP"),
        encoded(flat, "TIFF"),
    ):
        assert decode(data).shape == flat.shape


def test_a_png_without_its_end_is_refused(picture: U8) -> None:
    whole = png(rows_of(picture), picture.shape)
    for data in (png(rows_of(picture), picture.shape, end=False), whole[:-1], whole[:-12], whole[:-13]):
        if data == whole[:-1]:  # the end mark is there, without all of its checksum
            assert np.array_equal(decode(data), picture)
        else:
            assert_not_whole(data)


def test_a_changed_pixel_is_found_also_where_the_decoder_does_not_come_to_the_checksum(picture: U8) -> None:
    packed = bytearray(zlib.compress(rows_of(picture), 0))
    packed[5000] ^= 1
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 160, 120, 8, 2, 0, 0, 0))
    sound = zlib.crc32(b"IDAT" + zlib.compress(rows_of(picture), 0)[:-4])
    first = struct.pack(">I", len(packed) - 4) + b"IDAT" + bytes(packed[:-4]) + struct.pack(">I", sound)
    data = b"\x89PNG\r\n\x1a\n" + header + first + chunk(b"IDAT", bytes(packed[-4:])) + chunk(b"IEND", b"")
    with pytest.raises(ImageError, match="checksum"):
        decode(data)


def jpegs(picture: U8) -> Iterable[tuple[str, bytes]]:
    yield "colour", encoded(picture, "JPEG", quality=85)
    yield "every pixel's colour", encoded(picture, "JPEG", quality=85, subsampling=0)
    yield "grey", encoded(picture[..., 0], "JPEG", quality=85)
    yield "progressive", encoded(picture, "JPEG", quality=85, progressive=True)
    yield "progressive grey", encoded(picture[..., 0], "JPEG", quality=85, progressive=True)
    yield "restarts", encoded(picture, "JPEG", quality=85, restart_marker_rows=1)
    yield "restarts in rows", encoded(picture[..., 0], "JPEG", quality=85, restart_marker_blocks=3)
    yield "CMYK", _cmyk(picture)


def _cmyk(picture: U8) -> bytes:
    stream = BytesIO()
    Image.fromarray(picture).convert("CMYK").save(stream, "JPEG", quality=85)
    return stream.getvalue()


def test_a_jpeg_with_missing_rows_is_refused_although_it_has_an_end(picture: U8) -> None:
    for name, data in jpegs(picture):
        begin = data.index(b"\xff\xda") + 20
        for part in (0.02, 0.3, 0.5, 0.8, 0.93):
            cut = data[: begin + int((len(data) - begin) * part)].rstrip(b"\xff")
            try:
                decode(cut + END)
            except ImageError:
                continue
            pytest.fail(f"{name}, {part:.0%}")


def test_a_jpeg_without_its_end_is_refused(picture: U8) -> None:
    for _, data in jpegs(picture):
        assert_not_whole(data[:-2])


def test_a_jpeg_that_lost_a_piece_between_restarts_is_refused(picture: U8) -> None:
    data = encoded(picture, "JPEG", quality=85, restart_marker_rows=1)
    begin, end = data.index(b"\xff\xd1") + 2, data.index(b"\xff\xd2")
    lost = data[: begin + (end - begin) // 3].rstrip(b"\xff") + data[end:]
    assert_not_whole(lost)


def test_a_progressive_jpeg_without_its_last_scans_is_refused(picture: U8) -> None:
    data = encoded(picture, "JPEG", quality=85, progressive=True)
    last = data.rindex(b"\xff\xda")
    assert_not_whole(data[:last] + END)


def test_sound_jpegs_are_read_whatever_colour_they_end_in(picture: U8) -> None:
    for name, data in jpegs(picture):
        assert decode(data).shape == picture.shape, name
    grey = picture.copy()
    grey[40:] = 128
    for name, data in jpegs(grey):
        assert decode(data).shape == picture.shape, name
    for side in (1, 7, 8, 9, 17):
        for _, data in jpegs(np.full((side, side, 3), 128, np.uint8)):
            assert decode(data).shape == (side, side, 3)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "BMP", "TIFF", "WEBP"])
def test_bytes_after_the_end_are_let_be(picture: U8, format: str) -> None:
    data = encoded(picture, format)
    expected = decode(data)
    for after in (b"\0", b"\0" * 5000, b"camera serial 42", data):
        assert np.array_equal(decode(data + after), expected)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "BMP", "TIFF", "WEBP"])
def test_the_switch_of_pillow_that_lets_truncated_files_pass_is_not_seen(
    picture: U8, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    data = encoded(picture, format)
    assert decode(data).shape == picture.shape
    for part in (0.4, 0.7, 0.95):
        (tmp_path / "cut").write_bytes(data[: int(len(data) * part)])
        with pytest.raises(ImageError):
            decode(tmp_path / "cut")
    if format == "PNG":
        flipped = bytearray(data)
        flipped[len(data) // 2] ^= 1
        with pytest.raises(ImageError):
            decode(bytes(flipped))


def test_nor_when_it_was_set_before_kizu_was_imported(picture: U8, tmp_path: Path) -> None:
    data = encoded(picture, "BMP")
    (tmp_path / "cut.bmp").write_bytes(data[: len(data) // 2])
    program = (
        "import sys; from PIL import ImageFile; ImageFile.LOAD_TRUNCATED_IMAGES = True\n"
        "from kizu.core.errors import ImageError; from kizu.imaging.codec import decode\n"
        "try: decode(sys.argv[1])\n"
        "except ImageError: sys.exit(7)\n"
    )
    called = subprocess.run([sys.executable, "-c", program, str(tmp_path / "cut.bmp")], check=False)
    assert called.returncode == 7
