"""From which features are looked at to the graph that makes them."""

from kizu.backbones.base import Backbone, BackboneSpec
from kizu.backbones.graph import Embedder, build_embedder
from kizu.core.types import I64
from kizu.core.work import Work
from kizu.detectors.base import EmbeddingConfig


def layer_names(config: EmbeddingConfig, spec: BackboneSpec) -> tuple[str, ...]:
    """Those that are looked at: the backbone's own choice where nobody chose."""
    return config.layers or spec.default_layers


def make_embedder(
    backbone: Backbone,
    config: EmbeddingConfig,
    *,
    patch_size: int,
    channels: I64 | None = None,
    work: Work = Work(),
) -> Embedder:
    """The graph from image to embedding, opened. Raises as `build_embedder`."""
    model = build_embedder(
        backbone,
        layers=layer_names(config, backbone.spec),
        normalisation=config.normalisation,
        patch_size=patch_size,
        channels=channels,
        combine=config.combine,
    )
    return Embedder(model.SerializeToString(), work)
