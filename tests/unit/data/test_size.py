"""The size that pictures get: what is chosen, and what is told."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kizu.core.errors import ConfigError
from kizu.core.work import Work
from kizu.data.size import MOST_PIXELS, with_size
from kizu.imaging.placement import PlacementConfig

STRIDES = (8, 16)


def told(
    placement: PlacementConfig, hw: tuple[int, int], count: int = 3
) -> tuple[PlacementConfig, list[str]]:
    notes: list[str] = []
    pictures = [np.zeros((*hw, 3), np.uint8) for _ in range(count)]
    return with_size(placement, pictures, STRIDES, Work(on_note=notes.append)), notes


def test_nobody_chose_a_size_so_the_pictures_do() -> None:
    square, notes = told(PlacementConfig(), (480, 640))
    assert (square.image_size, square.pixels, notes) == ((256, 256), None, [])
    tall, notes = told(PlacementConfig(), (1250, 500))
    assert (tall.image_size, tall.pixels) == ((400, 160), None)
    assert notes == [
        "image size 400 x 160 (height x width), the shape of the good pictures; --image-size sets it"
    ]


def test_a_size_that_was_given_holds() -> None:
    given = PlacementConfig(image_size=(320, 320))
    assert told(given, (1250, 500)) == (given, [])
    tiles = PlacementConfig(image_size=(256, 256), resize=(512, 1024), tile_overlap=0.25)
    assert told(tiles, (1250, 500)) == (tiles, [])


def test_shapes_that_differ_are_squeezed_and_it_is_said() -> None:
    notes: list[str] = []
    pictures = [np.zeros((90, 300, 3), np.uint8), np.zeros((300, 90, 3), np.uint8)]
    found = with_size(PlacementConfig(pixels=36864), pictures, STRIDES, Work(on_note=notes.append))
    assert found.image_size == (192, 192)
    assert "many shapes" in notes[0]


def test_files_are_asked_by_their_headers_and_broken_ones_are_passed_over(tmp_path: Path) -> None:
    Image.new("L", (600, 200)).save(tmp_path / "wide.png")
    (tmp_path / "broken.png").write_bytes(b"none")
    found = with_size(PlacementConfig(), [tmp_path / "broken.png", tmp_path / "wide.png"], STRIDES)
    height, width = found.image_size
    assert 2.5 < width / height < 3.5
    assert with_size(PlacementConfig(), [tmp_path / "broken.png"], STRIDES).image_size == (256, 256)


@pytest.mark.parametrize("hw", [(1000, 1000), (600, 1500), (2000, 800), (517, 517)])
@pytest.mark.parametrize("flaw", [6.0, 10.0, 23.0])
def test_the_smallest_flaw_becomes_a_patch_where_it_must_be_found(flaw: float, hw: tuple[int, int]) -> None:
    found, notes = told(PlacementConfig(smallest_flaw_px=flaw), hw)
    scale = min(seen / side for seen, side in zip(found.image_size, hw, strict=True))
    assert flaw * scale >= 8 * 0.9
    assert not any("may pass" in note for note in notes)
    height, width = found.image_size
    assert height * width >= 0.9 * 65536


def test_a_size_that_makes_the_flaw_smaller_than_a_patch_is_told_with_one_that_does_not() -> None:
    given = PlacementConfig(image_size=(256, 256), smallest_flaw_px=8)
    same, notes = told(given, (1280, 1280))
    assert same == given
    assert len(notes) == 1
    assert notes[0].startswith("a flaw of 8 px becomes 1.6 px of the network's input, and a patch is 8 px")
    assert "--image-size 1280x1280 would show it, in 25.0 times the time" in notes[0]
    assert told(PlacementConfig(image_size=(1280, 1280), smallest_flaw_px=8), (1280, 1280))[1] == []
    enough = PlacementConfig(image_size=(256, 256), smallest_flaw_px=40)
    assert told(enough, (1280, 1280)) == (enough, [])


def test_no_more_pixels_are_taken_than_can_be_had_and_it_is_said() -> None:
    found, notes = told(PlacementConfig(smallest_flaw_px=1), (4000, 4000), count=1)
    height, width = found.image_size
    assert 0.9 * MOST_PIXELS < height * width <= MOST_PIXELS
    assert any("may pass" in note for note in notes)


def test_too_few_pixels_are_refused() -> None:
    with pytest.raises(ConfigError, match="too few"):
        told(PlacementConfig(pixels=256), (100, 100))
