"""PaDiM (Defard et al., "PaDiM: a Patch Distribution Modeling Framework", ICPR 2020 workshops).

One normal distribution per patch position over a subset of features; a patch's score is its Mahalanobis distance to the
distribution at its place. It wants parts that lie alike in every picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from kizu.backbones.builder import GraphBuilder
from kizu.core.errors import ConfigError, DataError
from kizu.core.types import F32, HW, I64, Scores
from kizu.core.work import BYTES_PER_FLOAT, Work
from kizu.detectors.bank import gather
from kizu.detectors.base import (
    Arrays,
    Candidate,
    DetectorConfig,
    Drawn,
    Embeddings,
    Method,
    check_features,
    ensure_room,
    patch_scores,
)
from kizu.detectors.covariances import (
    COVARIANCES,
    FROM_MOMENTS,
    Covariance,
    PositionGaussian,
    PositionMoments,
    moment_arrays,
    restore_moments,
)
from kizu.detectors.drawing import constant_of, draw_scores, reshape
from kizu.detectors.positions import IMAGES_PER_UPDATE, choose, join, tell_few
from kizu.scoring.lean_gaussian import fit_low_rank, highest_variance
from kizu.scoring.maps import ImageScoreRule

LEAST_EPSILON = 0.01  # full covariances with less are not asked what they would be without an image


class PadimConfig(DetectorConfig):
    """Defaults by evidence (docs/choices.md); where they are not the paper's, they say so."""

    kind: Literal["padim"] = "padim"
    patch_size: Annotated[int, Field(ge=1, le=9)] = 1
    smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0
    """The paper smooths by 4 pixels; maps that are but enlarged place flaws better (docs/choices.md)."""
    features: Annotated[int, Field(ge=1)] = 200
    """d: features taken from all layers; all where there are fewer (Lite0: 152). The paper: 100 of ResNet18's 448."""
    feature_choice: Literal["random", "variance"] = "random"
    """`random`: drawn by the seed, as in the paper. `variance`: those with the highest variance over all good patches.
    This favours layers of large scale, and gathers all features first, on disk where memory would not do."""
    covariance: Covariance = "full"
    """`full`: the paper's. `low_rank`: `rank` directions and one variance for all others. `diagonal`: no correlations.
    They take D, r and 1 numbers per position and feature."""
    keep_moments: bool = False
    """Store what `kizu update` needs: count, means and scatter. The bundle of full covariances doubles. Not for
    `low_rank`, which needs all images together."""
    rank: Annotated[int, Field(ge=1)] = 32
    """r: free directions of `low_rank`; at most images less one, for so many have a variance."""
    epsilon: Annotated[float, Field(gt=0)] = 0.1
    """Added to the diagonal of each covariance (equation 1). The paper's 0.01 is for features of another scale; with
    few good images it trusts the covariance too much."""
    image_score: ImageScoreRule = "top_patches"
    """The paper takes `max_map`, which one unlucky patch decides."""

    @property
    def leaves_out(self) -> bool:
        """Not where all images together choose features or factors, nor where float32 whiteners would not tell."""
        is_alone = self.covariance != "low_rank" and self.feature_choice == "random"
        return is_alone and (self.covariance == "diagonal" or self.epsilon >= LEAST_EPSILON)

    @property
    def monotone(self) -> bool:
        """More deviations widen the scatter; see `scoring.left_out`."""
        return self.leaves_out

    @model_validator(mode="after")
    def _low_rank_has_no_moments(self) -> PadimConfig:
        if self.keep_moments and self.covariance == "low_rank":
            raise ValueError(
                "keep_moments cannot be had with covariance low_rank: it is fitted on all images at once"
            )
        return self


@dataclass(frozen=True, slots=True)
class FittedPadim:
    """One normal distribution per position of one grid."""

    config: PadimConfig
    gaussian: PositionGaussian
    grid_hw: HW
    channels: I64 | None = None
    """(d,) which of the embedder's features are looked at, where they were chosen by their variance; None: all."""
    moments: PositionMoments | None = None
    """What the distributions were made from, where it is kept."""
    count: int = 0
    """How many images they are of; 0: from a time when that was not kept."""

    def leave_out(self, embedding: F32, input_hw: HW, groups: I64) -> Scores:
        """As `LeavesOut` has it; see `scoring.left_out`."""
        n, h, w, dim = embedding.shape
        self._check_grid((h, w))
        x = choose(embedding.reshape(n, h * w, dim), self.channels)
        kind = FROM_MOMENTS[self.config.covariance]
        distances = kind.distances_without(self.gaussian, x, groups, self.count, self.config.epsilon)
        return patch_scores(distances.reshape(n, h, w), input_hw, self.config, self.config.image_score)

    def score(self, embedding: F32, input_hw: HW) -> Scores:
        """(N, h, w, D) of images (N, H, W, 3) -> scores and maps (N, H, W), in Mahalanobis distance (the root).

        Raises `DataError` for images of another size than it was fitted on: every position has its own distribution.
        """
        n, h, w, dim = embedding.shape
        self._check_grid((h, w))
        x = choose(embedding.reshape(n, h * w, dim), self.channels)
        distances = COVARIANCES[self.config.covariance].distances(self.gaussian, x)
        return patch_scores(distances.reshape(n, h, w), input_hw, self.config, self.config.image_score)

    def draw(self, graph: GraphBuilder, embedding: str, grid_hw: HW, input_hw: HW) -> Drawn:
        """As `score`. Raises `ConfigError` for another grid than it was fitted on."""
        if grid_hw != self.grid_hw:
            raise ConfigError(f"PaDiM was fitted on a grid of {self.grid_hw} patches, not {grid_hw}")
        positions, dim = self.gaussian.mean.shape
        if self.channels is not None:
            embedding = graph.node("Gather", embedding, graph.constant(self.channels), axis=3)
        x = reshape(graph, embedding, -1, positions, dim)  # (N, P, D)
        deviations = graph.node("Sub", x, constant_of(graph, self.gaussian.mean))
        squared = COVARIANCES[self.config.covariance].draw_squares(graph, deviations, self.gaussian)
        patches = reshape(graph, graph.node("Sqrt", squared), -1, *grid_hw)
        return draw_scores(graph, patches, grid_hw, input_hw, self.config, self.config.image_score)

    def state(self) -> Arrays:
        """Means (P, D) and, by covariance, whiteners (P, D, D), or scales (P, D), or axes (P, D, r) with scales (P, r)
        and rest (P,); the grid they lie on; channels (d,) where variance chose them; moments where they are kept.
        """
        arrays: dict[str, NDArray[Any]] = COVARIANCES[self.config.covariance].arrays(self.gaussian)
        arrays["grid_hw"] = np.array(self.grid_hw, dtype=np.int64)
        if self.count:
            arrays["count"] = np.array(self.count, dtype=np.int64)
        if self.channels is not None:
            arrays["channels"] = self.channels
        if self.moments is not None:
            arrays |= moment_arrays(FROM_MOMENTS[self.config.covariance], self.moments)
        return arrays

    def update(self, embeddings: Embeddings, *, work: Work = Work()) -> FittedPadim:
        """The same as a fit on all images, old and new, within rounding; features chosen by variance stay the ones they
        were. Raises `DataError` for images of another size.
        """
        if self.moments is None:
            raise ConfigError(
                "this PaDiM kept no moments, so it cannot be updated",
                hint="train anew with keep_moments: true (not with covariance low_rank), or anew on all images",
            )
        stream = self._of_this_grid(check_features(embeddings, work))
        updated = _fit_stream(self.config, stream, self.channels, deepcopy(self.moments))
        assert updated.moments is not None
        tell_few(
            self.config.covariance,
            self.config.epsilon,
            updated.moments.count,
            self.gaussian.mean.shape[1],
            work,
        )
        return updated

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

    def fit(self, embeddings: Embeddings, *, rng: np.random.Generator, work: Work = Work()) -> FittedPadim:
        """One pass; memory does not grow with the number of images, but for features chosen by variance and for
        low-rank covariances, which need all features: these go to disk where memory would not do.

        Raises `ConfigError` when the distributions would not find room, or for a rank that is not below the features.
        """
        count = embeddings.count
        stream = self._while_there_is_room(check_features(embeddings, work), count, work)
        if self.config.feature_choice == "random" and self.config.covariance != "low_rank":
            return _fit_stream(self.config, stream)
        with gather(stream, count, work) as (features, (n, h, w)):
            dim = features.shape[1]
            channels = None
            if self.config.feature_choice == "variance" and self.config.features < dim:
                channels = highest_variance(features, self.config.features)
            if self.config.covariance != "low_rank":
                parts = (
                    features[low : low + IMAGES_PER_UPDATE * h * w].reshape(-1, h, w, dim)
                    for low in range(0, len(features), IMAGES_PER_UPDATE * h * w)
                )
                return _fit_stream(self.config, parts, channels)
            samples = features.reshape(n, h * w, dim)
            gaussian = fit_low_rank(samples, self.config.epsilon, self.config.rank, channels)
        return FittedPadim(self.config, gaussian, (h, w), channels)

    def _while_there_is_room(self, stream: Iterable[F32], count: int, work: Work) -> Iterator[F32]:
        seen = dim = 0
        for embedding in stream:
            if seen == 0:
                _, h, w, dim = embedding.shape
                ensure_room(
                    self._count_bytes(count, h * w, dim),
                    work,
                    hint="take fewer `features`, `covariance: low_rank` or `diagonal`, or a smaller image",
                )
            seen += len(embedding)
            yield embedding
        tell_few(self.config.covariance, self.config.epsilon, seen, min(self.config.features, dim), work)

    def memory_bytes(self, count: int, patches: int, dim: int, budget: int) -> int:
        """What is learned and what it is made from: scatter, or the features that do not go to disk."""
        needed = self._count_bytes(count, patches, dim)
        if self.config.feature_choice == "variance" or self.config.covariance == "low_rank":
            needed += min(count * patches * dim * BYTES_PER_FLOAT, budget)
        return needed

    def _count_bytes(self, count: int, patches: int, dim: int) -> int:
        """What cannot go to disk: the distributions, their scatter, and the embeddings of one update."""
        config = self.config
        numbers = COVARIANCES[config.covariance].count_numbers(
            patches, min(config.features, dim), config.rank, keep_moments=config.keep_moments
        )
        return (3 * min(count, IMAGES_PER_UPDATE) * patches * dim + numbers) * BYTES_PER_FLOAT

    def restore(self, arrays: Arrays) -> FittedPadim:
        """From `state()`."""
        h, w = arrays["grid_hw"].tolist()
        covariance = self.config.covariance
        gaussian: PositionGaussian = COVARIANCES[covariance].restore(arrays)
        moments = restore_moments(FROM_MOMENTS.get(covariance), arrays)
        count = int(arrays.get("count", 0))
        return FittedPadim(self.config, gaussian, (h, w), arrays.get("channels"), moments, count)


def _fit_stream(
    config: PadimConfig,
    stream: Iterable[F32],
    channels: I64 | None = None,
    moments: PositionMoments | None = None,
) -> FittedPadim:
    """On embeddings (N, h, w, D) and the `moments` of those before, to which they are added."""
    kind = FROM_MOMENTS[config.covariance]
    grid_hw = (0, 0)
    for embedding in join(stream):
        n, h, w, dim = embedding.shape
        x = choose(embedding.reshape(n, h * w, dim), channels)
        if moments is None:
            moments = kind.new_moments(h * w, x.shape[2])
        grid_hw = (h, w)
        moments.add(x)
    assert moments is not None
    gaussian = kind.fit(moments, config.epsilon)
    return FittedPadim(
        config, gaussian, grid_hw, channels, moments if config.keep_moments else None, moments.count
    )


def _limits(_settings: Mapping[str, Any]) -> list[str]:
    return ["Every position has its own model: parts must lie alike in every image."]


METHOD = Method(
    PadimConfig,
    Padim,
    designs=({}, {"detector": {"epsilon": 0.01}}, {"detector": {"image_score": "max_map"}}),
    candidates=(Candidate("padim", 2), Candidate("padim, 192 px", 8, placement={"pixels": 192 * 192})),
    limits=_limits,
)
