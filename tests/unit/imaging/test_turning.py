"""Images turned about their centre."""

import numpy as np
import pytest

from kizu.imaging.turning import turn


def noise(height, width):
    return np.random.default_rng(0).integers(0, 256, (2, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("quarters", range(-4, 5))
def test_quarter_turns_of_squares_move_pixels_and_change_none(quarters):
    images = noise(12, 12)
    np.testing.assert_array_equal(turn(images, 90.0 * quarters), np.rot90(images, quarters, axes=(1, 2)))


def test_a_half_turn_of_any_shape_does_too():
    images = noise(10, 14)
    np.testing.assert_array_equal(turn(images, 180), images[:, ::-1, ::-1])


def test_nothing_is_done_to_what_is_not_turned():
    images = noise(10, 14)
    np.testing.assert_array_equal(turn(images, 0), images)
    np.testing.assert_array_equal(turn(images, 360), images)


def test_a_quarter_turn_of_a_long_image_keeps_its_shape_and_turns_its_middle():
    images = noise(11, 15)
    found = turn(images, 90)
    assert found.shape == images.shape
    np.testing.assert_array_equal(
        found[:, :, 2:13], np.rot90(images[:, :, 2:13], axes=(1, 2))[:, :11, :][:, :, :11]
    )


@pytest.mark.parametrize("degrees", [15, 45, 77, 200, 301])
def test_a_spot_goes_round_the_centre_counter_clockwise(degrees):
    side, radius, start = 101, 30, 20
    image = np.zeros((1, side, side, 3), np.uint8)

    def place(angle):
        turned = np.radians(angle)  # rows go down
        return round(50 - radius * np.sin(turned)), round(50 + radius * np.cos(turned))

    y, x = place(start)
    image[0, y - 2 : y + 3, x - 2 : x + 3] = 200
    found = turn(image, degrees)[0, ..., 0].astype(float)
    rows, columns = np.indices(found.shape)
    centre = (rows * found).sum() / found.sum(), (columns * found).sum() / found.sum()
    np.testing.assert_allclose(centre, place(start + degrees), atol=1)


@pytest.mark.parametrize("degrees", [7, 45, 123])
def test_corners_have_no_colour_of_their_own(degrees):
    assert (turn(np.full((1, 9, 17, 3), 137, np.uint8), degrees) == 137).all()


def test_turning_and_turning_back_gives_the_middle_of_a_smooth_image_again():
    y, x = np.mgrid[:64, :64]
    image = np.repeat((120 + 60 * np.sin(y / 9) * np.cos(x / 7))[None, ..., None], 3, axis=3).astype(np.uint8)
    back = turn(turn(image, 33), -33)
    inside = (y - 31.5) ** 2 + (x - 31.5) ** 2 < 25**2
    assert np.abs(back.astype(int) - image)[0][inside].max() <= 4
