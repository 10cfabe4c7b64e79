"""What a file is by its first bytes, and that the decoder agrees."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.support import noise

from kizu.core.errors import ImageError
from kizu.imaging.codec import decode
from kizu.imaging.sniff import sniff, sniff_bytes

READ = {"PNG": "PNG", "JPEG": "JPEG", "BMP": "BMP", "TIFF": "TIFF", "WEBP": "WebP"}
OTHERS = {"GIF": "GIF", "PPM": "PNM", "JPEG2000": "JPEG 2000", "DIB": "DIB", "DDS": "DDS", "QOI": "QOI"}


def saved(format: str, **options: object) -> bytes:
    stream = BytesIO()
    Image.fromarray(noise(0)).save(stream, format, **options)
    return stream.getvalue()


@pytest.mark.parametrize("format", [*READ, *OTHERS])
def test_a_format_is_known_and_decoded_where_it_says_so(format: str) -> None:
    content = saved(format)
    found = sniff_bytes(content[:132])
    assert found is not None
    assert found.format == (READ | OTHERS)[format]
    assert found.is_read == (format in READ)
    if found.is_read:
        assert decode(content).shape == noise(0).shape
    else:
        with pytest.raises(ImageError):
            decode(content)


@pytest.mark.parametrize("options", [{"big_tiff": True}, {"compression": "tiff_lzw"}])
def test_kinds_of_tiff_are_known(options: dict[str, object]) -> None:
    found = sniff_bytes(saved("TIFF", **options)[:132])
    assert found is not None
    assert found.is_read


@pytest.mark.parametrize(
    ("head", "format"),
    [
        (b"\0\0\0\x18ftypheic", "HEIF"),
        (b"\0\0\0\x1cftypavif", "AVIF"),
        (b"8BPS\0\1", "PSD"),
        (b"\0" * 128 + b"DICM", "DICOM"),
        (b"\x76\x2f\x31\x01", "OpenEXR"),
        (b"P5\n4 4\n255\n", "PNM"),
    ],
)
def test_other_pictures_are_named(head: bytes, format: str) -> None:
    assert sniff_bytes(head) == (format, False)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"B",
        b"BMW and others",
        b"RIFF\0\0\0\0WAVEfmt ",
        b"Photos",
        b"P5",
        b"\0" * 200,
        b"%PDF-1.7",
        b"\xff\xfea\0",
        b"II",
    ],
)
def test_what_only_begins_like_a_picture_is_none(content: bytes) -> None:
    assert sniff_bytes(content[:132]) is None


def test_a_camera_s_own_format_is_not_read_for_its_thumbnail(tmp_path: Path) -> None:
    for name, is_read in (("a.nef", False), ("a.DNG", False), ("a.dat", True)):
        (tmp_path / name).write_bytes(saved("TIFF"))
        found = sniff(tmp_path / name)
        assert found is not None
        assert found.is_read == is_read
    (tmp_path / "b.cr3").write_bytes(np.random.default_rng(0).bytes(200))
    assert sniff(tmp_path / "b.cr3") == ("camera raw, .cr3", False)
