"""Pictures in, one vector for each out: through a network that all products share, whatever models look through."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from kizu.backbones.graph import Embedder, build_embedder
from kizu.backbones.store import load_backbone, load_spec
from kizu.bundles.references import VectorMaker
from kizu.core.threads import one_core
from kizu.core.types import F32, U8
from kizu.core.work import Work
from kizu.data.batches import S, Source, place_source, stream
from kizu.imaging.codec import Limits
from kizu.imaging.placement import PlacementConfig
from kizu.imaging.scale import Scale
from kizu.scoring.references import pool

BACKBONE = "efficientnet_lite0"
LAYERS = ("blocks.4", "blocks.5")
SIDE = 192
"""Pixels. With these layers all but 5 in 1,000 pictures were named, solar cells of two kinds among them, and strangers
lay farthest off beside flawed parts (docs/retrieval.md)."""


def vector_maker() -> VectorMaker:
    """What this version makes vectors with; told without the network."""
    return VectorMaker(
        backbone=BACKBONE,
        weights_sha256=load_spec(BACKBONE).weights_sha256,
        layers=LAYERS,
        image_size=(SIDE, SIDE),
    )


class VectorNetwork:
    """The network, open. Safe to share between threads."""

    def __init__(self, work: Work = Work(), limits: Limits = Limits()) -> None:
        """`limits`: what decoding one picture may take. Raises `MissingExtraError` where its weights are not there."""
        backbone = load_backbone(BACKBONE)
        graph = build_embedder(backbone, layers=LAYERS, normalisation="native", patch_size=1)
        self._embedder = Embedder(graph.SerializeToString(), work)
        self._work, self._limits = work, limits

    def warm(self) -> None:
        """Make the first picture as quick as the next, alone and beside others."""
        black = np.zeros((1, SIDE, SIDE, 3), np.uint8)
        self._pooled(black)
        with one_core():
            self._pooled(black)

    def __reduce__(self) -> tuple[Any, ...]:
        """It is opened anew where it arrives."""
        return type(self), (self._work.portable(),)

    def vector(self, picture: Source, scale: Scale | None) -> F32:
        """(2 D,) of unit length. Raises `ImageError`."""
        placed = place_source(picture, _placement(scale), limits=self._limits)
        vector: F32 = self._pooled(placed.image[None])[0]
        return vector

    def vectors(self, pictures: Sequence[S], scale: Scale | None) -> F32:
        """(N, 2 D), in their order, N >= 1. Raises `ImageError` for one that cannot be read."""
        return np.concatenate(list(self._batches(pictures, scale)))

    def _batches(self, pictures: Iterable[S], scale: Scale | None) -> Iterator[F32]:
        for batch in stream(pictures, _placement(scale), limits=self._limits):
            yield self._pooled(batch.images)

    def _pooled(self, images: U8) -> F32:
        with self._work.limit():
            return pool(self._embedder.embed(images))


def _placement(scale: Scale | None) -> PlacementConfig:
    return PlacementConfig(image_size=(SIDE, SIDE), scale=scale)
