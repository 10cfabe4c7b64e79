"""Which shape an input gets: by hand, and by trying all sizes."""

import math

import pytest

from kizu.core.errors import ConfigError
from kizu.imaging.sizing import common_aspect, fit_size, kept_aspect


def test_a_shape_is_shared_where_nine_in_ten_pictures_have_it_nearly() -> None:
    assert common_aspect([(100, 250)] * 9 + [(100, 90)]) == pytest.approx(2.5)
    assert common_aspect([(100, 250)] * 8 + [(100, 90)] * 2) is None
    assert common_aspect([(100, 230), (100, 250), (100, 270)]) == pytest.approx(2.5)
    assert common_aspect([(300, 100), (100, 300)]) is None
    assert common_aspect([]) is None


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(500, 1250)], 2.5),
        ([(1250, 500)], 0.4),
        ([(100, 200)], 2.0),
        ([(200, 399)], 1.995),  # a pixel short of twice
        ([(200, 300)], 1.0),
        ([(300, 200)], 1.0),
        ([(640, 640)], 1.0),
        ([(100, 300), (300, 100)], 1.0),
        ([], 1.0),
    ],
)
def test_elongated_shapes_are_kept_and_compact_ones_become_squares(
    sizes: list[tuple[int, int]], expected: float
) -> None:
    assert kept_aspect(sizes) == pytest.approx(expected)


@pytest.mark.parametrize("step", [8, 14, 16])
@pytest.mark.parametrize("pixels", [36864, 65536, 262144])
@pytest.mark.parametrize("aspect", [1.0, 2.0, 0.4, 3.0, 1 / 7])
def test_a_size_is_of_whole_patches_within_the_pixels_and_of_the_shape(
    aspect: float, pixels: int, step: int
) -> None:
    height, width = fit_size(aspect, pixels, step)
    assert height % step == width % step == 0
    assert 0.7 * pixels <= height * width <= pixels
    assert abs(math.log(width / height / aspect)) < 0.25

    def off(size: tuple[int, int]) -> float:
        return 2 * abs(math.log(size[1] / size[0] / aspect)) + math.log(pixels / (size[0] * size[1]))

    every = range(2 * step, 2000, step)
    best = min(off((h, w)) for h in every for w in every if h * w <= pixels)
    assert off((height, width)) == pytest.approx(best, abs=1e-9)


def test_the_size_of_a_square_at_the_default_is_what_it_always_was() -> None:
    assert fit_size(1.0, 256 * 256, 16) == (256, 256)
    assert fit_size(1.0, 256 * 256, 14) == (252, 252)
    assert fit_size(0.4, 256 * 256, 16) == (400, 160)


def test_too_few_pixels_are_refused_with_the_number_that_would_do() -> None:
    with pytest.raises(ConfigError, match="300 pixels are too few") as refused:
        fit_size(1.0, 300, 16)
    assert refused.value.hint == "give at least 1024"
    assert fit_size(1.0, 1024, 16) == (32, 32)
    assert fit_size(9.0, 1024, 16) == (32, 32)
