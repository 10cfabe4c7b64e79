"""Of every encoding that could be made, the pixels are those of an independent reader, or it is refused by its name.

TIFF is written and read by tifffile (with imagecodecs), PNG read by imagecodecs, BMP written by hand.
"""

import itertools
import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from kizu.core.errors import ImageError
from kizu.core.types import U8
from kizu.imaging.codec import decode

HW = 37, 53
LOSSLESS = (None, "zlib", "lzw", "packbits", "lzma", "zstd")


class Encoding(NamedTuple):
    name: str
    array: np.ndarray
    options: dict[str, Any]
    is_read: bool


def noise(kind: str, shape: tuple[int, ...], bits: int | None = None) -> np.ndarray:
    rng = np.random.default_rng(0)
    dtype = np.dtype(kind)
    if dtype.kind == "f":
        return rng.random(shape).astype(dtype)
    bits = bits or dtype.itemsize * 8
    whole = rng.integers(0, 1 << bits, shape, dtype=np.uint64)
    return whole.astype(f"u{dtype.itemsize}").view(dtype)


def greys() -> Iterator[Encoding]:
    for order, compression, photometric, kind in itertools.product(
        "<>", LOSSLESS, ("minisblack", "miniswhite"), ("u1", "u2", "i1", "i2", "u4", "i4", "f2", "f4", "f8")
    ):
        options = {"byteorder": order, "compression": compression, "photometric": photometric}
        name = f"{order} {compression} {photometric} {kind}"
        yield Encoding(name, noise(kind, HW), options, is_read=kind in ("u1", "u2"))
    for order, bits in itertools.product("<>", (2, 4, 10, 12, 14)):
        kind = "u1" if bits < 8 else "u2"
        is_read = bits in (2, 4) or (bits == 12 and order == "<")
        options = {"byteorder": order, "bitspersample": bits}
        yield Encoding(f"{order} {bits} bits", noise(kind, HW, bits), options, is_read)
    for order, photometric, compression in itertools.product("<>", ("minisblack", "miniswhite"), LOSSLESS):
        options = {"byteorder": order, "photometric": photometric, "compression": compression}
        yield Encoding(
            f"{order} {compression} {photometric} 1 bit", noise("u1", HW, 1).astype(bool), options, True
        )


def colours() -> Iterator[Encoding]:
    extras = (None, "unspecified", "assocalpha", "unassalpha")
    for order, compression, kind, planes, extra in itertools.product(
        "<>", LOSSLESS, ("u1", "u2", "f4"), ("contig", "separate"), extras
    ):
        count = 3 if extra is None else 4
        shape = (*HW, count) if planes == "contig" else (count, *HW)
        options: dict[str, Any] = {
            "byteorder": order, "compression": compression, "photometric": "rgb", "planarconfig": planes,
        }  # fmt: skip
        array = noise(kind, shape)
        if extra is not None:
            options["extrasamples"] = [extra]
        apart = planes == "separate" and compression is None
        is_read = kind != "f4" and not (apart and (kind == "u2" or extra in ("unspecified", "assocalpha")))
        yield Encoding(f"{order} {compression} rgb {kind} {planes} {extra}", array, options, is_read)
    for order, tile, predictor, kind in itertools.product("<>", (None, (16, 32)), (None, 2), ("u1", "u2")):
        options = {"byteorder": order, "tile": tile, "predictor": predictor, "photometric": "rgb"}
        options["compression"] = "zlib" if predictor else None
        yield Encoding(
            f"{order} tiles {tile} predictor {predictor} {kind}", noise(kind, (*HW, 3)), options, True
        )
    for tile, kind, big in itertools.product((None, (16, 32)), ("u1", "u2"), (False, True)):
        options = {"tile": tile, "photometric": "minisblack", "rowsperstrip": None if tile else 5}
        for order in "<>":
            written = options | {"bigtiff": big, "byteorder": order}
            is_read = not (big and order == ">")
            yield Encoding(f"{order} grey tiles {tile} {kind} big {big}", noise(kind, HW), written, is_read)
    colormap = noise("u2", (3, 256))
    yield Encoding("palette", noise("u1", HW), {"photometric": "palette", "colormap": colormap}, True)
    for extra in ("unspecified", "assocalpha", "unassalpha"):
        options = {"photometric": "minisblack", "extrasamples": [extra], "planarconfig": "contig"}
        yield Encoding(f"grey and {extra}", noise("u1", (*HW, 2)), options, True)
        yield Encoding(f"deep grey and {extra}", noise("u2", (*HW, 2)), options, False)
    smooth = np.repeat(np.linspace(0, 255, 64 * 48).reshape(48, 64, 1), 3, axis=2).astype(np.uint8)
    yield Encoding("JPEG rgb", smooth, {"photometric": "rgb", "compression": "jpeg"}, True)
    yield Encoding("JPEG grey", smooth[..., 0], {"photometric": "minisblack", "compression": "jpeg"}, True)
    yield Encoding("WebP", smooth, {"photometric": "rgb", "compression": "webp"}, False)
    yield Encoding(
        "jpeg 2000", noise("u1", (*HW, 3)), {"photometric": "rgb", "compression": "jpeg2000"}, False
    )
    yield Encoding("CIE Lab", noise("u1", (*HW, 3)), {"photometric": "cielab"}, False)
    yield Encoding("filter array", noise("u1", HW), {"photometric": "cfa", "extratags": [
        (33421, 3, 2, (2, 2), True), (33422, 1, 4, bytes((0, 1, 1, 2)), True)]}, False)  # fmt: skip
    yield Encoding(
        "more bands", noise("u1", (*HW, 6)), {"photometric": "minisblack", "planarconfig": "contig"}, False
    )


ENCODINGS = [*greys(), *colours()]


def rule(array: np.ndarray, encoding: Encoding) -> U8:
    """The documented rule, by itself, on what tifffile gives."""
    options = encoding.options
    if options.get("planarconfig") == "separate":
        array = array.transpose(1, 2, 0)
    if options.get("photometric") == "palette":
        return (options["colormap"].T[array] >> 8).astype(np.uint8)
    if array.dtype == bool:
        seen = np.where(array, 255, 0)
    elif "bitspersample" in options and options["bitspersample"] < 8:
        seen = array.astype(int) * 255 // ((1 << options["bitspersample"]) - 1)
    else:
        seen = array.astype(int) >> (options.get("bitspersample", array.dtype.itemsize * 8) - 8)
    if options.get("photometric") == "miniswhite":
        seen = 255 - seen
    seen = seen if seen.ndim == 3 else seen[..., None]
    (kind,) = options.get("extrasamples", [None])
    colours, last = (seen[..., :-1], seen[..., -1:]) if kind else (seen, None)
    if kind == "unassalpha":
        colours = np.rint(colours * last / 255)
    return np.broadcast_to(colours, (*colours.shape[:2], 3)).astype(np.uint8)


@pytest.mark.parametrize("encoding", ENCODINGS, ids=[encoding.name for encoding in ENCODINGS])
def test_a_tiff_gives_the_pixels_that_another_reader_finds_or_is_refused_by_name(encoding: Encoding) -> None:
    stream = BytesIO()
    tifffile.imwrite(stream, encoding.array, metadata=None, **encoding.options)
    data = stream.getvalue()
    if not encoding.is_read:
        with pytest.raises(ImageError) as caught:
            decode(data)
        told = caught.value.message
        assert "variant of TIFF that Kizu does not read" in told or "full scale is unknown" in told
        assert "damaged" not in str(caught.value)
        return
    expected = rule(tifffile.imread(BytesIO(data)), encoding)
    tolerance = 6 if encoding.options.get("compression") == "jpeg" else 0
    assert np.abs(decode(data).astype(int) - expected).max() <= tolerance


def packed_tiff(bits: int, photometric: int, order: str, compression: int) -> bytes:
    """Packed grey in one strip, by hand: tifffile does not compress it."""
    values = noise("u2", HW, bits)
    rows = np.unpackbits(values.astype(">u2").view(np.uint8).reshape(*HW, 2), axis=2)[..., 16 - bits :]
    strip = np.packbits(rows.reshape(HW[0], -1), axis=1).tobytes()
    packers = {1: bytes, 8: zlib.compress, 5: imagecodecs.lzw_encode, 32773: imagecodecs.packbits_encode}
    strip = packers[compression](strip)
    tags = [(256, HW[1]), (257, HW[0]), (258, bits), (259, compression), (262, photometric)]
    tags += [(273, 8), (277, 1), (278, HW[0]), (279, len(strip))]
    entries = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in tags)
    at = 8 + len(strip) + len(strip) % 2
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, at)
    return head + strip + bytes(len(strip) % 2) + struct.pack(f"{order}H", len(tags)) + entries + bytes(4)


@pytest.mark.parametrize("compression", [1, 8, 5, 32773])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("bits", [1, 2, 4, 10, 12, 14])
def test_packed_grey_keeps_its_levels_or_is_refused_by_name(
    bits: int, photometric: int, order: str, compression: int
) -> None:
    data = packed_tiff(bits, photometric, order, compression)
    if bits in (10, 14) or (bits == 12 and (order == ">" or photometric == 0)):
        with pytest.raises(ImageError, match="variant of TIFF that Kizu does not read"):
            decode(data)
        return
    found = tifffile.imread(BytesIO(data)).astype(int)
    seen = found >> 4 if bits == 12 else found * 255 // ((1 << bits) - 1)
    seen = seen if photometric else 255 - seen
    assert np.array_equal(decode(data), np.repeat(seen[..., None], 3, axis=2))


@pytest.mark.parametrize("compression", ["tiff_ccitt", "group3", "group4"])
def test_a_fax_gives_the_pixels_that_were_written(compression: str) -> None:
    flawed = noise("u1", HW, 1).astype(bool)
    stream = BytesIO()
    Image.fromarray(flawed).save(stream, "TIFF", compression=compression)
    assert np.array_equal(decode(stream.getvalue())[..., 0], np.where(flawed, 255, 0))


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_four_inks_follow_the_plain_rule(compression: str | None) -> None:
    inks = noise("u1", (*HW, 4))
    stream = BytesIO()
    Image.fromarray(inks, "CMYK").save(stream, "TIFF", compression=compression)
    expected = (255 - inks[..., :3].astype(int)) * (255 - inks[..., 3:].astype(int)) / 255
    assert np.abs(decode(stream.getvalue()) - expected).max() <= 1


def test_colour_differences_are_read_from_jpeg_and_refused_otherwise() -> None:
    smooth = np.repeat(np.linspace(0, 255, 64 * 48).reshape(48, 64, 1), 3, axis=2).astype(np.uint8)
    for compression, is_read in (("jpeg", True), (None, False), ("tiff_lzw", False)):
        stream = BytesIO()
        Image.fromarray(smooth).convert("YCbCr").save(stream, "TIFF", compression=compression)
        if is_read:
            assert np.abs(decode(stream.getvalue()).astype(int) - smooth).max() <= 6
        else:
            with pytest.raises(ImageError, match="variant of TIFF"):
                decode(stream.getvalue())


def test_enough_encodings_are_tried() -> None:
    assert len(ENCODINGS) >= 65
    assert sum(encoding.is_read for encoding in ENCODINGS) >= 65


def png(bits: int, colour: int, interlaced: bool) -> bytes:
    """A PNG by hand, every depth and colour type."""
    height, width = HW
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    values = noise("u2", (height, width, samples), min(bits, 16))

    def rows(part: np.ndarray) -> bytes:
        if not part.size:
            return b""
        flat = part.reshape(len(part), -1)
        if bits == 16:
            return b"".join(b"\0" + row.astype(">u2").tobytes() for row in flat)
        spread = np.unpackbits(flat.astype(np.uint8)[..., None], axis=2)[..., 8 - bits :]
        return b"".join(b"\0" + np.packbits(row).tobytes() for row in spread)

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    passes = (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    )
    parts = [values[y::dy, x::dx] for x, y, dx, dy in passes] if interlaced else [values]
    body = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced))
    if colour == 3:
        body += chunk(b"PLTE", noise("u1", (1 << bits, 3)).tobytes())
    body += chunk(b"IDAT", zlib.compress(b"".join(map(rows, parts))))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


PNGS = [(0, 16), *((colour, bits) for colour in (0, 3) for bits in (1, 2, 4, 8))]
PNGS += [(colour, bits) for colour in (2, 4, 6) for bits in (8, 16)]


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(("colour", "bits"), PNGS)
def test_a_png_gives_the_pixels_that_another_reader_finds(colour: int, bits: int, interlaced: bool) -> None:
    data = png(bits, colour, interlaced)
    found = imagecodecs.png_decode(data)
    seen = found.astype(int) >> (8 if found.dtype == np.uint16 else 0)
    seen = seen if seen.ndim == 3 else seen[..., None]
    if colour in (4, 6):
        seen = np.rint(seen[..., :-1] * seen[..., -1:] / 255)
    assert np.array_equal(decode(data), np.broadcast_to(seen, (*HW, 3)))


def bmp(bits: int, pixels: bytes, height: int, *, masks: tuple[int, ...] = (), palette: bytes = b"") -> bytes:
    """A BMP by hand; `pixels` as they lie in the file."""
    size, compression = 124 if len(masks) == 4 else 40, 3 if masks else 0
    sizes = (size, HW[1], height, 1, bits, compression, len(pixels), 0, 0, len(palette) // 4, 0)
    header = struct.pack("<IiiHHIIiiII", *sizes)
    header += struct.pack(f"<{len(masks)}I", *masks) + bytes(
        max(0, size - 40 - 4 * len(masks)) if size > 40 else 0
    )
    start = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + header + palette + pixels


def lines(values: np.ndarray) -> bytes:
    """Rows of bytes from the bottom up, each filled to a multiple of 4."""
    return b"".join(row.tobytes() + bytes(-len(row.tobytes()) % 4) for row in values[::-1])


@pytest.mark.parametrize("down", [False, True])
def test_a_bmp_gives_the_pixels_that_were_written(down: bool) -> None:
    height = HW[0]
    colour = noise("u1", (*HW, 3))
    stored = colour[::-1] if down else colour
    signed = -height if down else height
    blue_first = stored[..., ::-1]
    four = np.dstack([blue_first, np.zeros(HW, np.uint8)])
    assert np.array_equal(decode(bmp(24, lines(np.ascontiguousarray(blue_first)), signed)), colour)
    assert np.array_equal(decode(bmp(32, lines(four), signed)), colour)
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    assert np.array_equal(decode(bmp(32, lines(four), signed, masks=masks)), colour), (
        "alpha of zeros is unused"
    )
    opaque = np.dstack([blue_first, np.full(HW, 255, np.uint8)])
    assert np.array_equal(decode(bmp(32, lines(opaque), signed, masks=masks)), colour)
    for masks, shifts, widths in (
        ((0xF800, 0x7E0, 0x1F), (11, 5, 0), (5, 6, 5)),
        ((0x7C00, 0x3E0, 0x1F), (10, 5, 0), (5, 5, 5)),
    ):
        levels = [stored[..., c].astype(np.uint16) >> (8 - widths[c]) for c in range(3)]
        packed = sum(level << shift for level, shift in zip(levels, shifts, strict=True)).astype("<u2")
        expected = np.stack(
            [
                colour[..., c].astype(int) // (1 << 8 - widths[c]) * 255 // ((1 << widths[c]) - 1)
                for c in range(3)
            ],
            axis=2,
        )
        assert np.abs(decode(bmp(16, lines(packed), signed, masks=masks)).astype(int) - expected).max() <= 1
    for bits in (1, 4, 8):
        index = noise("u1", HW, bits)
        palette = noise("u1", (1 << bits, 3))
        spread = np.unpackbits((index[::-1] if down else index)[..., None], axis=2)[..., 8 - bits :].reshape(
            height, -1
        )
        table = np.hstack([palette[:, ::-1], np.zeros((1 << bits, 1), np.uint8)])
        data = bmp(bits, lines(np.packbits(spread, axis=1)), signed, palette=table.tobytes())
        assert np.array_equal(decode(data), palette[index])
