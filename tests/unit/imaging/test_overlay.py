"""Pictures for eyes: they show what they should and never fail on a size."""

import numpy as np
import pytest
from scipy import ndimage

from kizu.imaging.overlay import (
    HEAT_TABLE,
    INK,
    RED,
    TRUE,
    banner,
    between,
    blend,
    contact_sheet,
    contour_layer,
    draw_contours,
    heat_layer,
    heat_overlay,
    line_width_px,
    scale_bar,
)

SIZES = [(1, 1), (1, 40), (3, 2), (33, 500), (400, 300)]


def grey(hw: tuple[int, int], value: int = 120) -> np.ndarray:
    return np.full((*hw, 3), value, dtype=np.uint8)


def test_heat_rises_in_lightness_all_the_way() -> None:
    linear = np.where(
        HEAT_TABLE / 255 <= 0.04045, HEAT_TABLE / 255 / 12.92, ((HEAT_TABLE / 255 + 0.055) / 1.055) ** 2.4
    )
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    lightness = np.where(luminance > 216 / 24389, 116 * np.cbrt(luminance) - 16, luminance * 24389 / 27)
    assert (np.diff(lightness[::4]) > 0).all()  # neighbours differ by less than rounding
    assert lightness[-1] - lightness[0] > 65


def test_heat_is_clipped_at_both_ends_and_a_flat_scale_is_a_step() -> None:
    scores = np.array([[-5, 1, 2, 3, 99]], dtype=np.float32)
    assert between(scores, 1, 3)[0].tolist() == [0, 0, 0.5, 1, 1]
    assert between(scores, 2, 2)[0].tolist() == [0, 0, 0, 1, 1]


def test_blending_mixes_by_alpha() -> None:
    low, high = grey((2, 2), 0), grey((2, 2), 200)
    assert blend(low, high, 0.0).max() == 0
    assert blend(low, high, 1.0).min() == 200
    assert blend(low, high, np.array([[0, 1], [0.5, 0.25]], np.float32))[..., 0].tolist() == [
        [0, 200],
        [100, 50],
    ]


def test_an_overlay_leaves_the_normal_part_of_the_photograph_as_it_is() -> None:
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    scores = np.zeros((30, 40), np.float32)
    scores[10:15, 10:15] = 3
    drawn = heat_overlay(image, scores, 1, 3)
    changed = (drawn != image).any(axis=2)
    assert changed[10:15, 10:15].mean() > 0.9
    assert changed.sum() <= 25


def test_a_contour_surrounds_the_region_and_spares_its_inside() -> None:
    mask = np.zeros((60, 80), bool)
    mask[20:30, 20:50] = True
    drawn = draw_contours(grey((60, 80)), mask, RED, width=2)
    assert (drawn[mask] == 120).all()
    assert (drawn[18:20, 20:50] == RED).all()
    assert (drawn[:16] == 120).all()
    assert (drawn == RED).all(axis=2).sum() >= 2 * (10 + 30) * 2


@pytest.mark.parametrize("width", [1, 2, 3, 5])
@pytest.mark.parametrize("seed", range(4))
def test_a_contour_is_what_lies_within_its_width_of_the_flaw_and_a_dark_rim_beyond_it(
    seed: int, width: int
) -> None:
    rng = np.random.default_rng(seed)
    mask = ndimage.zoom(rng.random((6, 8)) > 0.85, 7, order=0)  # squares, some at the border of the picture
    mask[0, 0] = mask[-1, -1] = mask[20, 30] = True
    flawed = np.argwhere(mask)
    distance = np.array(
        [[np.sqrt(((flawed - at) ** 2).sum(axis=1).min()) for at in row] for row in grid(mask)]
    )
    drawn = draw_contours(grey(mask.shape), mask, RED, width=width)
    expected = grey(mask.shape)
    expected[(distance > 0) & (distance <= width + max(1, width // 2))] = INK
    expected[(distance > 0) & (distance <= width)] = RED
    np.testing.assert_array_equal(drawn, expected)


def grid(mask: np.ndarray) -> np.ndarray:
    """(H, W, 2): each pixel's own place."""
    return np.moveaxis(np.indices(mask.shape), 0, -1)


@pytest.mark.parametrize(("hw", "width"), [((1, 1), 1), ((224, 900), 1), ((226, 300), 2), ((900, 600), 4)])
def test_a_line_is_a_hundred_and_fiftieth_of_the_shorter_side(hw: tuple[int, int], width: int) -> None:
    assert line_width_px(grey(hw)) == width
    mask = np.zeros(hw, bool)
    mask[hw[0] // 2, hw[1] // 2] = True
    assert (draw_contours(grey(hw), mask) == draw_contours(grey(hw), mask, width=width)).all()


def test_contours_of_neighbours_do_not_hide_each_other() -> None:
    mask = np.zeros((20, 40), bool)
    mask[8:12, 5:10] = mask[8:12, 14:20] = True
    drawn = draw_contours(grey((20, 40)), mask, RED, width=2)
    assert (drawn[8:12, 10:14] == RED).all()


@pytest.mark.parametrize("hw", SIZES)
def test_any_size_can_be_drawn_on_and_is_not_changed_in_place(hw: tuple[int, int]) -> None:
    image, everywhere = grey(hw), np.ones(hw, bool)
    assert draw_contours(image, everywhere).shape == image.shape
    assert draw_contours(image, ~everywhere).shape == image.shape
    assert heat_overlay(image, everywhere.astype(np.float32), 0, 1).shape == image.shape
    assert banner(image, "NG 3.21 > 2.90", RED).shape[1] == hw[1]
    assert (image == 120).all()


@pytest.mark.parametrize("width", [1, 3, 12, 96, 640])
def test_a_scale_bar_fits_every_width_and_shows_the_colours_from_low_to_high(width: int) -> None:
    strip = scale_bar(width, 2)
    assert strip.shape[1:] == (width, 3)
    if width >= 96:
        row = strip[strip.shape[0] // 2]
        at = [int(np.flatnonzero((row == HEAT_TABLE[index]).all(axis=1))[0]) for index in (0, 255)]
        assert at[1] - at[0] == width // 3 - 1
    assert ((strip < 100).all(axis=2).sum() > 100) == (width == 640)  # the words, where there is room


def test_a_layer_of_contours_laid_over_is_what_contours_are() -> None:
    rng = np.random.default_rng(1)
    image, mask = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8), np.zeros((60, 80), bool)
    mask[20:30, 20:50] = mask[58:, 70:] = True
    layer = contour_layer(mask, TRUE, 2)
    over = np.where(layer[..., 3:] > 0, layer[..., :3], image)
    assert np.array_equal(over, draw_contours(image, mask, TRUE, 2))
    assert contour_layer(~mask & mask, TRUE).max() == 0


def test_a_layer_of_heat_laid_over_is_what_heat_is() -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    scores = rng.random((40, 50)).astype(np.float32)
    layer = heat_layer(scores, 0.4, 0.8)
    over = blend(image, layer[..., :3], layer[..., 3] / np.float32(255))
    assert np.abs(over.astype(int) - heat_overlay(image, scores, 0.4, 0.8)).max() <= 1
    assert (layer[scores <= np.float32(0.4)][:, 3] == 0).all()


def test_a_banner_sits_on_top_and_says_something() -> None:
    image = grey((200, 300))
    drawn = banner(image, "NG 3.21 > 2.90", RED)
    strip = drawn[:-200]
    assert np.array_equal(drawn[-200:], image)
    assert (strip[0, 0] == RED).all()
    assert (strip > 240).all(axis=2).sum() > 50  # white letters


def test_a_contact_sheet_has_a_place_for_each_tile() -> None:
    tiles = [grey(hw, 10) for hw in SIZES]
    sheet = contact_sheet(
        tiles, columns=3, captions=["a/very/long/path/to/an/image/of/a/part.png"] * 5, tile_px=48
    )
    plain = contact_sheet(tiles, columns=3, tile_px=48)
    assert sheet.shape[1] == plain.shape[1] == 3 * 50 + 2
    assert plain.shape[0] == 2 * 50 + 2
    assert sheet.shape[0] > plain.shape[0]
    assert contact_sheet(tiles[:1], columns=9, tile_px=48).shape == (52, 52, 3)


def test_a_contact_sheet_needs_tiles_and_matching_captions() -> None:
    with pytest.raises(ValueError, match="0 tiles"):
        contact_sheet([], 3)
    with pytest.raises(ValueError, match="1 captions"):
        contact_sheet([grey((2, 2))] * 2, 3, ["one"])


@pytest.mark.parametrize("share", [0.0, 0.0005, 0.01, 0.3, 0.999, 1.0])
@pytest.mark.parametrize(
    ("hw", "width"), [((60, 90), 1), ((61, 40), 7), ((5, 200), 30), ((300, 7), 200), ((1, 1), 3)]
)
def test_contours_are_those_of_an_exact_distance_whatever_is_in_the_mask(
    share: float, hw: tuple[int, int], width: int
) -> None:
    rng = np.random.default_rng(0)
    mask = rng.random(hw) < share
    image = rng.integers(0, 256, (*hw, 3), dtype=np.uint8)
    distance = ndimage.distance_transform_edt(~mask) if mask.any() else np.full(hw, np.inf)
    expected = image.copy()
    expected[(distance > width) & (distance <= width + max(1, width // 2))] = INK
    expected[(distance > 0) & (distance <= width)] = RED
    assert np.array_equal(draw_contours(image, mask, width=width), expected)


def test_heat_is_the_same_however_much_of_the_image_is_hot() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (200, 300, 3), dtype=np.uint8)  # more than one piece of work
    scores = rng.random((200, 300)).astype(np.float32)
    part = between(scores, 0.2, 0.8)
    heat = HEAT_TABLE[np.rint(part * 255).astype(int)]
    expected = np.where(
        (scores > np.float32(0.2))[..., None], blend(image, heat, 0.35 + part * np.float32(0.4)), image
    )
    assert np.array_equal(heat_overlay(image, scores, 0.2, 0.8), expected)
