"""What is placed comes back to where it was."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kizu.core.errors import ConfigError
from kizu.core.types import F32, HW
from kizu.imaging.placement import PlacementConfig, map_back, place, seen_part

SIDES = st.integers(1, 90)


def map_back_by_pixel(score_map: F32, image_hw: HW, config: PlacementConfig) -> np.ndarray:
    """The slow obvious way: each pixel asks where it lies on the map."""
    (height, width), (top, left), (h, w) = config.resized_hw, config.crop_offset, config.image_size
    grid_h, grid_w = score_map.shape
    out = np.zeros(image_hw)
    for y in range(image_hw[0]):
        for x in range(image_hw[1]):
            v = (y + 0.5) * height / image_hw[0] - top
            u = (x + 0.5) * width / image_hw[1] - left
            if not (0 <= v <= h and 0 <= u <= w):
                continue
            i, j = v * grid_h / h - 0.5, u * grid_w / w - 0.5
            i, j = min(max(i, 0), grid_h - 1), min(max(j, 0), grid_w - 1)
            i0, j0 = int(i), int(j)
            i1, j1 = min(i0 + 1, grid_h - 1), min(j0 + 1, grid_w - 1)
            a, b = i - i0, j - j0
            upper = score_map[i0, j0] * (1 - b) + score_map[i0, j1] * b
            lower = score_map[i1, j0] * (1 - b) + score_map[i1, j1] * b
            out[y, x] = upper * (1 - a) + lower * a
    return out


@given(SIDES, SIDES, SIDES, SIDES, st.integers(0, 12), st.integers(0, 12))
@settings(max_examples=60, deadline=None)
def test_map_back_agrees_with_asking_each_pixel(h: int, w: int, H: int, W: int, dy: int, dx: int) -> None:
    config = PlacementConfig(image_size=(h, w), resize=(h + dy, w + dx))
    score_map = np.random.default_rng(h * 91 + w).random((h, w), dtype=np.float32) + 1
    back = map_back(score_map, (H, W), config)
    assert back.dtype == np.float32
    assert back.shape == (H, W)
    assert np.allclose(back, map_back_by_pixel(score_map, (H, W), config), atol=1e-4)
    assert back.max(initial=0) <= score_map.max()


def test_a_coarse_map_covers_the_same_field() -> None:
    config = PlacementConfig(image_size=(64, 96), resize=(70, 100))
    coarse = np.random.default_rng(0).random((8, 12), dtype=np.float32)
    assert np.allclose(
        map_back(coarse, (37, 53), config), map_back_by_pixel(coarse, (37, 53), config), atol=1e-5
    )


def test_a_map_at_the_image_s_own_size_comes_back_unchanged() -> None:
    score_map = np.random.default_rng(0).random((33, 47), dtype=np.float32)
    assert np.array_equal(map_back(score_map, (33, 47), PlacementConfig(image_size=(33, 47))), score_map)


@pytest.mark.parametrize("image_hw", [(301, 257), (97, 640), (1000, 333)])
def test_a_painted_square_is_found_in_place(image_hw: HW) -> None:
    config = PlacementConfig(image_size=(128, 96))
    top, left, side = int(image_hw[0] * 0.6), int(image_hw[1] * 0.25), min(image_hw) // 6
    image = np.zeros((*image_hw, 3), dtype=np.uint8)
    image[top : top + side, left : left + side] = 255
    as_map = place(image, config)[..., 0].astype(np.float32)
    found = np.argwhere(map_back(as_map, image_hw, config) > 127)
    one_network_pixel = np.divide(image_hw, config.resized_hw)
    corners = np.array([found.min(axis=0), found.max(axis=0)])
    assert (np.abs(corners - [[top, left], [top + side - 1, left + side - 1]]) <= one_network_pixel).all()


def test_the_crop_is_cut_exactly_from_the_centre() -> None:
    image = np.arange(20 * 31 * 3, dtype=np.uint16).reshape(20, 31, 3).astype(np.uint8)
    config = PlacementConfig(image_size=(11, 16), resize=(20, 31))
    assert config.crop_offset == (4, 7)
    assert np.array_equal(place(image, config), image[4:15, 7:23])
    back = map_back(np.ones((11, 16), np.float32), (20, 31), config)
    assert np.array_equal(np.argwhere(back > 0).min(axis=0), [4, 7])
    assert np.array_equal(np.argwhere(back > 0).max(axis=0), [14, 22])
    assert back.sum() == 11 * 16


def test_what_the_crop_left_out_is_zero() -> None:
    config = PlacementConfig(image_size=(50, 50), resize=(100, 100))
    back = map_back(np.full((50, 50), 7, np.float32), (200, 200), config)
    assert back[:50].max() == 0
    assert back[:, 150:].max() == 0
    assert back[50:150, 50:150].min() == 7


@pytest.mark.parametrize("hw", [(1, 1), (1, 300), (4000, 2), (255, 257)])
def test_any_size_is_placed_and_comes_back(hw: HW) -> None:
    config = PlacementConfig(image_size=(32, 48), resize=(40, 56))
    image = np.full((*hw, 3), 99, dtype=np.uint8)
    placed = place(image, config)
    assert placed.shape == (32, 48, 3)
    assert placed.flags.c_contiguous
    assert (placed == 99).all()
    assert map_back(np.ones((32, 48), np.float32), hw, config).shape == hw


def test_shrinking_does_not_alias() -> None:
    stripes = np.zeros((256, 256, 3), dtype=np.uint8)
    stripes[::2] = 255
    for resample in ("bilinear", "bicubic"):
        placed = place(stripes, PlacementConfig(image_size=(64, 64), resample=resample))
        assert np.abs(placed[4:-4].astype(int) - 127).max() <= 2


def test_an_image_of_the_right_size_is_not_touched() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 41, 3), dtype=np.uint8)
    assert np.array_equal(place(image, PlacementConfig(image_size=(40, 41))), image)


def test_one_number_is_a_square_and_nonsense_is_refused() -> None:
    assert PlacementConfig.parse({"image_size": 224, "resize": 256}, where="test").resized_hw == (256, 256)
    for values in (
        {"image_size": 0},
        {"image_size": [256, 256], "resize": [255, 300]},
        {"crop": 3},
        {"image_size": 9e9},
    ):
        with pytest.raises(ConfigError):
            PlacementConfig.parse(values, where="test")


def test_a_config_survives_json() -> None:
    config = PlacementConfig(image_size=(256, 384), resize=(300, 400), resample="bicubic")
    assert PlacementConfig.parse(config.model_dump(mode="json"), where="test") == config


@pytest.mark.parametrize("image_hw", [(70, 100), (140, 300), (33, 41)])
def test_the_part_that_is_looked_at_is_where_the_map_is_not_zero(image_hw: tuple[int, int]) -> None:
    config = PlacementConfig(image_size=(32, 64), resize=(70, 100))
    seen = np.zeros(image_hw, bool)
    seen[seen_part(image_hw, config)] = True
    np.testing.assert_array_equal(seen, map_back(np.ones((4, 8), np.float32), image_hw, config) > 0)


def test_a_crop_is_told_and_a_whole_picture_is_not() -> None:
    assert PlacementConfig(image_size=(64, 64)).tell_crop() is None
    assert PlacementConfig(image_size=(64, 64), resize=(128, 128), tile_overlap=0.0).tell_crop() is None
    told = PlacementConfig(image_size=(50, 50), resize=(100, 100)).tell_crop()
    assert told == (
        "of each picture only the centre is looked at, 50 x 50 of 100 x 100: a flaw in the other 75% passes"
    )
