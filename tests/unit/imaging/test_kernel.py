"""The kernel as it is written down is the one that is used."""

import numpy as np
import pytest

import kizu.imaging.kernel as module
from kizu.core.errors import ConfigError
from kizu.imaging.kernel import kernel
from kizu.imaging.placement import PlacementConfig, place

SIZES = [
    (64, 96),
    (65, 96),
    (64, 97),
    (130, 200),
    (200, 131),
    (383, 579),
    (700, 123),
    (20, 31),
    (64, 400),
    (640, 97),
]
"""Nothing to do, one side only, down, more in boxes, up, and mixed."""
PLACEMENTS = [
    PlacementConfig(image_size=(64, 96)),
    PlacementConfig(image_size=(64, 96), resample="bicubic"),
    PlacementConfig(image_size=(60, 80), resize=(64, 97)),
    PlacementConfig(image_size=(32, 48), resize=(64, 96), tile_overlap=0.25),
]


@pytest.mark.parametrize("hw", SIZES)
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_it_gives_every_byte_that_place_gives(hw: tuple[int, int], placement: PlacementConfig) -> None:
    how = kernel(hw, placement)
    rng = np.random.default_rng(3)
    pictures = [
        rng.integers(0, 256, (*hw, 3), np.uint8),
        rng.integers(0, 2, (*hw, 3), np.uint8) * np.uint8(255),  # bicubic goes beyond 0 and 255
        np.full((*hw, 3), 255, np.uint8),
        np.full((*hw, 3), 100, np.uint8),
    ]
    for picture in pictures:
        np.testing.assert_array_equal(how(picture), place(picture, placement))


def test_weights_are_whole_and_add_up() -> None:
    how = kernel((130, 200), PlacementConfig(image_size=(64, 96)))
    assert how.rows is not None
    assert how.rows.shape == (64, 130)
    assert np.abs(how.rows.sum(axis=1) - (1 << 22)).max() <= 8
    assert how.factors == (1, 1)
    assert kernel((383, 579), PlacementConfig(image_size=(64, 96))).factors == (1, 2)


def test_another_kernel_of_pillow_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "place", lambda image, config: place(image, config) ^ np.uint8(1))
    with pytest.raises(ConfigError, match="not known to the last bit"):
        kernel((130, 200), PlacementConfig(image_size=(64, 96)))
