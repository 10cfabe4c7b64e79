"""Every kind of file becomes RGB by a fixed rule; every kind of trouble an `ImageError` naming the file."""

import struct
import warnings
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from kizu.core.errors import ImageError, OutputError
from kizu.core.types import U8
from kizu.imaging.codec import (
    Limits,
    decode,
    decode_mask,
    encode_jpeg,
    encode_png,
    image_info,
    image_size,
    jpeg_bytes,
    png_bytes,
    to_rgb,
)
from kizu.imaging.overlay import banner


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    stream = BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def png(width: int, height: int, depth: int, colour: int, rows: bytes = b"", extra: bytes = b"") -> bytes:
    """A PNG by hand: for what Pillow does not write."""

    def chunk(name: bytes, content: bytes) -> bytes:
        length, checksum = struct.pack(">I", len(content)), struct.pack(">I", zlib.crc32(name + content))
        return length + name + content + checksum

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.fixture
def picture() -> U8:
    """(24, 40, 3), every channel different."""
    y, x = np.mgrid[:24, :40]
    return np.stack([y * 10, x * 6, 255 - y * 5], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF"])
def test_a_lossless_file_gives_its_pixels(picture: U8, format: str) -> None:
    assert np.array_equal(decode(encoded(Image.fromarray(picture), format)), picture)


def test_webp_gives_its_pixels_when_lossless(picture: U8) -> None:
    assert np.array_equal(decode(encoded(Image.fromarray(picture), "WEBP", lossless=True)), picture)


def test_jpeg_gives_nearly_its_pixels(picture: U8) -> None:
    decoded = decode(encoded(Image.fromarray(picture), "JPEG", quality=97, subsampling=0))
    assert np.abs(decoded.astype(int) - picture).mean() < 2


def test_the_result_is_contiguous_and_writable(tmp_path: Path, picture: U8) -> None:
    for source in (encoded(Image.fromarray(picture)), encoded(Image.fromarray(picture[..., 0]))):
        decoded = decode(source)
        assert decoded.flags.c_contiguous
        assert decoded.flags.writeable
        assert decoded.dtype == np.uint8


def test_a_path_a_string_and_the_bytes_give_the_same(tmp_path: Path, picture: U8) -> None:
    path = tmp_path / "räumlich 傷.png"
    encode_png(path, picture)
    assert np.array_equal(decode(path), picture)
    assert np.array_equal(decode(str(path)), picture)
    assert np.array_equal(decode(path.read_bytes()), picture)


def test_the_suffix_does_not_matter(tmp_path: Path, picture: U8) -> None:
    path = tmp_path / "really_a_png.jpg"
    path.write_bytes(png_bytes(picture))
    assert np.array_equal(decode(path), picture)


def test_grey_becomes_three_equal_channels(picture: U8) -> None:
    decoded = decode(encoded(Image.fromarray(picture[..., 1])))
    assert np.array_equal(decoded, np.repeat(picture[..., 1:2], 3, axis=2))


def test_one_bit_becomes_black_and_white() -> None:
    bits = np.eye(9, dtype=bool)
    decoded = decode(encoded(Image.fromarray(bits)))
    assert np.array_equal(decoded[..., 0], np.where(bits, 255, 0))


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_of_16_bit_grey_the_high_byte_is_kept(format: str) -> None:
    deep = (np.arange(24 * 40).reshape(24, 40) * 68).astype(np.uint16)
    decoded = decode(encoded(Image.fromarray(deep), format))
    assert np.array_equal(decoded, np.repeat((deep >> 8).astype(np.uint8)[..., None], 3, axis=2))


def test_big_endian_16_bit_tiff_gives_the_same_as_little_endian() -> None:
    deep = (np.arange(24 * 40).reshape(24, 40) * 68).astype(np.uint16)
    big = encoded(Image.frombytes("I;16B", (40, 24), deep.astype(">u2").tobytes()), "TIFF")
    assert big[:2] == b"MM"
    assert np.array_equal(decode(big)[..., 0], deep >> 8)


def test_16_bit_colour_is_scaled_as_16_bit_grey() -> None:
    deep = (np.arange(24 * 40).reshape(24, 40) * 68).astype(">u2")
    rows = b"".join(b"\0" + np.repeat(row[:, None], 3, axis=1).tobytes() for row in deep)
    assert np.array_equal(
        decode(png(40, 24, 16, 2, rows)), decode(encoded(Image.fromarray(deep.astype(np.uint16))))
    )


@pytest.mark.parametrize(("kind", "named"), [(np.int32, "integers"), (np.float32, "floating")])
def test_32_bits_are_refused_because_their_scale_is_unknown(kind: type, named: str) -> None:
    with pytest.raises(ImageError, match=named) as caught:
        decode(encoded(Image.fromarray(np.ones((4, 4), kind)), "TIFF"))
    assert caught.value.hint


def test_transparency_is_composited_on_black() -> None:
    pixels = np.zeros((1, 3, 4), dtype=np.uint8)
    pixels[0, :, :3] = (200, 100, 50)
    pixels[0, :, 3] = (255, 0, 128)
    decoded = decode(encoded(Image.fromarray(pixels)))
    assert decoded[0, 0].tolist() == [200, 100, 50]
    assert decoded[0, 1].tolist() == [0, 0, 0]
    assert np.allclose(decoded[0, 2], [100, 50, 25], atol=1)


def test_an_alpha_channel_of_zeros_is_an_unused_byte_and_ignored(picture: U8) -> None:
    """Cameras that write BGRX leave the fourth byte at 0: composited, their pictures would be black."""
    unused = np.dstack([picture, np.zeros((24, 40), np.uint8)])
    for format in ("PNG", "TIFF"):
        assert np.array_equal(decode(encoded(Image.fromarray(unused), format)), picture)
    assert np.array_equal(
        decode(encoded(Image.fromarray(unused), "WEBP", lossless=True, exact=True)), picture
    )
    grey = np.dstack([picture[..., 0], unused[..., 3]])
    assert np.array_equal(decode(encoded(Image.fromarray(grey)))[..., 2], picture[..., 0])
    assert np.array_equal(to_rgb(unused), picture)
    unused[3, 4, 3] = 1  # not constant: it says something
    assert decode(encoded(Image.fromarray(unused))).max() <= 1


def test_a_mask_that_is_all_transparent_marks_nothing(picture: U8) -> None:
    assert not decode_mask(encoded(Image.fromarray(np.dstack([picture, np.zeros((24, 40), np.uint8)])))).any()


@pytest.mark.parametrize(("format", "options"), [("TIFF", {}), ("WEBP", {"lossless": True}), ("PNG", {})])
@pytest.mark.parametrize("pages", [1, 2, 5])
def test_pages_are_counted(picture: U8, pages: int, format: str, options: dict[str, bool]) -> None:
    further = [Image.fromarray(np.roll(picture, n, axis=0)) for n in range(1, pages)]
    data = encoded(Image.fromarray(picture), format, save_all=pages > 1, append_images=further, **options)
    assert image_info(data).pages == pages


@pytest.mark.parametrize(("order", "big"), [("<", False), (">", False), ("<", True)])
def test_reduced_copies_are_no_pages_and_a_loop_of_pages_ends(picture: U8, order: str, big: bool) -> None:
    stream = BytesIO()
    with tifffile.TiffWriter(stream, byteorder=order, bigtiff=big) as writer:
        for reduced, page in ((False, picture), (True, picture[::2, ::2]), (False, picture[::-1])):
            writer.write(page, subfiletype=int(reduced), metadata=None, photometric="rgb")
    data = stream.getvalue()
    assert image_info(data).pages == 2
    with tifffile.TiffFile(BytesIO(data)) as file:
        offsets = [page.offset for page in file.pages]
        size = file.tiff.offsetsize
        entries = len(file.pages[-1].tags)
    count, entry = (8, 20) if big else (2, 12)
    at = offsets[-1] + count + entry * entries
    looped = bytearray(data)
    looped[at : at + size] = offsets[0].to_bytes(size, "little" if order == "<" else "big")
    assert image_info(bytes(looped)).pages == 2
    assert np.array_equal(decode(bytes(looped)), picture)


def test_channels_that_nothing_is_made_of_are_counted(picture: U8) -> None:
    for extra, unused in (("unspecified", 1), ("unassalpha", 0), ("assocalpha", 0)):
        stream = BytesIO()
        four = np.dstack([picture, picture[..., 0] | 1])
        tifffile.imwrite(stream, four, photometric="rgb", extrasamples=[extra], metadata=None)
        assert image_info(stream.getvalue()).unused_bands == unused


def test_grey_with_alpha_is_composited_too() -> None:
    pixels = np.array([[[200, 255], [200, 0]]], dtype=np.uint8)
    assert decode(encoded(Image.fromarray(pixels, "LA")))[0, :, 0].tolist() == [200, 0]


def test_a_palette_with_transparency_gives_its_colours_and_black() -> None:
    image = Image.fromarray(np.array([[0, 1, 2]], dtype=np.uint8), "P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    opaque = decode(encoded(image))
    assert opaque[0].tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
    for transparency in (1, bytes([255, 0, 255])):
        decoded = decode(encoded(image, transparency=transparency))
        assert decoded[0].tolist() == [[255, 0, 0], [0, 0, 0], [0, 0, 255]]


def test_cmyk_jpeg_as_adobe_inverts_it_is_not_a_negative() -> None:
    light = Image.new("RGB", (16, 16), (230, 220, 210)).convert("CMYK")
    data = encoded(light, "JPEG", quality=95)
    assert b"Adobe" in data
    assert np.allclose(decode(data).mean(axis=(0, 1)), [230, 220, 210], atol=6)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_exif_orientation_is_applied_to_pixels_and_size(format: str, orientation: int) -> None:
    stored = np.zeros((16, 32, 3), dtype=np.uint8)
    stored[:8, :16] = 250  # bright where row 0 meets column 0
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(stored), format, exif=exif)
    decoded = decode(data)
    flips = {1: "id", 2: "lr", 3: "180", 4: "ud", 5: "t", 6: "t-lr", 7: "t-180", 8: "t-ud"}[orientation]
    expected = stored.transpose(1, 0, 2) if flips.startswith("t") else stored
    expected = {"lr": expected[:, ::-1], "ud": expected[::-1], "180": expected[::-1, ::-1]}.get(
        flips.removeprefix("t-"), expected
    )
    assert decoded.shape == expected.shape
    assert np.abs(decoded.astype(int) - expected).mean() < 8
    assert image_size(data) == decoded.shape[:2]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_an_unreadable_exif_block_does_not_cost_the_picture(picture: U8) -> None:
    data = encoded(Image.fromarray(picture), "JPEG", exif=b"Exif\0\0MM\0*junk and more junk")
    assert decode(data).shape == picture.shape


def test_of_an_animation_the_first_frame_is_taken(picture: U8) -> None:
    first, second = Image.fromarray(picture), Image.fromarray(255 - picture)
    for format, options in (("TIFF", {}), ("WEBP", {"lossless": True}), ("PNG", {})):
        data = encoded(first, format, save_all=True, append_images=[second], **options)
        assert np.array_equal(decode(data), picture), format


def test_a_single_pixel_is_an_image() -> None:
    assert decode(encoded(Image.new("L", (1, 1), 77))).tolist() == [[[77, 77, 77]]]


@pytest.mark.parametrize(
    ("width", "height", "said", "named"),
    [
        (20_000, 10_000, r"20000 x 10000 .* 100,000,000", "max_pixels"),
        (1, 99_000_000, r"1 x 99000000 .* 65,000", "max_side"),
        (99_000_000, 1, r"99000000 x 1 .* 65,000", "max_side"),
        (65_001, 10, "65001 x 10", "max_side"),
    ],
)
def test_what_is_too_large_is_refused_from_its_header(
    tmp_path: Path, width: int, height: int, said: str, named: str
) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png(width, height, 8, 0, bytes(1000)))
    for look in (decode, image_size, decode_mask):
        with pytest.raises(ImageError, match=said) as caught:
            look(path)
        assert caught.value.path == path
        assert named in (caught.value.hint or "")


def test_the_longest_side_that_is_read_can_be_written_as_an_overlay() -> None:
    tall = to_rgb(np.zeros((Limits().max_side, 100_000_000 // Limits().max_side), np.uint8))
    overlay = jpeg_bytes(banner(tall, "NG  score 1.387 > 1.298"))
    assert image_size(overlay, limits=Limits(max_pixels=110_000_000, max_side=65_500)) > tall.shape[:2]


def test_no_warning_of_pillow_leaks_for_an_image_within_our_limit() -> None:
    large = png(11_000, 9_000, 1, 0, bytes(9_000 * (1 + 1_375)))  # 99 MP: above what Pillow warns of
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert image_size(large) == (9_000, 11_000)


def test_the_limit_can_be_set(picture: U8) -> None:
    assert decode(png_bytes(picture), limits=Limits(max_pixels=960)).shape == (24, 40, 3)
    with pytest.raises(ImageError, match="959 allowed"):
        decode(png_bytes(picture), limits=Limits(max_pixels=959))


@pytest.mark.parametrize("format", ["PNG", "JPEG", "BMP", "TIFF", "WEBP"])
def test_a_truncated_file_is_named(tmp_path: Path, picture: U8, format: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / "half.img"
    data = encoded(Image.fromarray(noise), format)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageError, match=r"half\.img") as caught:
        decode(path)
    assert caught.value.path == path
    assert caught.value.hint


def test_what_is_not_an_image_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("not an image at all")
    (tmp_path / "clip.gif").write_bytes(encoded(Image.new("L", (4, 4)), "GIF"))
    for name, said in (
        ("empty.png", "empty"),
        ("text.png", "not an image"),
        ("clip.gif", "not an image"),
        ("missing.png", "no such file"),
        (".", "folder"),
    ):
        with pytest.raises(ImageError, match=said) as caught:
            decode(tmp_path / name)
        assert caught.value.path == tmp_path / name
        assert str(tmp_path) in caught.value.message
        assert caught.value.hint


@given(
    st.sampled_from(["PNG", "JPEG", "BMP", "TIFF", "WEBP"]),
    st.integers(0, 400),
    st.binary(min_size=1, max_size=8),
)
@settings(max_examples=150, deadline=None)
def test_damaged_bytes_give_an_image_or_an_image_error(format: str, at: int, damage: bytes) -> None:
    data = bytearray(encoded(Image.linear_gradient("L").resize((24, 24)), format))
    data[at : at + len(damage)] = damage
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own remarks on damaged metadata
        try:
            assert decode(bytes(data)).ndim == 3
        except ImageError:
            return  # and nothing else


def test_info_comes_from_the_header(picture: U8) -> None:
    info = image_info(jpeg_bytes(picture))
    assert (info.hw, info.format, info.mode) == ((24, 40), "JPEG", "RGB")


@pytest.mark.parametrize("above", [1, 255])
def test_a_mask_counts_everything_above_zero(above: int) -> None:
    flawed = np.eye(7, dtype=bool)
    assert np.array_equal(decode_mask(encoded(Image.fromarray(flawed * np.uint8(above)))), flawed)


def test_a_mask_may_be_of_any_kind() -> None:
    flawed = np.eye(7, dtype=bool)
    one = flawed.astype(np.uint8)
    indexed = Image.fromarray(one, "P")
    indexed.putpalette([0, 0, 0, 64, 0, 0])
    red = np.zeros((7, 7, 3), dtype=np.uint8)
    red[flawed, 0] = 9
    painted = np.zeros((7, 7, 4), dtype=np.uint8)
    painted[...] = (0, 200, 0, 0)
    painted[flawed, 3] = 255
    for image, format in (
        (Image.fromarray(flawed), "PNG"),
        (indexed, "PNG"),
        (Image.fromarray(red), "PNG"),
        (Image.fromarray(painted), "PNG"),
        (Image.fromarray(one.astype(np.uint16)), "PNG"),
        (Image.fromarray(one.astype(np.int32)), "TIFF"),
        (Image.fromarray(one.astype(np.float32)), "TIFF"),
    ):
        assert np.array_equal(decode_mask(encoded(image, format)), flawed), image.mode


def test_a_lossy_mask_counts_from_the_middle() -> None:
    flawed = np.zeros((64, 64), dtype=bool)
    flawed[20:40, 24:48] = True
    decoded = decode_mask(encoded(Image.fromarray(flawed * np.uint8(255)), "JPEG", quality=60))
    assert np.array_equal(decoded, flawed)


def test_a_written_mask_comes_back(tmp_path: Path) -> None:
    flawed = np.random.default_rng(0).random((31, 17)) > 0.7
    encode_png(tmp_path / "mask.png", flawed)
    assert np.array_equal(decode_mask(tmp_path / "mask.png"), flawed)
    assert set(np.unique(decode(tmp_path / "mask.png"))) == {0, 255}


def test_writing_leaves_no_part_behind_and_makes_folders(tmp_path: Path, picture: U8) -> None:
    encode_png(tmp_path / "a" / "b" / "x.png", picture)
    encode_jpeg(tmp_path / "a" / "y.jpg", picture, quality=80)
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == ["x.png", "y.jpg"]
    assert image_info(tmp_path / "a" / "y.jpg").format == "JPEG"


def test_writing_where_that_is_impossible_says_so(tmp_path: Path, picture: U8) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        encode_png(tmp_path / "file" / "x.png", picture)


def test_an_array_follows_the_rules_of_the_file(picture: U8) -> None:
    deep = picture.astype(np.uint16) * 257
    alpha = np.dstack([picture, np.full((24, 40), 128, np.uint8)])
    for array in (picture, deep, alpha, picture[..., 0], picture[..., :1], picture > 128):
        rgb = to_rgb(array)
        assert rgb.shape == (24, 40, 3)
        assert rgb.dtype == np.uint8
        assert rgb.flags.c_contiguous
    assert np.array_equal(to_rgb(deep), picture)
    assert np.array_equal(to_rgb(alpha), decode(encoded(Image.fromarray(alpha))))
    assert np.array_equal(to_rgb(picture[..., 0] > 99)[..., 2], np.where(picture[..., 0] > 99, 255, 0))


@pytest.mark.parametrize(
    ("array", "hint"),
    [
        (np.zeros((4, 4), np.float32), "fixed factor"),
        (np.zeros((4, 4), np.int64), "fixed factor"),
        (np.zeros((3, 8, 8), np.uint8), "transpose"),
        (np.zeros((8, 8, 2), np.uint8), None),
        (np.zeros((0, 8, 3), np.uint8), None),
        (np.zeros(8, np.uint8), None),
    ],
)
def test_an_array_that_is_no_image_is_refused(array: np.ndarray, hint: str | None) -> None:
    with pytest.raises(ImageError) as caught:
        to_rgb(array)
    assert hint is None or hint in (caught.value.hint or "")
