"""The same picture is known whatever its file is called and however it is packed; one that looks alike is another."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.support import part_picture, with_flaw

from kizu.core.errors import ImageError
from kizu.core.hashing import hash_file
from kizu.core.types import U8
from kizu.data.manifest import Sample
from kizu.data.marks import APART, CLOSE, ImageMark, find_alike, find_shared, mark_images
from kizu.imaging.codec import decode, encode_jpeg, encode_png


def mark(*paths: Path) -> tuple[ImageMark, ...]:
    return mark_images([Sample(path.name, path, sha256=hash_file(path)) for path in paths])


def scene(seed: int, side: int = 96) -> U8:
    """A picture that is like no other: soft shapes at random places."""
    rng = np.random.default_rng(seed)
    coarse = np.clip(rng.integers(40, 216, (6, 6, 1)) + rng.integers(-9, 10, (6, 6, 3)), 0, 255).astype(
        np.uint8
    )
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


def test_a_picture_packed_anew_without_loss_has_the_same_pixels(tmp_path: Path) -> None:
    encode_jpeg(tmp_path / "a.jpg", scene(0))
    pixels = decode(tmp_path / "a.jpg")
    encode_png(tmp_path / "b.png", pixels)
    Image.fromarray(pixels).save(tmp_path / "c.bmp")
    Image.fromarray(pixels).save(tmp_path / "d.tif")
    turned = Image.fromarray(np.rot90(pixels, 1).copy())
    exif = Image.Exif()
    exif[274] = 6  # to be turned back by whoever shows it
    turned.save(tmp_path / "e.png", exif=exif)
    first, *others = mark(*(tmp_path / name for name in ("a.jpg", "b.png", "c.bmp", "d.tif", "e.png")))
    assert {other.pixels for other in others} == {first.pixels}
    assert len({other.sha256 for other in (first, *others)}) == 5
    shared = find_shared([first], others)
    assert (shared.pairs, shared.part) == ((("a.jpg", "b.png"),), 1.0)


def test_grey_and_colour_of_the_same_numbers_are_one_picture(tmp_path: Path) -> None:
    grey = scene(0)[..., 0]
    encode_png(tmp_path / "grey.png", grey)
    encode_png(tmp_path / "rgb.png", np.repeat(grey[..., None], 3, axis=2))
    first, second = mark(tmp_path / "grey.png", tmp_path / "rgb.png")
    assert first.pixels == second.pixels


def test_one_number_makes_another_picture(tmp_path: Path) -> None:
    picture = scene(0)
    encode_png(tmp_path / "a.png", picture)
    other = picture.copy()
    other[5, 7, 1] ^= 1
    encode_png(tmp_path / "b.png", other)
    encode_png(tmp_path / "c.png", picture.reshape(48, 192, 3))  # the same numbers in another shape
    deep = picture[..., 0].astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "d.png")
    marks = mark(*(tmp_path / f"{name}.png" for name in "abcd"))
    assert len({found.pixels for found in marks}) == 4
    assert find_shared(marks[:1], marks[1:]).pairs == ()


def test_a_picture_of_one_colour_is_nobodys(tmp_path: Path) -> None:
    for name, value in (("black", 0), ("grey", 128)):
        encode_png(tmp_path / f"{name}.png", np.full((32, 32, 3), value, np.uint8))
    assert mark(tmp_path / "black.png", tmp_path / "grey.png") == ()


def test_a_broken_picture_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.png"
    encode_png(path, scene(0))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ImageError, match=r"broken\.png"):
        mark(path)


def of(number: int, *, file: int | None = None, pixels: int | None = None) -> ImageMark:
    file, pixels = (number if given is None else given for given in (file, pixels))
    return ImageMark(id=f"{number}", sha256=f"f{file}", pixels=f"p{pixels}", look=None)


def test_the_shared_part_is_that_of_the_smaller_side_and_copies_count_once() -> None:
    here = [of(0), of(1), of(2), of(2, file=9), of(3)]
    there = [of(2), of(3, pixels=77), *(of(n) for n in range(10, 30))]
    shared = find_shared(here, there)
    assert shared.pairs == (("2", "2"), ("3", "3"))  # by pixels; by file alone
    assert shared.part == 2 / 4
    assert find_shared(there, here).part == 2 / 4
    assert find_shared(here, []).part == find_shared([], here).part == 0
    assert find_shared(here, here).describe() == "0 is its 0, 1 is its 1, 2 is its 2, and 1 more"


@pytest.mark.parametrize("change", ["jpeg 75", "half as large", "brighter by one"])
def test_what_was_compressed_anew_looks_the_same(tmp_path: Path, change: str) -> None:
    for seed in range(6):
        encode_png(tmp_path / f"a{seed}.png", scene(seed))
    picture = scene(3)
    if change == "half as large":
        picture = np.asarray(Image.fromarray(picture).resize((48, 48), Image.Resampling.BOX))
    if change == "brighter by one":
        picture = np.minimum(picture, 254) + np.uint8(1)
    encode_png(tmp_path / "b1.png", scene(11))
    if change == "jpeg 75":
        encode_jpeg(tmp_path / "b2.png", picture, 75)
    else:
        encode_png(tmp_path / "b2.png", picture)
    there = mark(*(tmp_path / f"a{seed}.png" for seed in range(6)))
    here = mark(tmp_path / "b1.png", tmp_path / "b2.png")
    assert find_shared(here, there).pairs == ()
    assert find_alike(here, there) == (("b2.png", "a3.png"),)
    assert find_alike(there, here) == (("a3.png", "b2.png"),)


def test_parts_that_look_alike_are_not_called_the_same(tmp_path: Path) -> None:
    """Noise apart, these are one picture: within `CLOSE` of each other, and so is every one of its own side."""
    for number in range(12):
        encode_png(tmp_path / f"{number}.png", part_picture(number))
    encode_png(tmp_path / "flawed.png", with_flaw(part_picture(0), 20, 20))
    marks = mark(*(tmp_path / f"{number}.png" for number in range(12)), tmp_path / "flawed.png")
    looks = [np.frombuffer(bytes.fromhex(m.look or ""), np.uint8).astype(float) for m in marks]
    assert np.sqrt(((looks[0] - looks[7]) ** 2).mean()) < 1.5 * CLOSE
    assert find_alike(marks[:6], marks[6:]) == ()
    assert find_alike([marks[-1], marks[1]], marks[:1] + marks[2:6]) == ()


def alike_by_looking(here: list[ImageMark], there: list[ImageMark]) -> set[tuple[str, str]]:
    """As the rule says, pair by pair."""

    def away(one: ImageMark, other: ImageMark) -> float:
        a, b = (np.frombuffer(bytes.fromhex(m.look or ""), np.uint8).astype(float) for m in (one, other))
        return float(np.sqrt(np.mean((a - b) ** 2)))

    found = set()
    for one in here:
        nearest = min(there, key=lambda other: away(one, other))
        own = min(away(one, other) for other in here if other is not one)
        its = min(away(nearest, other) for other in there if other is not nearest)
        if away(one, nearest) <= min(CLOSE, own / APART, its / APART):
            found.add((one.id, nearest.id))
    return found


def test_alike_is_what_the_rule_says() -> None:
    rng = np.random.default_rng(0)
    base = rng.integers(0, 250, (40, 256))
    spread = rng.choice([0, 1, 2, 3, 5], 40)
    sides = []
    for side in "ab":
        looks = (base + rng.integers(0, 1 + spread[:, None], base.shape)).astype(np.uint8)
        looks[30:] = looks[30] + rng.integers(0, 2, (10, 256), dtype=np.uint8)  # a series
        sides.append([
            ImageMark(id=f"{side}{n}", sha256=f"{side}{n}", pixels=f"{side}{n}", look=look.tobytes().hex())
            for n, look in enumerate(looks)
        ])  # fmt: skip
    found = find_alike(*sides)
    assert set(found) == alike_by_looking(*sides)
    assert 5 < len(found) < 30
    assert find_alike(sides[0][:1], sides[1]) == ()  # alone, nobody knows how far apart they are
