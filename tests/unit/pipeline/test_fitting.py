"""The image size that a backbone takes, where nobody chose one."""

import pytest

from kizu.core.errors import ConfigError
from kizu.detectors.base import EmbeddingConfig
from kizu.imaging.placement import PlacementConfig
from kizu.pipeline.fitting import place_for

VIT = EmbeddingConfig(backbone="vit_s14_focus")


def test_a_size_that_the_patches_do_not_cover_becomes_the_nearest_that_they_do_and_that_is_told():
    told: list[str] = []
    found = place_for(VIT, PlacementConfig(resample="bicubic"), on_note=told.append)
    assert found == PlacementConfig(image_size=(252, 252), resample="bicubic")
    assert len(told) == 1
    assert "252 x 252" in told[0]
    assert "vit_s14_focus do not cover 256 x 256" in told[0]


@pytest.mark.parametrize("backbone", ["efficientnet_lite0", "tiny"])
def test_a_size_that_they_cover_stays_without_a_word(backbone):
    told: list[str] = []
    placement = PlacementConfig()
    assert place_for(EmbeddingConfig(backbone=backbone), placement, on_note=told.append) is placement
    assert told == []


def test_a_layer_that_is_not_there_is_refused():
    with pytest.raises(ConfigError, match=r"has no layer 'blocks\.12'"):
        place_for(VIT.model_copy(update={"layers": ("blocks.12",)}), PlacementConfig())
