"""Tiles cover all of an image, and their maps come back together without a seam."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kizu.core.errors import ScoreError
from kizu.core.types import Scores
from kizu.imaging.placement import PlacementConfig, map_back, place
from kizu.imaging.tiling import TiledScorer, as_seen, cut, stitch, tile_corners, tiles_per_image

CONFIGS = [
    PlacementConfig(image_size=(16, 16), resize=(40, 56), tile_overlap=0.25),
    PlacementConfig(image_size=(16, 24), resize=(16, 25), tile_overlap=0.0),
    PlacementConfig(image_size=(16, 16), resize=(33, 16), tile_overlap=0.75),
    PlacementConfig(image_size=(16, 16), resize=(16, 16), tile_overlap=0.5),
]


class Red:
    """An image's red channel is its map."""

    def score(self, images):
        maps = images[..., 0].astype(np.float32)
        return Scores(maps.mean(axis=(1, 2)), maps)


@pytest.mark.parametrize("config", CONFIGS)
def test_tiles_cover_the_image_and_overlap_as_asked(config):
    h, w = config.image_size
    seen = np.zeros(config.seen_hw, int)
    corners = tile_corners(config)
    assert tiles_per_image(config) == len(corners)
    for top, left in corners:
        assert top + h <= seen.shape[0]
        assert left + w <= seen.shape[1]
        seen[top : top + h, left : left + w] += 1
    assert seen.min() == 1 or min(config.seen_hw) == min(config.image_size)
    for axis, tile in enumerate(config.image_size):
        starts = sorted({corner[axis] for corner in corners})
        assert all(b - a <= tile * (1 - config.tile_overlap) for a, b in itertools.pairwise(starts))


@settings(max_examples=300, deadline=None)
@given(
    tile=st.integers(16, 300),
    beyond=st.integers(0, 1500),
    overlap=st.one_of(st.floats(0, 0.75), st.sampled_from([0.0, 0.1, 0.2, 0.25, 0.3, 1 / 3, 0.5, 0.7, 0.75])),
)
def test_neighbours_overlap_by_no_less_than_asked_and_no_tile_is_too_many(
    tile: int, beyond: int, overlap: float
) -> None:
    config = PlacementConfig(image_size=(tile, tile), resize=(tile + beyond, tile), tile_overlap=overlap)
    starts = [top for top, _ in tile_corners(config)]
    assert (starts[0], starts[-1]) == (0, beyond)
    for before, after in itertools.pairwise(starts):
        assert before < after
        assert tile - (after - before) >= tile * overlap - 1e-6
    one_less = len(starts) - 2  # steps; in whole pixels these would not reach
    assert one_less < 0 or one_less * int(tile * (1 - overlap) + 1e-9) < beyond


@pytest.mark.parametrize(("tile", "side"), [(255, 1020), (101, 252), (33, 82)])
def test_where_a_step_is_no_whole_number_it_is_the_lower_one(tile: int, side: int) -> None:
    """Rounded to the nearest some neighbours overlapped by a pixel less than asked."""
    config = PlacementConfig(image_size=(tile, tile), resize=(side, tile), tile_overlap=0.25)
    starts = [top for top, _ in tile_corners(config)]
    assert max(after - before for before, after in itertools.pairwise(starts)) <= 0.75 * tile


@pytest.mark.parametrize("config", CONFIGS)
def test_maps_that_agree_are_stitched_to_what_was_cut(config):
    images = np.random.default_rng(0).integers(0, 256, (3, *config.seen_hw, 3), np.uint8)
    tiles = cut(images, config)
    assert tiles.shape == (3 * tiles_per_image(config), *config.image_size, 3)
    whole = stitch(tiles[..., 0].astype(np.float32), config)
    np.testing.assert_allclose(whole, images[..., 0], atol=1e-3)
    scores = TiledScorer(Red(), config).score(images)
    np.testing.assert_allclose(scores.image, images[..., 0].max(axis=(1, 2)), atol=1e-3)


def test_maps_that_disagree_are_blended_without_a_step():
    config = PlacementConfig(image_size=(16, 16), resize=(16, 28), tile_overlap=0.25)
    assert tile_corners(config) == [(0, 0), (0, 12)]
    whole = stitch(np.stack([np.zeros((16, 16), np.float32), np.full((16, 16), 8, np.float32)]), config)[0]
    assert (whole[:, :12] == 0).all()
    assert (whole[:, 16:] == 8).all()
    middle = whole[8, 11:17]
    assert (np.diff(middle) > 0).all()
    assert np.diff(middle).max() < 2.5


def test_without_tiles_nothing_changes():
    config = PlacementConfig(image_size=(16, 16), resize=(20, 20))
    images = np.zeros((2, 16, 16, 3), np.uint8)
    assert cut(images, config) is images
    scorer = Red()
    assert as_seen(scorer, config) is scorer
    assert config.seen_hw == (16, 16)


def test_a_tiled_image_is_placed_whole_and_mapped_back_whole():
    config = CONFIGS[0]
    image = np.random.default_rng(1).integers(0, 256, (80, 112, 3), np.uint8)
    assert place(image, config).shape == (40, 56, 3)
    net_map = np.arange(40 * 56, dtype=np.float32).reshape(40, 56)
    back = map_back(net_map, (80, 112), config)
    assert back.shape == (80, 112)
    assert back[0, 0] == 0
    assert back[-1, -1] == 40 * 56 - 1
    with pytest.raises(ScoreError, match="images must be"):
        TiledScorer(Red(), config).score(np.zeros((1, 16, 16, 3), np.uint8))
