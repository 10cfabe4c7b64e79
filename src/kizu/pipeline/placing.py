"""What of the placement a fit chooses by its pictures: the size of the input, and the scale of deep ones."""

from collections.abc import Sequence
from typing import TypeVar

from kizu.backbones.store import load_spec
from kizu.core.work import Work
from kizu.data.batches import Source
from kizu.data.depth import with_scale
from kizu.data.size import with_size
from kizu.detectors.base import EmbeddingConfig
from kizu.imaging.placement import PlacementConfig
from kizu.pipeline.config import PipelineConfig
from kizu.pipeline.embedding import layer_names

C = TypeVar("C", bound=PipelineConfig)


def choose_placement(config: C, good: Sequence[Source], work: Work = Work()) -> C:
    """The config with the size and the scale that `good` pictures need, which is noted; itself where both are given.

    Raises `ImageError` for pictures of several depths, and of one value; `ConfigError` for fewer pixels than the
    backbone's patches need, and as `load_spec`.
    """
    placement = place_for(config.placement, config.embedding, good, work)
    return config.model_copy(update={"placement": placement})


def place_for(
    placement: PlacementConfig, embedding: EmbeddingConfig, good: Sequence[Source], work: Work = Work()
) -> PlacementConfig:
    """The same of a placement, for the layers of an embedding."""
    if placement.pixels is not None or placement.smallest_flaw_px is not None:
        placement = with_size(placement, good, strides_of(embedding), work)
    return with_scale(placement, good, work)


def strides_of(embedding: EmbeddingConfig) -> list[int]:
    """Pixels per patch of each layer that is looked at. Raises as `load_spec`, and `ConfigError` for unknown layers."""
    spec = load_spec(embedding.backbone)
    return [layer.stride for layer in spec.choose(layer_names(embedding, spec))]
