"""From settings to a fitted pipeline."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from kizu.backbones.base import Backbone, BackboneSpec, ensure_covered
from kizu.backbones.graph import Embedder
from kizu.backbones.store import load_backbone
from kizu.core.errors import ConfigError
from kizu.core.randomness import rng_for
from kizu.core.types import F32
from kizu.core.work import BYTES_PER_FLOAT, Work
from kizu.detectors.base import Detector, EmbeddingConfig
from kizu.detectors.registry import make_detector
from kizu.imaging.placement import PlacementConfig
from kizu.imaging.tiling import tiles_per_image
from kizu.pipeline.config import PipelineConfig
from kizu.pipeline.embedding import layer_names, make_embedder
from kizu.pipeline.opened import CountedBatches, Pipeline, PlacedImages, embed_all

WORKING_BYTES, WORKING_BYTES_PER_PIXEL = 96 << 20, 1024
"""Beside what the detector holds: the runtime, and images on their way through the network, maps, and those waiting."""


@dataclass(frozen=True, slots=True)
class UnfittedPipeline:
    """A pipeline that is set up: its network is open, and nothing is learned."""

    config: PipelineConfig
    embedding: EmbeddingConfig
    """The config's, with the layers that are looked at."""
    backbone: BackboneSpec
    detector: Detector
    embedder: Embedder
    work: Work

    @classmethod
    def prepare(cls, config: PipelineConfig, work: Work = Work()) -> Self:
        """Raises `ConfigError` for layers that are not there, an image size that their patches do not cover, and tiles
        that are not cut."""
        config = config.model_copy(update={"placement": config.placement.settled()})
        _ensure_tiled(config.placement)
        backbone = load_backbone(config.embedding.backbone)
        layers = layer_names(config.embedding, backbone.spec)
        ensure_covered(backbone.spec.choose(layers), config.placement.image_size)
        embedding = config.embedding.model_copy(update={"layers": layers})
        detector = make_detector(config.detector)
        embedder = embedder_for(detector, backbone, embedding, rng_for(config.seed, "channels"), work)
        return cls(config, embedding, backbone.spec, detector, embedder, work)

    def fit(self, images: PlacedImages, purpose: str, work: Work) -> Pipeline:
        """Learn from good images; all chance comes from the config's seed and `purpose`. Raises as `Detector.fit`."""
        return self._fit(images, purpose, work)

    @contextmanager
    def fit_keeping(self, images: PlacedImages, purpose: str, work: Work) -> Iterator[tuple[Pipeline, F32]]:
        """As `fit`, and the embeddings (N, h, w, D) of the images that came, there until the block ends; in a file
        where memory would not do. For images that are not cut into tiles."""
        h, w = self.embedder.grid_hw(self.config.placement.image_size)
        counted = CountedBatches(images.batches)
        with work.feature_array(images.count * h * w, self.embedder.dim) as kept:
            pipeline = self._fit(replace(images, batches=counted), purpose, work, kept)
            yield pipeline, kept[: counted.count * h * w].reshape(counted.count, h, w, -1)

    def _fit(self, images: PlacedImages, purpose: str, work: Work, kept: F32 | None = None) -> Pipeline:
        placement = self.config.placement
        count = images.count * tiles_per_image(placement)
        positions = self.config.detector.positions(count, placement.image_size)
        with work.limit():
            paintings, seed = self.config.detector.paintings(), self.config.seed
            embeddings = embed_all(
                self.embedder, images, placement, positions, kept, paintings=paintings, seed=seed
            )
            fitted = self.detector.fit(embeddings, rng=rng_for(self.config.seed, purpose), work=work)
        return Pipeline(placement, self.embedder, fitted, self.config.detector, self.work)

    def estimate_bytes(self, count: int, *, keeping: bool = False) -> int:
        """What a fit on `count` images will take at most, beside what the process holds before it; `keeping`: and their
        embeddings."""
        placement = self.config.placement
        h, w = self.embedder.grid_hw(placement.image_size)
        working = WORKING_BYTES + WORKING_BYTES_PER_PIXEL * math.prod(placement.seen_hw)
        held = self.detector.memory_bytes(
            count * tiles_per_image(placement), h * w, self.embedder.dim, self.work.memory_budget()
        )
        if keeping:
            held += min(count * h * w * self.embedder.dim * BYTES_PER_FLOAT, self.work.memory_budget())
        return working + held


def _ensure_tiled(placement: PlacementConfig) -> None:
    if placement.tile_overlap is not None and placement.resized_hw == placement.image_size:
        h, w = placement.image_size
        raise ConfigError(
            f"tile_overlap {placement.tile_overlap} has nothing to cut: images are looked at as one tile of {h} x {w}",
            hint=f"give the size that is cut into tiles too: --resize {4 * h}x{4 * w}; or leave --tile-overlap out",
        )


def embedder_for(
    detector: Detector,
    backbone: Backbone,
    config: EmbeddingConfig,
    rng: np.random.Generator,
    work: Work = Work(),
) -> Embedder:
    """The graph from image to embedding that this detector wants."""
    dims = {layer.name: layer.dim for layer in backbone.spec.layers}
    wide = [dims.get(name, 0) for name in layer_names(config, backbone.spec)]
    dim = max(wide, default=0) if config.combine == "mean" else sum(wide)
    patch_size, channels = detector.config.patch_size, detector.channels(dim, rng)
    return make_embedder(backbone, config, patch_size=patch_size, channels=channels, work=work)
