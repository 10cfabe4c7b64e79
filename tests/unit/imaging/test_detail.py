"""Small grey pictures, and when they were taken."""

from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from kizu.imaging.codec import decode, decode_grey
from kizu.imaging.detail import grey, moment_taken, rescale, shrink


def jpeg(path: Path, fields: dict[int, str]) -> Path:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif).update(fields)
    Image.new("L", (20, 10), 90).save(path, exif=exif)
    return path


def test_moments_are_seconds_with_decimals(tmp_path: Path) -> None:
    one = jpeg(tmp_path / "a.jpg", {36867: "2024:05:06 07:08:09", 37521: "25"})
    other = jpeg(tmp_path / "b.jpg", {36868: "2024:05:06 07:09:09"})
    first, second = moment_taken(one), moment_taken(other)
    assert first is not None
    assert second is not None
    assert second - first == pytest.approx(59.75)


@pytest.mark.parametrize(
    "fields",
    [{}, {36867: ""}, {36867: "0000:00:00 00:00:00"}, {36867: "yesterday"}, {36867: "2024:13:40 99:00:00"}],
)
def test_what_is_no_moment_is_none(tmp_path: Path, fields: dict[int, str]) -> None:
    assert moment_taken(jpeg(tmp_path / "a.jpg", fields)) is None


def test_broken_notes_are_none(tmp_path: Path) -> None:
    whole = jpeg(tmp_path / "a.jpg", {36867: "2024:05:06 07:08:09"}).read_bytes()
    start = whole.index(b"Exif\0\0") + 6
    for junk in (b"\xff" * 20, b"MM\0*\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff"):
        path = tmp_path / "b.jpg"
        path.write_bytes(whole[:start] + junk + whole[start + len(junk) :])
        assert moment_taken(path) is None
    (tmp_path / "c.jpg").write_bytes(b"no picture")
    assert moment_taken(tmp_path / "c.jpg") is None
    assert moment_taken(tmp_path / "missing.jpg") is None


def test_odd_decimals_of_seconds_are_left_out(tmp_path: Path) -> None:
    plain = moment_taken(jpeg(tmp_path / "a.jpg", {36867: "2024:05:06 07:08:09"}))
    assert moment_taken(jpeg(tmp_path / "b.jpg", {36867: "2024:05:06 07:08:09", 37521: "x1"})) == plain


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1"])
def test_brightness_is_that_of_the_decoded_picture(tmp_path: Path, mode: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 17, 4), np.uint8)
    pixels[..., 3] |= 1
    Image.fromarray(pixels).convert(mode).save(tmp_path / "a.png")
    assert np.array_equal(decode_grey(tmp_path / "a.png"), grey(decode(tmp_path / "a.png")))


def test_rescaling_keeps_the_scale_exact() -> None:
    ramp = np.tile(np.linspace(0, 250, 501).astype(np.uint8), (40, 1))
    for width in (501, 480, 463):
        small = rescale(ramp[:, :width], 0.6)
        assert small.shape == (24, int(width * 0.6))
        slope = np.polyfit(np.arange(10, small.shape[1] - 10), small[12, 10:-10].astype(float), 1)[0]
        assert slope == pytest.approx(0.5 / 0.6, rel=2e-3)
    assert rescale(ramp, 1) is ramp
    assert rescale(ramp, 1e-6).shape == (1, 1)
    assert shrink(ramp, (7, 9)).shape == (7, 9)
