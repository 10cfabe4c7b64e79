"""What a detector is: settings, a fit that returns a fitted scorer, and the way back from stored arrays."""

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import psutil
from numpy.typing import NDArray
from pydantic import Field

from kizu.backbones.base import Backbone
from kizu.backbones.builder import GraphBuilder
from kizu.backbones.graph import Embedder, Normalisation, build_embedder
from kizu.backbones.session import Engine
from kizu.core.config import Config
from kizu.core.errors import ConfigError, DataError, ScoreError
from kizu.core.types import F32, HW, I64, U8, Scores, StageProgress
from kizu.core.memory import MEMORY_VARIABLE, memory_budget
from kizu.scoring.maps import ImageScoreRule, image_scores, map_maker

Arrays = Mapping[str, NDArray[Any]]


class DetectorConfig(Config):
    """What every method has. Each method adds its own."""

    kind: str
    patch_size: Annotated[int, Field(ge=1, le=9)]
    """Side of the neighbourhood over which features are averaged, in patches; odd; 1: none."""
    smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 1 / 64
    """Sigma of the map's Gaussian, as a fraction of the shorter side (4 pixels at 256)."""
    top_fraction: Annotated[float, Field(gt=0, le=1)] = 0.03
    """Part of the patches that the image score `top_patches` averages."""


class EmbeddingConfig(Config):
    """Which features are looked at."""

    backbone: str = "efficientnet_lite0"
    """A name that `kizu backbones` lists, or the path of an ONNX file with named feature outputs."""
    layers: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Finest first. None: the ones that the backbone itself proposes."""
    normalisation: Normalisation = "native"
    """How pixels are scaled. `native`: as the backbone was trained; docs/choices.md has the evidence."""


class Drawn(NamedTuple):
    """Names of a graph's score and map."""

    score: str
    """(N,)"""
    map: str
    """(N, H, W)"""


class Fitted(Protocol):
    """A scorer that can be stored."""

    @property
    def embedder(self) -> Embedder: ...

    def score(self, images: U8) -> Scores:
        """Score images (N, H, W, 3); the same image gets the same score whatever else is in the batch."""
        ...

    def score_embedding(self, embedding: F32, input_hw: HW) -> Scores:
        """What `score` says of images (N, H, W, 3) whose embedding (N, h, w, D) is there already."""
        ...

    def state(self) -> Arrays:
        """All that was learned, by name; `restore` takes it back."""
        ...

    def draw(self, graph: GraphBuilder, embedding: str, grid_hw: HW, input_hw: HW) -> Drawn:
        """Draw `score_embedding` into `graph`: from `embedding` (N, h, w, D) to the score (N,) and the map (N, H, W).

        Raises `ConfigError` where the settings cannot be drawn.
        """
        ...


@runtime_checkable
class Updatable(Protocol):
    """A fitted scorer that takes more good images without those that it was fitted on."""

    def update(self, images: Iterable[U8], *, count: int, on_progress: StageProgress | None = None) -> Fitted:
        """What it is after batches of more good images (N, H, W, 3); itself it stays as it was. `count`: how many come,
        at most. The same images give the same state: there is no chance in it.

        Raises `ConfigError` where its settings, or the state it was restored from, do not allow it; `DataError` when no
        image comes.
        """
        ...


class Detector(Protocol):
    """One method, set up and not yet fitted."""

    @property
    def config(self) -> DetectorConfig: ...

    def channels(self, dim: int, rng: np.random.Generator) -> I64 | None:
        """Which of the `dim` features to keep, or None for all."""
        ...

    def fit(
        self,
        embedder: Embedder,
        images: Iterable[U8],
        *,
        count: int,
        rng: np.random.Generator,
        on_progress: StageProgress | None = None,
    ) -> Fitted:
        """Learn from batches of good images (N, H, W, 3), all of one size. `count`: how many come, at most.

        Raises `DataError` when none comes.
        """
        ...

    def memory_bytes(self, count: int, patches: int, dim: int) -> int:
        """What a fit on `count` images of `patches` x `dim` features will hold at its peak, beside the network."""
        ...

    def restore(self, embedder: Embedder, arrays: Arrays) -> Fitted:
        """The fitted scorer whose `state` was `arrays`."""
        ...


def embedder_for(
    detector: Detector,
    backbone: Backbone,
    config: EmbeddingConfig,
    rng: np.random.Generator,
    engine: Engine = Engine(),
) -> Embedder:
    """The graph from image to embedding that this detector wants."""
    layers = config.layers or backbone.spec.default_layers
    dims = {layer.name: layer.dim for layer in backbone.spec.layers}
    model = build_embedder(
        backbone,
        layers=layers,
        normalisation=config.normalisation,
        patch_size=detector.config.patch_size,
        channels=detector.channels(sum(dims.get(name, 0) for name in layers), rng),
    )
    return Embedder(model.SerializeToString(), engine)


def embeddings(
    embedder: Embedder, images: Iterable[U8], count: int, on_progress: StageProgress | None
) -> Iterator[F32]:
    """Batches (N, H, W, 3) -> embeddings (N, h, w, D), reported as they pass.

    Raises `DataError` when none comes, `ScoreError` for one that is not finite: a method may look at some patches only.
    """
    seen = 0
    for batch in images:
        embedding = embedder.embed(batch)
        if not np.isfinite(embedding).all():
            raise ScoreError("the features of a good image are not finite numbers")
        yield embedding
        seen += len(batch)
        if on_progress is not None:
            on_progress("features", seen, count)
    if seen == 0:
        raise DataError("there is no good image to fit on")


def ensure_room(needed: int, *, hint: str) -> None:
    """Raises `ConfigError` when `needed` bytes are more than the machine has free (or KIZU_MEMORY_MB allows)."""
    limited = os.environ.get(MEMORY_VARIABLE)
    room = memory_budget() if limited else int(psutil.virtual_memory().available)
    if needed > room:
        raise ConfigError(
            f"the fit would hold about {needed >> 20} MB, and {room >> 20} MB are to be had", hint=hint
        )


def smoothed_maps(patches: F32, input_hw: HW, smoothing: float) -> F32:
    """Patch distances (N, h, w) -> maps (N, H, W). Raises `ScoreError` where a distance is not finite."""
    finite = np.isfinite(patches).all(axis=(1, 2))
    if not finite.all():
        raise ScoreError(f"the distances of image {int(np.argmin(finite))} of the batch are not finite")
    return map_maker((patches.shape[1], patches.shape[2]), input_hw, smoothing)(patches)


def patch_scores(patches: F32, input_hw: HW, config: DetectorConfig, rule: ImageScoreRule) -> Scores:
    """Patch distances (N, h, w) -> their smoothed maps, and the number that `rule` takes from them for each image.

    Raises `ScoreError` where a distance is not finite.
    """
    maps = smoothed_maps(patches, input_hw, config.smoothing)
    return Scores(image_scores(patches, maps, rule, config.top_fraction), maps)
