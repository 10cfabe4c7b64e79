"""PaDiM (Defard et al., "PaDiM: a Patch Distribution Modeling Framework", ICPR 2020 workshops).

One normal distribution per patch position over a random subset of features; a patch's score is its Mahalanobis
distance to the distribution at its place. It wants parts that lie alike in every picture.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from kizu.backbones.graph import Embedder
from kizu.core.errors import DataError
from kizu.core.types import F32, HW, I64, U8, Scores, StageProgress
from kizu.detectors.base import Arrays, DetectorConfig, embeddings, patch_scores
from kizu.detectors.memory import BYTES_PER_FLOAT
from kizu.scoring.gaussian import Gaussian, RunningMoments, fit_gaussian, mahalanobis
from kizu.scoring.maps import ImageScoreRule


class PadimConfig(DetectorConfig):
    """Defaults by evidence (docs/choices.md); where they are not the paper's, they say so."""

    kind: Literal["padim"] = "padim"
    patch_size: Annotated[int, Field(ge=1, le=9)] = 1
    features: Annotated[int, Field(ge=1)] = 200
    """d: features drawn at random from all layers; all of them where there are fewer (as in Lite0: 152). The paper
    takes 100 of ResNet18's 448."""
    epsilon: Annotated[float, Field(gt=0)] = 0.1
    """Added to the diagonal of each covariance (equation 1). The paper's 0.01 is for features of another scale; with
    few good images it trusts the covariance too much."""
    image_score: ImageScoreRule = "top_patches"
    """The paper takes `max_map`, which one unlucky patch decides."""


IMAGES_PER_UPDATE = 32
"""Each update walks through the covariances once, so several batches share one."""


@dataclass(frozen=True, slots=True)
class FittedPadim:
    """One Gaussian per position of one grid."""

    config: PadimConfig
    embedder: Embedder
    gaussian: Gaussian
    grid_hw: HW

    def score(self, images: U8) -> Scores:
        """(N, H, W, 3) -> scores and maps (N, H, W), in Mahalanobis distance (the root).

        Raises `DataError` for images of another size than it was fitted on: every position has its own Gaussian.
        """
        return self.score_embedding(self.embedder.embed(images), (images.shape[1], images.shape[2]))

    def score_embedding(self, embedding: F32, input_hw: HW) -> Scores:
        """(N, h, w, D) of images (N, H, W, 3) -> the same."""
        n, h, w, dim = embedding.shape
        if (h, w) != self.grid_hw:
            raise DataError(
                f"PaDiM was fitted on a grid of {self.grid_hw} patches, these images give {(h, w)}"
            )
        patches = mahalanobis(self.gaussian, embedding.reshape(n, h * w, dim)).reshape(n, h, w)
        return patch_scores(patches, input_hw, self.config, self.config.image_score)

    def state(self) -> Arrays:
        """Means (P, D), whiteners (P, D, D), and the grid they lie on."""
        return {
            "mean": self.gaussian.mean,
            "whitener": self.gaussian.whitener,
            "grid_hw": np.array(self.grid_hw, dtype=np.int64),
        }


@dataclass(frozen=True, slots=True)
class Padim:
    """PaDiM, set up and not yet fitted."""

    config: PadimConfig

    def channels(self, dim: int, rng: np.random.Generator) -> I64 | None:
        """A random subset, in ascending order."""
        if self.config.features >= dim:
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
        """One pass; memory does not grow with the number of images."""
        moments: RunningMoments | None = None
        grid_hw = (0, 0)
        for embedding in _joined(embeddings(embedder, images, count, on_progress)):
            n, *grid, dim = embedding.shape
            if moments is None:
                grid_hw = (grid[0], grid[1])
                moments = RunningMoments(grid[0] * grid[1], dim)
            moments.add(embedding.reshape(n, -1, dim))
        assert moments is not None
        return FittedPadim(self.config, embedder, fit_gaussian(moments, self.config.epsilon), grid_hw)

    def memory_bytes(self, count: int, patches: int, dim: int) -> int:
        """Scatter and whitener; the embeddings of one update. The number of images does not matter."""
        update = 3 * min(count, IMAGES_PER_UPDATE) * patches * dim
        return (2 * patches * dim * dim + update) * BYTES_PER_FLOAT

    def restore(self, embedder: Embedder, arrays: Arrays) -> FittedPadim:
        """From `state()`."""
        h, w = arrays["grid_hw"].tolist()
        return FittedPadim(self.config, embedder, Gaussian(arrays["mean"], arrays["whitener"]), (h, w))


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
