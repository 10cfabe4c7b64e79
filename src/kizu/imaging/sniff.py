"""What a file is by its first bytes: a picture that Kizu reads, one in another format, or no picture.

A name may say what it likes: `.jfif` and `.jpe` hold JPEG, and a file without a suffix may hold anything.
"""

from pathlib import Path
from typing import NamedTuple


class Sniffed(NamedTuple):
    """The format of a picture."""

    format: str
    is_read: bool
    """Whether Kizu decodes it."""


_HEAD = 132
"""Bytes that are looked at: DICOM has its name after 128."""
_READ: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)
_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"II\xbc\x01", "JPEG XR"),
    (b"8BPS", "PSD"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"SIMPLE  =", "FITS"),
    (b"DDS ", "DDS"),
    (b"qoif", "QOI"),
    (b"AT&TFORM", "DjVu"),
)
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis"})
_DIB_SIZES = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
RAW_SUFFIXES = frozenset(
    {".3fr", ".arw", ".cr2", ".cr3", ".dng", ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".srw"}
)
"""A camera's own format: most are TIFF to look at, with a thumbnail where the picture is looked for."""


def sniff(path: Path | str) -> Sniffed | None:
    """What the file's first bytes say; None: no picture. Raises `OSError` for a file that cannot be opened."""
    with open(path, "rb") as stream:  # noqa: PTH123 - a hundred thousand names need no `Path`
        found = sniff_bytes(stream.read(_HEAD))
    suffix = Path(path).suffix.lower()
    if suffix in RAW_SUFFIXES and (found is None or found.format == "TIFF"):
        return Sniffed(f"camera raw, {suffix}", False)
    return found


def sniff_bytes(head: bytes) -> Sniffed | None:
    """The same of the beginning of a file."""
    for magic, name in _READ:
        if head.startswith(magic):
            return Sniffed(name, True)
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return Sniffed("WebP", True)
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _DIB_SIZES:
        return Sniffed("BMP", True)
    for magic, name in _OTHERS:
        if head.startswith(magic):
            return Sniffed(name, False)
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        return Sniffed("AVIF" if head[8:12].startswith(b"avi") else "HEIF", False)
    if head[:1] == b"P" and head[1:2] in b"1234567" and head[2:3] in b"\n\r\t #" and len(head) > 3:
        return Sniffed("PNM", False)
    if head[:4] == b"\x28\0\0\0" and head[12:14] == b"\1\0":
        return Sniffed("DIB", False)
    if head[128:132] == b"DICM":
        return Sniffed("DICOM", False)
    return None
