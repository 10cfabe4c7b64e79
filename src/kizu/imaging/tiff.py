"""Which TIFF files are read: a table of what is known to come out right. Everything else is refused by its name.

TIFF is a container: bits, sample format, photometric interpretation, planes, extra samples and compression are free to
combine, and a decoder that trusts its own guess gives a negative, a shifted or a wrapped picture without a word. The
table was tested against an independent reader, row by row (`tests/oracle/test_encodings.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any, Literal, NamedTuple

from PIL import Image
from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    COMPRESSION,
    EXTRASAMPLES,
    FILLORDER,
    II,
    PHOTOMETRIC_INTERPRETATION,
    PLANAR_CONFIGURATION,
    SAMPLEFORMAT,
    SAMPLESPERPIXEL,
    ImageFileDirectory_v2,
    TiffImageFile,
)

from kizu.core.errors import ImageError

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
TOGETHER, APART = 1, 2
UNUSED, MULTIPLIED, ALPHA = 0, 1, 2

_NONE, _FAX, _LZW, _JPEG, _PACKBITS = 1, (2, 3, 4), 5, 7, 32773
_LOSSLESS = (_LZW, 8, 32946, _PACKBITS, 34925, 50000)  # LZW, deflate twice, packbits, LZMA, Zstandard
_PLAIN = (_NONE, *_LOSSLESS)

_NAMES: Mapping[str, Mapping[int, str]] = {
    "photometric": {
        0: "white is zero", 1: "black is zero", 2: "RGB", 3: "palette", 4: "mask", 5: "CMYK", 6: "YCbCr",
        8: "CIE L*a*b*", 9: "ICC L*a*b*", 32803: "colour filter array", 34892: "linear raw",
    },
    "sample_format": {1: "unsigned", 2: "signed", 3: "float", 4: "undefined", 5: "complex", 6: "complex float"},
    "compression": {
        1: "uncompressed", 2: "fax", 3: "fax", 4: "fax", 5: "LZW", 6: "old JPEG", 7: "JPEG", 8: "deflate",
        32773: "packbits", 32946: "deflate", 34712: "JPEG 2000", 34925: "LZMA", 50000: "Zstandard", 50001: "WebP",
        50002: "JPEG XL",
    },
}  # fmt: skip

_ENDLESS = 1_000
"""Pages beyond this are not counted."""
_TAG_BYTES = 64 << 20
"""What one file's tags may take."""


class _Row(NamedTuple):
    """Every combination of these comes out right."""

    photometrics: tuple[int, ...]
    sample_format: int
    bits: tuple[int, ...]
    colours: int
    extras: tuple[tuple[int, ...], ...]
    planars: tuple[int, ...]
    compressions: tuple[int, ...]
    is_little_only: bool = False
    """Not with the high byte first."""


_NO_EXTRA = ((),)
_ONE_EXTRA = ((), (UNUSED,), (MULTIPLIED,), (ALPHA,))
KNOWN = (
    _Row((WHITE_IS_ZERO, BLACK_IS_ZERO), UNSIGNED, (1,), 1, _NO_EXTRA, (TOGETHER,), (*_PLAIN, *_FAX)),
    _Row((WHITE_IS_ZERO, BLACK_IS_ZERO), UNSIGNED, (2, 4, 8, 16), 1, _NO_EXTRA, (TOGETHER,), _PLAIN),
    _Row((BLACK_IS_ZERO,), UNSIGNED, (8,), 1, _NO_EXTRA, (TOGETHER,), (_JPEG,)),
    _Row((BLACK_IS_ZERO,), UNSIGNED, (12, 32), 1, _NO_EXTRA, (TOGETHER,), _PLAIN, is_little_only=True),
    _Row((BLACK_IS_ZERO,), SIGNED, (16, 32), 1, _NO_EXTRA, (TOGETHER,), _PLAIN),
    _Row((BLACK_IS_ZERO,), FLOAT, (32,), 1, _NO_EXTRA, (TOGETHER,), _PLAIN),
    _Row((BLACK_IS_ZERO,), UNSIGNED, (8,), 1, ((UNUSED,), (MULTIPLIED,), (ALPHA,)), (TOGETHER,), _PLAIN),
    _Row((PALETTE,), UNSIGNED, (1, 2, 4, 8), 1, _NO_EXTRA, (TOGETHER,), _PLAIN),
    _Row((RGB,), UNSIGNED, (8, 16), 3, _ONE_EXTRA, (TOGETHER,), _PLAIN),
    _Row((RGB,), UNSIGNED, (8, 16), 4, _NO_EXTRA, (TOGETHER,), _PLAIN),  # the fourth is taken for alpha
    _Row((RGB,), UNSIGNED, (8,), 3, _NO_EXTRA, (TOGETHER,), (_JPEG,)),
    _Row((RGB,), UNSIGNED, (8,), 3, ((), (ALPHA,)), (APART,), (_NONE,)),
    _Row((RGB,), UNSIGNED, (8, 16), 3, _ONE_EXTRA, (APART,), _LOSSLESS),
    _Row((CMYK,), UNSIGNED, (8,), 4, _NO_EXTRA, (TOGETHER,), _PLAIN),
    _Row((YCBCR,), UNSIGNED, (8,), 3, _NO_EXTRA, (TOGETHER,), (_JPEG,)),
)


@dataclass(frozen=True, slots=True)
class Variant:
    """What a TIFF file says of its pixels."""

    photometric: int
    sample_format: int
    bits: int
    """Of each sample; 0: they differ"""
    samples: int
    extra: tuple[int, ...]
    planar: int
    compression: int
    fill_order: int
    is_little: bool
    """Whether the low byte comes first"""

    @classmethod
    def of(cls, tags: ImageFileDirectory_v2) -> "Variant":
        """From the tags of a page; what is left out has its default."""
        bits = _each(tags.get(BITSPERSAMPLE, 1))
        formats = _each(tags.get(SAMPLEFORMAT, UNSIGNED))
        return cls(
            photometric=tags.get(PHOTOMETRIC_INTERPRETATION, -1),
            sample_format=formats[0] if len(set(formats)) == 1 else 0,
            bits=bits[0] if len(set(bits)) == 1 else 0,
            samples=tags.get(SAMPLESPERPIXEL, len(bits)),
            extra=_each(tags.get(EXTRASAMPLES, ())),
            planar=tags.get(PLANAR_CONFIGURATION, TOGETHER),
            compression=tags.get(COMPRESSION, _NONE),
            fill_order=tags.get(FILLORDER, 1),
            is_little=tags.prefix == II,
        )

    @property
    def is_known(self) -> bool:
        """Whether it is in the table."""
        if self.fill_order != 1 and self.bits != 1:
            return False
        return any(
            self.photometric in row.photometrics
            and self.sample_format == row.sample_format
            and self.bits in row.bits
            and self.extra in row.extras
            and self.samples == row.colours + len(self.extra)
            and (self.planar in row.planars or self.samples == 1)
            and self.compression in row.compressions
            and (self.is_little or not row.is_little_only)
            for row in KNOWN
        )

    def __str__(self) -> str:
        def name(of: str, value: int) -> str:
            return _NAMES[of].get(value, f"{of.replace('_', ' ')} {value}")

        parts = [
            f"{self.bits or 'different'} bits",
            name("sample_format", self.sample_format),
            name("photometric", self.photometric),
            f"{self.samples} samples" + (f" of which extra {list(self.extra)}" if self.extra else ""),
            name("compression", self.compression),
        ]
        parts += [] if self.is_little else ["high byte first"]
        parts += ["planes apart"] if self.planar == APART else []
        parts += ["bits reversed"] if self.fill_order != 1 else []
        return ", ".join(parts)


class TiffFile(TiffImageFile):
    """Pillow's TIFF, of known variants only."""

    variant: Variant
    is_negative = False
    """Whether what Pillow gives is the negative still."""

    def _seek(self, frame: int) -> None:
        self._tag_data_remaining = min(self._tag_data_remaining, _TAG_BYTES)
        super()._seek(frame)

    def _setup(self) -> None:
        self.variant = variant = Variant.of(self.tag_v2)
        if not variant.is_known:
            raise ImageError(
                f"is a variant of TIFF that Kizu does not read: {variant}",
                hint="it may well be sound: save it with 8 or 16 bits unsigned, grey or RGB, uncompressed or LZW",
            )
        if (variant.photometric, variant.bits) == (WHITE_IS_ZERO, 16):  # Pillow would not turn it
            self.tag_v2[PHOTOMETRIC_INTERPRETATION] = BLACK_IS_ZERO
            self.is_negative = True
        if variant.extra == (MULTIPLIED,):  # which is what compositing on black gives
            self.tag_v2[EXTRASAMPLES] = (UNUSED,)
        super()._setup()

    def load_prepare(self) -> None:
        """As Pillow's, which would warn of sizes that are allowed here."""
        if self._im is None:
            self.im = Image.new(self.mode, self._tile_size).im
        super().load_prepare()

    @property
    def unused_bands(self) -> int:
        """Samples of a pixel that nothing is made of."""
        return sum(kind == UNUSED for kind in self.variant.extra)


def count_pages(stream: IO[bytes]) -> int:
    """How many pictures a TIFF file holds, reduced copies left out; at most `_ENDLESS` pages are looked at."""
    place = stream.tell()
    stream.seek(0)
    head = stream.read(16)
    order: Literal["little", "big"] = "little" if head[:2] == b"II" else "big"
    is_big = int.from_bytes(head[2:4], order) == 43
    width, count_width, entry = (8, 8, 20) if is_big else (4, 2, 12)

    def number(size: int) -> int:
        return int.from_bytes(stream.read(size), order)

    at = int.from_bytes(head[8:16] if is_big else head[4:8], order)
    seen: set[int] = set()
    pages = 0
    while at and at not in seen and len(seen) < _ENDLESS:
        seen.add(at)
        stream.seek(at)
        entries = number(count_width)
        table = stream.read(min(entries, 4096) * entry)
        if entries > 4096 or len(table) < entries * entry:
            break
        pages += not _is_reduced(table, entry, order)
        at = number(width)
    stream.seek(place)
    return max(1, pages)


def _is_reduced(table: bytes, entry: int, order: Literal["little", "big"]) -> bool:
    """Whether a page says that it is a smaller copy of another, or the mask of one (tag 254)."""
    for start in range(0, len(table), entry):
        if int.from_bytes(table[start : start + 2], order) == 254:
            value = table[start + entry - (8 if entry == 20 else 4) :][:4]
            return bool(int.from_bytes(value, order) & 0b101)
    return False


def _each(value: Any) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, tuple) else (value,)
