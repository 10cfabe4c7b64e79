"""One subspace of good patches: principal components of all of them, and no bank.

A patch's score is its L2 distance from the subspace (Jackson & Mudholkar, Technometrics 21, 1979; for features of
networks: Rippel, Mertens & Merhof, ICPR 2020, who find that the components of least variance tell good from bad).
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from kizu.backbones.builder import GraphBuilder
from kizu.core.types import F32, HW, I64, Scores
from kizu.core.work import BYTES_PER_FLOAT, Work
from kizu.detectors.base import (
    Arrays,
    Candidate,
    DetectorConfig,
    Drawn,
    Embeddings,
    Method,
    Position,
    Rotations,
    check_features,
    patch_scores,
    turned,
)
from kizu.detectors.by_group import score_by_group
from kizu.detectors.drawing import constant_of, draw_scores, reshape, sum_squares
from kizu.scoring.maps import ImageScoreRule
from kizu.scoring.moments import ROWS, Moments, moments_of
from kizu.scoring.subspace import Subspace, fit_subspace, residuals


class SubspaceConfig(DetectorConfig):
    """How large the subspace is, and what stands for the image."""

    kind: Literal["subspace"] = "subspace"
    patch_size: Annotated[int, Field(ge=1, le=9)] = 1
    variance: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Part of the good patches' variance that the subspace holds."""
    components: Annotated[int, Field(ge=1)] | None = None
    """Its dimension; None: as `variance` asks."""
    rotations: Rotations = 1
    """Learn each good image turned so many ways (`base.Rotations`)."""
    image_score: ImageScoreRule = "top_patches"

    @property
    def leaves_out(self) -> bool:
        """Moments are taken away as they are added; those of turned images are not at hand any more."""
        return self.rotations == 1

    def positions(self, count: int, input_hw: HW) -> tuple[Position, ...]:
        """Turned as `rotations` asks."""
        return turned(self.rotations)

    def may_be_laid(self) -> bool:
        """As `DetectorConfig` has it."""
        return self.rotations > 1


@dataclass(frozen=True, slots=True)
class FittedSubspace:
    """The directions that good patches do not take."""

    config: SubspaceConfig
    subspace: Subspace
    moments: Moments | None = None
    """Of all good patches; None: from a time when they were not kept."""

    def leave_out(self, embedding: F32, input_hw: HW, groups: I64) -> Scores:
        """As `LeavesOut` has it, exactly as a fit on the others: by their moments."""
        moments = self.moments
        assert moments is not None

        def score(rows: I64) -> Scores:
            own = embedding[rows]
            left = moments.without(moments_of(own.reshape(-1, own.shape[-1])))
            return _of_moments(self.config, left).score(own, input_hw)

        return score_by_group(groups, score)

    def score(self, embedding: F32, input_hw: HW) -> Scores:
        """(N, h, w, D) of images (N, H, W, 3) -> scores and maps (N, H, W), in L2 distance from the subspace."""
        n, h, w, dim = embedding.shape
        patches = residuals(self.subspace, embedding.reshape(n * h * w, dim)).reshape(n, h, w)
        return patch_scores(patches, input_hw, self.config, self.config.image_score)

    def draw(self, graph: GraphBuilder, embedding: str, grid_hw: HW, input_hw: HW) -> Drawn:
        """As `score`."""
        outside = self.subspace.outside
        x = reshape(graph, embedding, -1, outside.shape[0])
        deviations = graph.node("Sub", x, constant_of(graph, self.subspace.mean))
        left = graph.node("MatMul", deviations, constant_of(graph, outside))
        patches = reshape(graph, graph.node("Sqrt", sum_squares(graph, left, 1)), -1, *grid_hw)
        return draw_scores(graph, patches, grid_hw, input_hw, self.config, self.config.image_score)

    def state(self) -> Arrays:
        """Mean (D,) and the directions left out (D, R); the moments that these were made from, in float64."""
        arrays = {"mean": self.subspace.mean, "outside": self.subspace.outside}
        return arrays if self.moments is None else {**arrays, **self.moments.arrays("moments")}


@dataclass(frozen=True, slots=True)
class SubspaceDetector:
    """Set up and not yet fitted."""

    config: SubspaceConfig

    def channels(self, dim: int, rng: np.random.Generator) -> I64 | None:
        """All of them."""
        return None

    def fit(self, embeddings: Embeddings, *, rng: np.random.Generator, work: Work = Work()) -> FittedSubspace:
        """One pass; memory does not grow with the number of images.

        Raises `ConfigError` when `components` leaves nothing of the embedder's features.
        """
        moments: Moments | None = None
        for embedding in check_features(embeddings, work):
            moments = moments_of(embedding.reshape(-1, embedding.shape[-1]), moments)
        assert moments is not None
        return _of_moments(self.config, moments)

    def memory_bytes(self, count: int, patches: int, dim: int, budget: int) -> int:
        """A few matrices and one block of patches in float64. The number of images does not matter."""
        return 2 * BYTES_PER_FLOAT * (6 * dim**2 + 2 * min(ROWS, count * patches) * dim)

    def restore(self, arrays: Arrays) -> FittedSubspace:
        """From `state()`."""
        moments = Moments.of_arrays(arrays, "moments")
        return FittedSubspace(self.config, Subspace(arrays["mean"], arrays["outside"]), moments)


def _of_moments(config: SubspaceConfig, moments: Moments) -> FittedSubspace:
    subspace = fit_subspace(moments, variance=config.variance, components=config.components)
    return FittedSubspace(config, subspace, moments)


METHOD = Method(SubspaceConfig, SubspaceDetector, candidates=(Candidate("subspace", 4),))
