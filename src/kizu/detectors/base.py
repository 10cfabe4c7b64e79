"""What a detector is: settings, a fit that returns a fitted scorer, and the way back from stored arrays.

Detectors see embeddings, never images or a network: what is embedded how is the pipeline's.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from kizu.backbones.builder import GraphBuilder
from kizu.backbones.graph import Combination, Normalisation
from kizu.core.config import Config
from kizu.core.errors import ConfigError, DataError, ScoreError
from kizu.core.types import F32, HW, I64, Scores
from kizu.core.work import Work, free_memory
from kizu.detectors.flawed import FlawedBatch
from kizu.scoring.maps import ImageScoreRule, image_scores, map_maker

Arrays = Mapping[str, NDArray[Any]]


NEVER_LEFT_OUT = -1
"""The group of images that stay in every fit: anchors, and what an update brought."""


class Position(NamedTuple):
    """How an image is laid before it is learned."""

    degrees: float
    """Turned counter-clockwise about its centre."""
    is_mirrored: bool = False
    """Left and right changed, after it was turned"""


AS_IT_IS = Position(0)


def turned(rotations: int) -> tuple[Position, ...]:
    """So many positions in equal parts of a full turn, as it is first."""
    return tuple(Position(360 * step / rotations) for step in range(rotations))


def with_mirrored(positions: tuple[Position, ...]) -> tuple[Position, ...]:
    """These, and their mirror images."""
    return positions + tuple(position._replace(is_mirrored=True) for position in positions)


class DetectorConfig(Config):
    """What every method has. Each method adds its own."""

    kind: str
    patch_size: Annotated[int, Field(ge=1, le=9)]
    """Side of the neighbourhood over which features are averaged, in patches; odd; 1: none."""
    smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 1 / 64
    """Sigma of the map's Gaussian, as a fraction of the shorter side (4 pixels at 256)."""
    top_fraction: Annotated[float, Field(gt=0, le=1)] = 0.03
    """Part of the patches that the image score `top_patches` averages."""
    top_count: Annotated[int, Field(ge=1)] | None = None
    """So many patches in place of that part, whatever the size of the input: a flaw does not grow with the pixels."""

    def top_part(self, patches: int) -> float:
        """The part of so many patches that the image score looks at."""
        return self.top_fraction if self.top_count is None else min(1.0, self.top_count / patches)

    @property
    def leaves_out(self) -> bool:
        """Whether a fit with these settings is `LeavesOut`."""
        return False

    @property
    def monotone(self) -> bool:
        """Whether what a fit without a group says of a good image can only fall when it learns other good images
        besides: thresholds by such scores promise what they are cut at (`decision.conformal`)."""
        return False

    def anchors(self, groups: int) -> int:
        """How many of so many groups of good images stand for what all share: they are never left out, and set no
        threshold (docs/decisions/0029)."""
        return 0

    def paintings(self) -> int:
        """How many flawed copies of each good image a fit wants painted (`Embeddings.flawed`)."""
        return 0

    @property
    def learns_defects(self) -> bool:
        """Whether a fit learns from labelled defects of the training split, where there are any."""
        return False

    def positions(self, count: int, input_hw: HW) -> tuple[Position, ...]:
        """In which positions `count` good images (H, W) are learned, as they are first."""
        return (AS_IT_IS,)

    def may_be_laid(self) -> bool:
        """Whether images may be learned in several positions."""
        return False


Rotations = Annotated[int, Field(ge=1, le=360)]
"""Learn each good image so many times, turned by equal parts of a full turn: 8 is every 45 degrees; 1: as it is. For
parts that may lie any way, and for few images; the time to embed them grows as much."""


class EmbeddingConfig(Config):
    """Which features are looked at."""

    backbone: str = "efficientnet_lite0"
    """A name that `kizu backbones` lists, or the path of an ONNX file with named feature outputs."""
    layers: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Finest first. None: the backbone's own choice (`BackboneSpec.default_layers`)."""
    combine: Combination = "concat"
    """Layers side by side, or their mean: as wide as one of them, for layers of one size, such as blocks of a
    transformer."""
    normalisation: Normalisation = "native"
    """How pixels are scaled. `native`: as the backbone was trained; docs/choices.md has the evidence."""


@dataclass(frozen=True, slots=True)
class Embeddings:
    """What good images have become, read once."""

    batches: Iterable[F32]
    """(N, h, w, D) each, all of one grid"""
    count: int
    """How many images come, at most."""
    input_hw: HW
    """(H, W) of the images."""
    groups: Sequence[int] | None = None
    """(N,) which of the images that came belong together, complete when all batches are read; None: not told, and
    nobody asks what a fit without some of them would say."""
    kept: F32 | None = None
    """(N * P, D) where each batch lies too once it has come; who needs all of them together need not copy them."""
    flawed: list[FlawedBatch] = field(default_factory=list)
    """Grows while the batches are read; who learns from flaws takes them out. Empty for a method that does not."""


class Drawn(NamedTuple):
    """Names of a graph's score and map."""

    score: str
    """(N,)"""
    map: str
    """(N, H, W)"""


class Fitted(Protocol):
    """A scorer that can be stored."""

    def score(self, embedding: F32, input_hw: HW) -> Scores:
        """What is said of images (N, H, W, 3) whose embedding is (N, h, w, D); of each the same whatever else is there.

        Raises `ScoreError` where a distance is not finite, `DataError` for a grid that it was not fitted on.
        """
        ...

    def state(self) -> Arrays:
        """All that was learned, by name; `restore` takes it back."""
        ...

    def draw(self, graph: GraphBuilder, embedding: str, grid_hw: HW, input_hw: HW) -> Drawn:
        """Draw `score` into `graph`: from `embedding` (N, h, w, D) to the score (N,) and the map (N, H, W).

        Raises `ConfigError` where the settings cannot be drawn.
        """
        ...


@runtime_checkable
class Updatable(Protocol):
    """A fitted scorer that takes more good images without those that it was fitted on."""

    def update(self, embeddings: Embeddings, *, work: Work = Work()) -> Fitted:
        """What it is after more good images; itself it stays as it was. The same images give the same state: there is
        no chance in it.

        Raises `ConfigError` where its settings, or the state it was restored from, do not allow it; `DataError` when no
        image comes.
        """
        ...


@runtime_checkable
class LeavesOut(Protocol):
    """A fitted scorer that knows what a fit without some of its images would say of these: cheaper than that fit."""

    def leave_out(self, embedding: F32, input_hw: HW, groups: I64) -> Scores:
        """(N, h, w, D) of images that it was fitted on, the whole of one group or of several, and their groups (N,) as
        the fit was told them: the scores of each as by a fit without its group.

        Raises `CalibrationError` where without a group nothing is left.
        """
        ...


class Detector(Protocol):
    """One method, set up and not yet fitted."""

    @property
    def config(self) -> DetectorConfig: ...

    def channels(self, dim: int, rng: np.random.Generator) -> I64 | None:
        """Which of the `dim` features to keep, or None for all."""
        ...

    def fit(self, embeddings: Embeddings, *, rng: np.random.Generator, work: Work = Work()) -> Fitted:
        """Learn from good images. Raises `DataError` when none comes, `ConfigError` where memory would not do."""
        ...

    def memory_bytes(self, count: int, patches: int, dim: int, budget: int) -> int:
        """What a fit on `count` images of `patches` x `dim` features will hold at its peak, beside the network, when
        features beyond `budget` bytes go to disk."""
        ...

    def restore(self, arrays: Arrays) -> Fitted:
        """The fitted scorer whose `state` was `arrays`."""
        ...


@dataclass(frozen=True, slots=True)
class Candidate:
    """Settings of one method that `kizu recommend` tries."""

    name: str
    preference: int
    """Among candidates that see alike the lowest is taken (docs/choices.md has the evidence from real flaws)."""
    detector: Mapping[str, Any] = field(default_factory=dict)
    embedding: Mapping[str, Any] = field(default_factory=dict)
    placement: Mapping[str, Any] = field(default_factory=dict)


def _no_limits(_settings: Mapping[str, Any]) -> list[str]:
    return []


@dataclass(frozen=True, slots=True)
class Method:
    """All that the rest of the house knows of one method."""

    config: type[DetectorConfig]
    detector: Callable[[Any], Detector]
    designs: tuple[Mapping[str, Any], ...] = ({},)
    """What `kizu design` tries, as changes of {"detector": ..., "embedding": ..., "placement": ...}; the first is the
    default and wins a tie."""
    candidates: tuple[Candidate, ...] = ()
    limits: Callable[[Mapping[str, Any]], list[str]] = _no_limits
    """What it cannot do with these settings, in words for its model card."""


def check_features(embeddings: Embeddings, work: Work) -> Iterator[F32]:
    """The batches (N, h, w, D), reported as they pass.

    Raises `DataError` when none comes, `ScoreError` for one that is not finite: a method may look at some patches only.
    """
    seen = 0
    for embedding in embeddings.batches:
        if not np.isfinite(embedding).all():
            raise ScoreError("the features of a good image are not finite numbers")
        yield embedding
        seen += len(embedding)
        work.report("features", seen, embeddings.count)
    if seen == 0:
        raise DataError("there is no good image to fit on")


def ensure_room(needed: int, work: Work, *, hint: str) -> None:
    """Raises `ConfigError` when `needed` bytes are more than the budget that was set, or without one than are free."""
    limit = work.memory_limit()
    room = free_memory() if limit is None else limit
    if needed > room:
        raise ConfigError(
            f"the fit would hold about {needed >> 20} MB, and {room >> 20} MB are to be had", hint=hint
        )


def smooth_maps(patches: F32, input_hw: HW, smoothing: float) -> F32:
    """Patch distances (N, h, w) -> maps (N, H, W). Raises `ScoreError` where a distance is not finite."""
    finite = np.isfinite(patches).all(axis=(1, 2))
    if not finite.all():
        raise ScoreError(f"the distances of image {int(np.argmin(finite))} of the batch are not finite")
    return map_maker((patches.shape[1], patches.shape[2]), input_hw, smoothing)(patches)


def patch_scores(patches: F32, input_hw: HW, config: DetectorConfig, rule: ImageScoreRule) -> Scores:
    """Patch distances (N, h, w) -> their smoothed maps, and the number that `rule` takes from them for each image.

    Raises `ScoreError` where a distance is not finite.
    """
    maps = smooth_maps(patches, input_hw, config.smoothing)
    part = config.top_part(patches.shape[1] * patches.shape[2])
    return Scores(image_scores(patches, maps, rule, part), maps)
