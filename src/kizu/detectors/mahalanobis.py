"""One normal distribution of whole pictures (Rippel, Mertens & Merhof, "Modeling the Distribution of Normal Data in
Pre-Trained Deep Features for Anomaly Detection", ICPR 2020), with a shrunk covariance.

An image's score is the Mahalanobis distance (the root) of its pooled embedding; a patch's is its Mahalanobis distance
to one distribution of all good patches, wherever they lie. It learns in one pass and keeps two matrices.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from kizu.backbones.builder import GraphBuilder
from kizu.core.errors import ConfigError
from kizu.core.types import F32, HW, I64, Scores
from kizu.core.work import BYTES_PER_FLOAT, Work
from kizu.detectors.base import (
    Arrays,
    Candidate,
    DetectorConfig,
    Drawn,
    Embeddings,
    Method,
    check_features,
    patch_scores,
)
from kizu.detectors.by_group import score_by_group
from kizu.detectors.drawing import constant_of, draw_scores, draw_smoothed_map, reshape, sum_squares
from kizu.scoring.gaussian import Gaussian, mahalanobis
from kizu.scoring.maps import ImageScoreRule
from kizu.scoring.moments import ROWS, Moments, moments_of
from kizu.scoring.shrinkage import Shrinkage, fit_shrunk_gaussian

Pooling = Literal["mean", "mean_std"]
"""What stands for an image: each feature's mean over the patches, or that and its standard deviation."""


class MahalanobisConfig(DetectorConfig):
    """The paper fits one distribution per layer and adds the distances; here the layers share one."""

    kind: Literal["mahalanobis"] = "mahalanobis"
    patch_size: Annotated[int, Field(ge=1, le=9)] = 1
    pooling: Pooling = "mean"
    shrinkage: Shrinkage = "ledoit_wolf"
    """Which formula draws both covariances towards their mean variance. Patches that overlap count as if they were
    independent, so theirs is drawn less than it might be."""
    epsilon: Annotated[float, Field(gt=0)] = 1e-6
    """Part of the mean variance (at least of 1) added to the diagonals: for one image, or equal ones."""
    image_score: Literal["pooled"] | ImageScoreRule = "pooled"
    """`pooled`: the whole picture's distance, blind to a flaw of a few patches; the others take patches or map."""

    @property
    def leaves_out(self) -> bool:
        """Always: moments are taken away as they are added."""
        return True


@dataclass(frozen=True, slots=True)
class FittedMahalanobis:
    """Two Gaussians of one position each."""

    config: MahalanobisConfig
    pooled: Gaussian
    patches: Gaussian
    moments: tuple[Moments, Moments] | None = None
    """Of pooled images and of patches; None: from a bundle that keeps none, which cannot be updated."""

    def score(self, embedding: F32, input_hw: HW) -> Scores:
        """(N, h, w, D) of images (N, H, W, 3) -> scores and maps (N, H, W), in Mahalanobis distance (the root)."""
        n, h, w, dim = embedding.shape
        patches = mahalanobis(self.patches, embedding.reshape(n * h * w, 1, dim)).reshape(n, h, w)
        rule = self.config.image_score
        scores = patch_scores(patches, input_hw, self.config, "max_patch" if rule == "pooled" else rule)
        if rule != "pooled":
            return scores
        return Scores(
            mahalanobis(self.pooled, pool(embedding, self.config.pooling)[:, None])[:, 0], scores.maps
        )

    def leave_out(self, embedding: F32, input_hw: HW, groups: I64) -> Scores:
        """As `LeavesOut` has it, exactly as a fit on the others: by their moments."""
        assert self.moments is not None
        of_images, of_patches = self.moments

        def score(rows: I64) -> Scores:
            own = embedding[rows]
            left = (
                of_images.without(moments_of(pool(own, self.config.pooling))),
                of_patches.without(moments_of(own.reshape(-1, own.shape[-1]))),
            )
            return _of_moments(self.config, left).score(own, input_hw)

        return score_by_group(groups, score)

    def draw(self, graph: GraphBuilder, embedding: str, grid_hw: HW, input_hw: HW) -> Drawn:
        """As `score`."""
        dim = self.patches.mean.shape[1]
        distances = _draw_distances(graph, reshape(graph, embedding, -1, dim), self.patches)
        patches = reshape(graph, distances, -1, *grid_hw)
        rule = self.config.image_score
        if rule != "pooled":
            return draw_scores(graph, patches, grid_hw, input_hw, self.config, rule)
        drawn_map = draw_smoothed_map(graph, patches, grid_hw, input_hw, self.config.smoothing)
        x = reshape(graph, embedding, 0, -1, dim)  # (N, P, D)
        mean = graph.node("ReduceMean", x, axes=[1], keepdims=1)
        vector = reshape(graph, mean, 0, dim)
        if self.config.pooling == "mean_std":
            apart = graph.node("Sub", x, mean)
            variance = graph.node("ReduceMean", graph.node("Mul", apart, apart), axes=[1], keepdims=0)
            vector = graph.node("Concat", vector, graph.node("Sqrt", variance), axis=1)
        return Drawn(_draw_distances(graph, vector, self.pooled), drawn_map)

    def state(self) -> Arrays:
        """Mean (1, D) and whitener (1, D, D) of pooled images and of patches; D of the pooled may be twice. And the
        moments that these were made from, in float64.
        """
        arrays: dict[str, NDArray[Any]] = {
            "image_mean": self.pooled.mean,
            "image_whitener": self.pooled.whitener,
            "patch_mean": self.patches.mean,
            "patch_whitener": self.patches.whitener,
        }
        for name, moments in zip(("image", "patch"), self.moments or (), strict=False):
            arrays |= moments.arrays(f"{name}_moments")
        return arrays

    def update(self, embeddings: Embeddings, *, work: Work = Work()) -> FittedMahalanobis:
        """The same as a fit on all images, old and new: to float64 rounding, by their moments."""
        if self.moments is None:
            raise ConfigError(
                "this bundle keeps no moments",
                hint="it is from before they were kept: train anew on all images",
            )
        return _fit(self.config, check_features(embeddings, work), self.moments)


@dataclass(frozen=True, slots=True)
class Mahalanobis:
    """Set up and not yet fitted."""

    config: MahalanobisConfig

    def channels(self, dim: int, rng: np.random.Generator) -> I64 | None:
        """All of them."""
        return None

    def fit(
        self, embeddings: Embeddings, *, rng: np.random.Generator, work: Work = Work()
    ) -> FittedMahalanobis:
        """One pass; memory does not grow with the number of images."""
        return _fit(self.config, check_features(embeddings, work), (None, None))

    def memory_bytes(self, count: int, patches: int, dim: int, budget: int) -> int:
        """A few matrices and one block of patches in float64. The number of images does not matter."""
        pooled_dim = dim * (2 if self.config.pooling == "mean_std" else 1)
        return 2 * BYTES_PER_FLOAT * (6 * (dim**2 + pooled_dim**2) + 2 * min(ROWS, count * patches) * dim)

    def restore(self, arrays: Arrays) -> FittedMahalanobis:
        """From `state()`."""
        pooled_images, patches = (
            Gaussian(arrays[f"{name}_mean"], arrays[f"{name}_whitener"]) for name in ("image", "patch")
        )
        of_images, of_patches = (Moments.of_arrays(arrays, f"{name}_moments") for name in ("image", "patch"))
        known = None if of_images is None or of_patches is None else (of_images, of_patches)
        return FittedMahalanobis(self.config, pooled_images, patches, known)


def _fit(
    config: MahalanobisConfig, stream: Iterable[F32], before: tuple[Moments | None, Moments | None]
) -> FittedMahalanobis:
    """On the embeddings of a stream and what came `before`."""
    of_images, of_patches = before
    for embedding in stream:
        of_images = moments_of(pool(embedding, config.pooling), of_images)
        of_patches = moments_of(embedding.reshape(-1, embedding.shape[-1]), of_patches)
    assert of_images is not None
    assert of_patches is not None
    return _of_moments(config, (of_images, of_patches))


def _of_moments(config: MahalanobisConfig, moments: tuple[Moments, Moments]) -> FittedMahalanobis:
    """Of pooled images and of patches."""
    pooled_images, patches = (fit_shrunk_gaussian(one, config.shrinkage, config.epsilon) for one in moments)
    return FittedMahalanobis(config, pooled_images, patches, moments)


def pool(embedding: F32, pooling: Pooling) -> F32:
    """(N, h, w, D) -> (N, D), or (N, 2 D) with the standard deviations after the means."""
    mean = embedding.mean(axis=(1, 2), dtype=np.float64)
    parts = [mean] if pooling == "mean" else [mean, embedding.std(axis=(1, 2), dtype=np.float64)]
    return np.concatenate(parts, axis=1).astype(np.float32)


def _draw_distances(graph: GraphBuilder, x: str, gaussian: Gaussian) -> str:
    """(M, D) -> (M,) from a Gaussian of one position."""
    deviations = graph.node("Sub", x, constant_of(graph, gaussian.mean[0]))
    white = graph.node("MatMul", deviations, constant_of(graph, gaussian.whitener[0].T))
    return graph.node("Sqrt", sum_squares(graph, white, 1))


def _limits(settings: Mapping[str, Any]) -> list[str]:
    if settings.get("image_score") != "pooled":
        return []
    return ["The score looks at the whole image: a flaw of a few patches may not move it."]


METHOD = Method(
    MahalanobisConfig,
    Mahalanobis,
    designs=({}, {"detector": {"shrinkage": "oas"}}),
    candidates=(Candidate("mahalanobis", 5),),
    limits=_limits,
)
