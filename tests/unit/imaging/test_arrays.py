"""Arrays of other libraries and cameras become RGB by what is said of them, never by a guess."""

import numpy as np
import pytest

from kizu.core.errors import ImageError
from kizu.core.types import U8
from kizu.imaging.arrays import array_to_rgb
from kizu.imaging.codec import to_rgb
from kizu.imaging.scale import Scale

PATTERNS = ("RGGB", "BGGR", "GRBG", "GBRG")


@pytest.fixture
def picture() -> U8:
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def test_blue_first_and_planes_and_strides_give_the_same_picture(picture: U8) -> None:
    alpha = np.dstack([picture, np.full((20, 30), 128, np.uint8)])
    blue_first = np.ascontiguousarray(picture[..., ::-1])
    wide = np.repeat(np.repeat(picture, 2, axis=0), 3, axis=1)
    assert np.array_equal(array_to_rgb(picture), picture)
    assert np.array_equal(array_to_rgb(blue_first, order="BGR"), picture)
    assert np.array_equal(array_to_rgb(picture.transpose(2, 0, 1), is_planar=True), picture)
    assert np.array_equal(array_to_rgb(blue_first.transpose(2, 0, 1), is_planar=True, order="BGR"), picture)
    assert np.array_equal(array_to_rgb(wide[::2, ::3]), picture)
    assert np.array_equal(array_to_rgb(np.asfortranarray(picture)), picture)
    assert np.array_equal(array_to_rgb(picture[::-1, ::-1])[::-1, ::-1], picture)
    assert np.array_equal(array_to_rgb(alpha[..., [2, 1, 0, 3]], order="BGR"), to_rgb(alpha))
    assert np.array_equal(array_to_rgb(picture[..., 0][None], is_planar=True), to_rgb(picture[..., 0]))
    assert array_to_rgb(picture[::-1]).flags.c_contiguous


def through(picture: np.ndarray, pattern: str) -> np.ndarray:
    """(H, W): what a camera behind the filter sees."""
    seen = np.empty(picture.shape[:2], picture.dtype)
    for place, colour in enumerate(pattern):
        rows, columns = slice(place // 2, None, 2), slice(place % 2, None, 2)
        seen[rows, columns] = picture[rows, columns, "RGB".index(colour)]
    return seen


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("size", [(2, 2), (8, 9), (7, 12)])
def test_behind_a_colour_filter_flat_colours_come_back(pattern: str, size: tuple[int, int]) -> None:
    flat = np.full((*size, 3), (200, 90, 10), np.uint8)
    assert np.array_equal(array_to_rgb(through(flat, pattern), pattern=pattern), flat)
    deep = flat.astype(np.uint16) * 16
    scale = Scale.model_validate({"bits": 12})
    assert np.array_equal(array_to_rgb(through(deep, pattern), pattern=pattern, scale=scale), flat)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_what_a_pixel_did_not_see_is_the_mean_of_its_nearest_neighbours_that_did(
    picture: U8, pattern: str
) -> None:
    seen = through(picture, pattern)
    found = array_to_rgb(seen, pattern=pattern).astype(float)
    colours = np.array([[pattern[2 * (y % 2) + x % 2] for x in range(30)] for y in range(20)])
    for y in range(1, 19):
        for x in range(1, 29):
            for channel, colour in enumerate("RGB"):
                near = [(y + dy, x + dx, dy * dy + dx * dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
                right = [(seen[a, b], far) for a, b, far in near if colours[a, b] == colour]
                nearest = min(far for _, far in right)
                mean = np.mean([float(value) for value, far in right if far == nearest])
                assert abs(found[y, x, channel] - mean) <= 0.5


@pytest.mark.parametrize(
    ("shape", "said", "options"),
    [
        ((4, 4), "BGR", {"order": "BGR"}),
        ((3, 8, 8), "is_planar", {"order": "BGR"}),
        ((8, 8, 3), "planar", {"is_planar": True}),
        ((8, 8, 3), "colour filter", {"pattern": "RGGB"}),
        ((8, 1), "2 x 2", {"pattern": "RGGB"}),
        ((8, 8), "'RGB'", {"pattern": "RGB"}),
        ((8, 8, 3), "'GBR'", {"order": "GBR"}),
        ((8, 8), "leave one out", {"pattern": "RGGB", "order": "BGR"}),
    ],
)
def test_a_wrong_shape_or_word_is_named(
    shape: tuple[int, ...], said: str, options: dict[str, object]
) -> None:
    with pytest.raises(ImageError) as caught:
        array_to_rgb(np.zeros(shape, np.uint8), **options)
    assert said in str(caught.value)
