"""PaDiM (Defard et al., "PaDiM: a Patch Distribution Modeling Framework", ICPR 2020 workshops).

One normal distribution per patch position over a subset of features; a patch's score is its Mahalanobis distance to the
distribution at its place. It wants parts that lie alike in every picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from kizu.backbones.builder import GraphBuilder
from kizu.backbones.graph import Embedder
from kizu.core.errors import ConfigError, DataError
from kizu.core.types import F32, HW, I64, U8, Scores, StageProgress
from kizu.detectors.bank import gathered
from kizu.detectors.base import Arrays, DetectorConfig, Drawn, embeddings, ensure_room, patch_scores
from kizu.detectors.drawing import constant_of, scored, shaped, summed_squares
from kizu.core.memory import BYTES_PER_FLOAT, memory_budget
from kizu.scoring.gaussian import Gaussian, RunningMoments, fit_gaussian, mahalanobis
from kizu.scoring.lean_gaussian import (
    DiagonalGaussian,
    LowRankGaussian,
    RunningVariances,
    fit_diagonal,
    fit_low_rank,
    highest_variance,
    lean_mahalanobis,
)
from kizu.scoring.maps import ImageScoreRule

Covariance = Literal["full", "diagonal", "low_rank"]
PositionGaussian = Gaussian | DiagonalGaussian | LowRankGaussian
PositionMoments = RunningMoments | RunningVariances


class PadimConfig(DetectorConfig):
    """Defaults by evidence (docs/choices.md); where they are not the paper's, they say so."""

    kind: Literal["padim"] = "padim"
    patch_size: Annotated[int, Field(ge=1, le=9)] = 1
    features: Annotated[int, Field(ge=1)] = 200
    """d: features taken from all layers; all of them where there are fewer (as in Lite0: 152). The paper takes 100 of
    ResNet18's 448."""
    feature_choice: Literal["random", "variance"] = "random"
    """`random`: drawn by the seed, as in the paper. `variance`: those with the highest variance over all good patches,
    wherever they lie. This favours layers of large scale, and needs all features before the first can be left out: they
    are gathered, on disk where memory would not do."""
    covariance: Covariance = "full"
    """`full`: the paper's. `low_rank`: `rank` directions and one variance for all others. `diagonal`: no correlations.
    They take D, r and 1 numbers per position and feature."""
    keep_moments: bool = False
    """Store what `kizu update` needs to learn more good images: count, means and scatter. The bundle of full
    covariances grows by half. Not for `low_rank`, which needs all images together."""
    rank: Annotated[int, Field(ge=1)] = 32
    """r: free directions of `low_rank`. Images less one at most are used: so many have a variance."""
    epsilon: Annotated[float, Field(gt=0)] = 0.1
    """Added to the diagonal of each covariance (equation 1). The paper's 0.01 is for features of another scale; with
    few good images it trusts the covariance too much."""
    image_score: ImageScoreRule = "top_patches"
    """The paper takes `max_map`, which one unlucky patch decides."""

    @model_validator(mode="after")
    def _low_rank_has_no_moments(self) -> PadimConfig:
        if self.keep_moments and self.covariance == "low_rank":
            raise ValueError(
                "keep_moments cannot be had with covariance low_rank: it is fitted on all images at once"
            )
        return self


IMAGES_PER_UPDATE = 32
"""Each update walks through the covariances once, so several batches share one."""


@dataclass(frozen=True, slots=True)
class FittedPadim:
    """One normal distribution per position of one grid."""

    config: PadimConfig
    embedder: Embedder
    gaussian: PositionGaussian
    grid_hw: HW
    channels: I64 | None = None
    """(d,) which of the embedder's features are looked at, where they were chosen by their variance; None: all."""
    moments: PositionMoments | None = None
    """What the distributions were made from, where it is kept."""

    def score(self, images: U8) -> Scores:
        """(N, H, W, 3) -> scores and maps (N, H, W), in Mahalanobis distance (the root).

        Raises `DataError` for images of another size than it was fitted on: every position has its own distribution.
        """
        return self.score_embedding(self.embedder.embed(images), (images.shape[1], images.shape[2]))

    def score_embedding(self, embedding: F32, input_hw: HW) -> Scores:
        """(N, h, w, D) of images (N, H, W, 3) -> the same."""
        n, h, w, dim = embedding.shape
        self._check_grid((h, w))
        x = chosen(embedding.reshape(n, h * w, dim), self.channels)
        gaussian = self.gaussian
        distances = (
            mahalanobis(gaussian, x) if isinstance(gaussian, Gaussian) else lean_mahalanobis(gaussian, x)
        )
        return patch_scores(distances.reshape(n, h, w), input_hw, self.config, self.config.image_score)

    def draw(self, graph: GraphBuilder, embedding: str, grid_hw: HW, input_hw: HW) -> Drawn:
        """As `score_embedding`. Raises `ConfigError` for another grid than it was fitted on."""
        if grid_hw != self.grid_hw:
            raise ConfigError(f"PaDiM was fitted on a grid of {self.grid_hw} patches, not {grid_hw}")
        gaussian = self.gaussian
        positions, dim = gaussian.mean.shape
        if self.channels is not None:
            embedding = graph.node("Gather", embedding, graph.constant(self.channels), axis=3)
        x = shaped(graph, embedding, -1, positions, dim)  # (N, P, D)
        deviations = graph.node("Sub", x, constant_of(graph, gaussian.mean))
        if isinstance(gaussian, DiagonalGaussian):
            white = graph.node("Mul", deviations, constant_of(graph, gaussian.scale))
            squared = summed_squares(graph, white, 2)  # (N, P)
        else:
            by_position = graph.node("Transpose", deviations, perm=[1, 0, 2])  # (P, N, D)
            squared = graph.node("Transpose", _drawn_squares(graph, by_position, gaussian), perm=[1, 0])
        patches = shaped(graph, graph.node("Sqrt", squared), -1, *grid_hw)
        return scored(graph, patches, grid_hw, input_hw, self.config, self.config.image_score)

    def state(self) -> Arrays:
        """Means (P, D) and, by covariance, whiteners (P, D, D), or scales (P, D), or axes (P, D, r) with scales (P, r)
        and rest (P,); the grid they lie on; channels (d,) where variance chose them; moments where they are kept.
        """
        arrays: dict[str, NDArray[Any]] = {
            name: getattr(self.gaussian, name) for name in _ARRAYS[self.config.covariance]
        }
        arrays["grid_hw"] = np.array(self.grid_hw, dtype=np.int64)
        if self.channels is not None:
            arrays["channels"] = self.channels
        if self.moments is not None:
            arrays |= _moment_arrays(self.moments)
        return arrays

    def update(
        self, images: Iterable[U8], *, count: int, on_progress: StageProgress | None = None
    ) -> FittedPadim:
        """The same as a fit on all images, old and new, within rounding; features chosen by variance stay the ones they
        were. Raises `DataError` for images of another size.
        """
        if self.moments is None:
            raise ConfigError(
                "this PaDiM kept no moments, so it cannot be updated",
                hint="train anew with keep_moments: true (not with covariance low_rank), or anew on all images",
            )
        stream = self._of_this_grid(embeddings(self.embedder, images, count, on_progress))
        return _fitted_on_stream(self.config, self.embedder, stream, self.channels, deepcopy(self.moments))

    def _of_this_grid(self, stream: Iterable[F32]) -> Iterator[F32]:
        for embedding in stream:
            self._check_grid((embedding.shape[1], embedding.shape[2]))
            yield embedding

    def _check_grid(self, grid_hw: HW) -> None:
        if grid_hw != self.grid_hw:
            raise DataError(
                f"PaDiM was fitted on a grid of {self.grid_hw} patches, these images give {grid_hw}"
            )


@dataclass(frozen=True, slots=True)
class Padim:
    """PaDiM, set up and not yet fitted."""

    config: PadimConfig

    def channels(self, dim: int, rng: np.random.Generator) -> I64 | None:
        """A random subset, in ascending order; all of them where variance is to choose, or there are no more."""
        if self.config.features >= dim or self.config.feature_choice == "variance":
            return None
        return np.sort(rng.choice(dim, size=self.config.features, replace=False)).astype(np.int64)

    def fit(
        self,
        embedder: Embedder,
        images: Iterable[U8],
        *,
        count: int,
        rng: np.random.Generator,
        on_progress: StageProgress | None = None,
    ) -> FittedPadim:
        """One pass; memory does not grow with the number of images, but for features chosen by variance and for
        low-rank covariances, which need all features: these go to disk where memory would not do.

        Raises `ConfigError` when the distributions would not find room, or for a rank that is not below the features.
        """
        stream = self._while_there_is_room(embeddings(embedder, images, count, on_progress), count)
        if self.config.feature_choice == "random" and self.config.covariance != "low_rank":
            return _fitted_on_stream(self.config, embedder, stream)
        with gathered(stream, count) as (features, (n, h, w)):
            dim = features.shape[1]
            channels = None
            if self.config.feature_choice == "variance" and self.config.features < dim:
                channels = highest_variance(features, self.config.features)
            if self.config.covariance != "low_rank":
                parts = (
                    features[low : low + IMAGES_PER_UPDATE * h * w].reshape(-1, h, w, dim)
                    for low in range(0, len(features), IMAGES_PER_UPDATE * h * w)
                )
                return _fitted_on_stream(self.config, embedder, parts, channels)
            samples = features.reshape(n, h * w, dim)
            gaussian = fit_low_rank(samples, self.config.epsilon, self.config.rank, channels)
        return FittedPadim(self.config, embedder, gaussian, (h, w), channels)

    def _while_there_is_room(self, stream: Iterable[F32], count: int) -> Iterator[F32]:
        for index, embedding in enumerate(stream):
            if index == 0:
                _, h, w, dim = embedding.shape
                ensure_room(
                    self._held_bytes(count, h * w, dim),
                    hint="take fewer `features`, `covariance: low_rank` or `diagonal`, or a smaller image",
                )
            yield embedding

    def memory_bytes(self, count: int, patches: int, dim: int) -> int:
        """What is learned and what it is made from: scatter, or the features that do not go to disk."""
        needed = self._held_bytes(count, patches, dim)
        if self.config.feature_choice == "variance" or self.config.covariance == "low_rank":
            needed += min(count * patches * dim * BYTES_PER_FLOAT, memory_budget())
        return needed

    def _held_bytes(self, count: int, patches: int, dim: int) -> int:
        """What cannot go to disk: the distributions, their scatter, and the embeddings of one update."""
        kept = min(self.config.features, dim)
        numbers = 3 * min(count, IMAGES_PER_UPDATE) * patches * dim
        if self.config.covariance == "full":
            numbers += (4 if self.config.keep_moments else 2) * patches * kept * kept
        elif self.config.covariance == "diagonal":
            numbers += 6 * patches * kept  # two of them in float64
        else:
            numbers += patches * kept * (self.config.rank + 1)
        return numbers * BYTES_PER_FLOAT

    def restore(self, embedder: Embedder, arrays: Arrays) -> FittedPadim:
        """From `state()`."""
        h, w = arrays["grid_hw"].tolist()
        kind = _KINDS[self.config.covariance]
        gaussian = kind(*(arrays[name] for name in _ARRAYS[self.config.covariance]))
        return FittedPadim(
            self.config, embedder, gaussian, (h, w), arrays.get("channels"), _stored_moments(arrays)
        )


_KINDS: dict[Covariance, type[PositionGaussian]] = {
    "full": Gaussian,
    "diagonal": DiagonalGaussian,
    "low_rank": LowRankGaussian,
}
_ARRAYS: dict[Covariance, tuple[str, ...]] = {
    "full": ("mean", "whitener"),
    "diagonal": ("mean", "scale"),
    "low_rank": ("mean", "axes", "scale", "rest"),
}


def _fitted_on_stream(
    config: PadimConfig,
    embedder: Embedder,
    stream: Iterable[F32],
    channels: I64 | None = None,
    moments: PositionMoments | None = None,
) -> FittedPadim:
    """On embeddings (N, h, w, D) and the `moments` of those before, to which they are added."""
    grid_hw = (0, 0)
    for embedding in _joined(stream):
        n, h, w, dim = embedding.shape
        x = chosen(embedding.reshape(n, h * w, dim), channels)
        if moments is None:
            kind = RunningMoments if config.covariance == "full" else RunningVariances
            moments = kind(h * w, x.shape[2])
        grid_hw = (h, w)
        moments.add(x)
    assert moments is not None
    gaussian = _distribution(moments, config.epsilon)
    kept = moments if config.keep_moments else None
    return FittedPadim(config, embedder, gaussian, grid_hw, channels, kept)


def _moment_arrays(moments: PositionMoments) -> Arrays:
    """Count, means (P, D) and scatter: (P, D), or of (P, D, D) the lower triangles (P, D (D + 1) / 2)."""
    scatter: NDArray[Any] = moments.scatter
    if isinstance(moments, RunningMoments):
        rows, columns = np.tril_indices(scatter.shape[1])
        scatter = scatter[:, rows, columns]
    return {
        "moments_count": np.array(moments.count),
        "moments_mean": moments.mean,
        "moments_scatter": scatter,
    }


def _stored_moments(arrays: Arrays) -> PositionMoments | None:
    if "moments_count" not in arrays:
        return None
    mean, scatter = arrays["moments_mean"], arrays["moments_scatter"]
    moments: PositionMoments
    if "whitener" not in arrays:
        moments = RunningVariances(*mean.shape)
        moments.scatter = scatter
    else:
        moments = RunningMoments(*mean.shape)
        rows, columns = np.tril_indices(mean.shape[1])
        moments.scatter[:, rows, columns] = scatter
        moments.scatter[:, columns, rows] = scatter
    moments.count, moments.mean = int(arrays["moments_count"]), mean
    return moments


def _distribution(moments: PositionMoments, epsilon: float) -> PositionGaussian:
    if isinstance(moments, RunningMoments):
        return fit_gaussian(moments, epsilon)
    return fit_diagonal(moments, epsilon)


def chosen(x: F32, channels: I64 | None) -> F32:
    """(N, P, D) -> (N, P, d): those features; all for None."""
    return x if channels is None else np.take(x, channels, axis=2)


def _drawn_squares(graph: GraphBuilder, deviations: str, gaussian: Gaussian | LowRankGaussian) -> str:
    """(P, N, D) -> squared distances (P, N)."""
    if isinstance(gaussian, Gaussian):
        white = graph.node("MatMul", deviations, constant_of(graph, gaussian.whitener.transpose(0, 2, 1)))
        return summed_squares(graph, white, 2)
    along = graph.node("MatMul", deviations, constant_of(graph, gaussian.axes))  # (P, N, r)
    explained = graph.node("MatMul", along, constant_of(graph, gaussian.axes.transpose(0, 2, 1)))
    outside = summed_squares(graph, graph.node("Sub", deviations, explained), 2)
    inside = summed_squares(graph, graph.node("Mul", along, constant_of(graph, gaussian.scale[:, None])), 2)
    rest = constant_of(graph, np.square(gaussian.rest)[:, None])
    return graph.node("Add", inside, graph.node("Mul", outside, rest))


def _joined(batches: Iterable[F32]) -> Iterator[F32]:
    """The same embeddings (N, h, w, D) in order, at least `IMAGES_PER_UPDATE` at a time but for the last."""
    waiting: list[F32] = []
    for batch in batches:
        waiting.append(batch)
        if sum(map(len, waiting)) >= IMAGES_PER_UPDATE:
            yield np.concatenate(waiting)
            waiting = []
    if waiting:
        yield np.concatenate(waiting)
