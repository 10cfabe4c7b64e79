"""A fitted pipeline, ready to score: what lab, inspection and service open."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kizu.backbones.graph import Embedder
from kizu.bundles.manifest import Bundle
from kizu.core.errors import ConfigError
from kizu.core.types import F32, HW, I64, U8, Scores
from kizu.core.work import Work
from kizu.detectors.base import (
    AS_IT_IS,
    Arrays,
    DetectorConfig,
    Embeddings,
    Fitted,
    LeavesOut,
    Position,
    Updatable,
)
from kizu.detectors.flawed import FlawedBatch
from kizu.detectors.registry import detector_config, make_detector
from kizu.imaging.placement import PlacementConfig
from kizu.imaging.tiling import as_seen, cut, tiles_per_image
from kizu.imaging.turning import turn
from kizu.pipeline.flawed import TilePainter, cut_both, embed_flawed


@dataclass(frozen=True, slots=True)
class PlacedImages:
    """Images as a placement sees them, in batches (N, H, W, 3), read once."""

    count: int
    """How many there are, at most."""
    batches: Iterable[U8]
    groups: Sequence[int] | None = None
    """Of each image that came, complete when all batches are read; None: not told (`Embeddings.groups`)."""
    defects: Iterable[tuple[U8, F32]] = ()
    """Labelled defects in batches (N, H, W, 3), and where each is flawed (N, H, W), from 0 to 1; NaN: nobody drew it.
    For a method that learns from them."""


class CountedBatches:
    """Batches, counted as they pass."""

    def __init__(self, batches: Iterable[U8]) -> None:
        self.count = 0
        self._batches = batches

    def __iter__(self) -> Iterator[U8]:
        for batch in self._batches:
            self.count += len(batch)
            yield batch


@dataclass(frozen=True, slots=True)
class _Network:
    """The scorer of what the network takes: images, or their tiles."""

    embedder: Embedder
    fitted: Fitted

    def score(self, images: U8) -> Scores:
        return self.fitted.score(self.embedder.embed(images), (images.shape[1], images.shape[2]))


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Images as the placement gives them in, scores out. Safe to call from several threads; it can be pickled, and is
    then opened anew where it arrives."""

    placement: PlacementConfig
    embedder: Embedder
    fitted: Fitted
    detector: DetectorConfig
    work: Work

    def score(self, images: U8) -> Scores:
        """Score images (N, H, W, 3) as they are seen, cut into tiles where the placement says so.

        Each image gets the same score whatever else is in the batch. Raises `ScoreError`.
        """
        with self.work.limit():
            return as_seen(_Network(self.embedder, self.fitted), self.placement).score(images)

    def embed(self, images: U8) -> F32:
        """(N, H, W, 3) at the network's input size -> (N, h, w, D), for as many scorers as look at it."""
        with self.work.limit():
            return self.embedder.embed(images)

    def score_embedding(self, embedding: F32, input_hw: HW) -> Scores:
        """What `score` says of images (N, H, W, 3) at the network's input size whose embedding is there already."""
        with self.work.limit():
            return self.fitted.score(embedding, input_hw)

    def leave_out(self, images: U8, groups: I64) -> Scores:
        """Images (N, H, W, 3) that it was fitted on, whole `groups` (N,) of them: what a fit without its group would
        say of each. Raises `ConfigError` for a fit that cannot tell, `CalibrationError` as `LeavesOut`."""
        with self.work.limit():
            embedding = self.embedder.embed(images)
        return self.leave_out_embedding(embedding, (images.shape[1], images.shape[2]), groups)

    def leave_out_embedding(self, embedding: F32, input_hw: HW, groups: I64) -> Scores:
        """The same of images whose embedding (N, h, w, D) is there already."""
        if not isinstance(self.fitted, LeavesOut) or not self.detector.leaves_out:
            raise ConfigError(f"this {self.detector.kind} cannot tell what it would say without an image")
        with self.work.limit():
            return self.fitted.leave_out(embedding, input_hw, groups)

    @property
    def updatable(self) -> Updatable:
        """The detector, as one that takes more images. Raises `ConfigError` for a method that does not."""
        if not isinstance(self.fitted, Updatable):
            raise ConfigError(
                f"{self.detector.kind} cannot learn more images later", hint="train anew on all images"
            )
        return self.fitted

    def updated(self, images: PlacedImages, work: Work) -> Pipeline:
        """The pipeline after more good images; itself it stays as it was.

        Raises `ConfigError` for a method that cannot be updated, and as `Updatable.update`.
        """
        updatable = self.updatable
        with work.limit():
            fitted = updatable.update(embed_all(self.embedder, images, self.placement), work=work)
        return Pipeline(self.placement, self.embedder, fitted, self.detector, self.work)

    def __reduce__(self) -> tuple[Any, ...]:
        parts = (self.placement, self.embedder.model_bytes, dict(self.fitted.state()), self.detector)
        return _reopen, (*parts, self.work.portable())


def open_pipeline(bundle: Bundle, work: Work = Work(), *, embedder: Embedder | None = None) -> Pipeline:
    """The fitted pipeline that `bundle` holds. `embedder`: its graph, where it is open already."""
    detector = detector_config(bundle.manifest.detector, where="bundle")
    if embedder is None:
        return _reopen(bundle.manifest.placement, bundle.graph, bundle.arrays, detector, work)
    fitted = make_detector(detector).restore(bundle.arrays)
    return Pipeline(bundle.manifest.placement, embedder, fitted, detector, work)


def embed_all(
    embedder: Embedder,
    images: PlacedImages,
    placement: PlacementConfig,
    positions: tuple[Position, ...] = (AS_IT_IS,),
    kept: F32 | None = None,
    paintings: int = 0,
    seed: int = 0,
) -> Embeddings:
    """What the network makes of images, or of their tiles, each in all of `positions`.

    `kept`: (N * P, D) room for what it makes of them as they are. `paintings`: so many flawed copies of each image or
    tile are painted, by `seed`, and embedded beside it; and so are the labelled defects.
    """
    told: list[int] = []
    flawed: list[FlawedBatch] = []
    painter = TilePainter(seed)
    seen = filled = 0

    def batches() -> Iterator[F32]:
        nonlocal seen, filled
        for shown, share in images.defects:
            flawed.append(embed_flawed(embedder, *cut_both(shown, share, placement)))
        for batch in images.batches:
            tiles = cut(batch, placement)
            for _ in range(paintings):
                painted = painter.paint(tiles)
                first = seen * (len(tiles) // len(batch))
                flawed.append(embed_flawed(embedder, *painted, rows=first + np.arange(len(tiles))))
            for position in positions:
                if images.groups is not None:
                    own = images.groups[seen : seen + len(batch)]
                    told.extend(np.repeat(own, len(tiles) // len(batch)).tolist())
                embedding = embedder.embed(_lay(tiles, position))
                if kept is not None and position == AS_IT_IS:
                    rows = embedding.reshape(-1, embedding.shape[-1])
                    kept[filled : filled + len(rows)] = rows
                    filled += len(rows)
                yield embedding
            seen += len(batch)

    return Embeddings(
        batches=batches(),
        count=images.count * tiles_per_image(placement) * len(positions),
        input_hw=placement.image_size,
        groups=None if images.groups is None else told,
        kept=kept if positions == (AS_IT_IS,) else None,
        flawed=flawed,
    )


def _lay(images: U8, position: Position) -> U8:
    """(N, H, W, 3) in another position, contiguous."""
    turned = turn(images, position.degrees)
    return np.ascontiguousarray(turned[:, :, ::-1]) if position.is_mirrored else turned


def _reopen(
    placement: PlacementConfig, graph: bytes, arrays: Arrays, detector: DetectorConfig, work: Work
) -> Pipeline:
    fitted = make_detector(detector).restore(arrays)
    return Pipeline(placement, Embedder(graph, work), fitted, detector, work)
