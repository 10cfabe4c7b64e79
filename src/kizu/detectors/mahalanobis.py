"""One normal distribution of whole images (Rippel et al., "Modeling the Distribution of Normal Data in Pre-Trained Deep
Features for Anomaly Detection", ICPR 2020), and one of patches for the map.

The image score is the Mahalanobis distance of the image's mean embedding, with the full covariance. The map shows each
patch's distance to one distribution of all good patches. Small and quick; it sees flaws that change the whole picture
better than it sees small ones.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from kizu.backbones.graph import Embedder
from kizu.core.types import F32, I64, U8, Scores, StageProgress
from kizu.detectors.base import Arrays, DetectorConfig, embeddings, smoothed_maps
from kizu.detectors.memory import BYTES_PER_FLOAT
from kizu.scoring.gaussian import Gaussian, RunningMoments, mahalanobis
from kizu.scoring.shrinkage import Shrinkage, gaussian_of, oas_of, shrunk_gaussian


class MahalanobisConfig(DetectorConfig):
    """Defaults are the paper's, but for the layers, which are joined into one embedding."""

    kind: Literal["mahalanobis"] = "mahalanobis"
    patch_size: Annotated[int, Field(ge=1, le=9)] = 1
    shrinkage: Shrinkage = "ledoit_wolf"
    """Of the covariance of images. That of patches, of which there are thousands, is always shrunk by OAS."""


@dataclass(frozen=True, slots=True)
class FittedMahalanobis:
    """Two Gaussians."""

    config: MahalanobisConfig
    embedder: Embedder
    images: Gaussian
    """Of mean embeddings."""
    patches: Gaussian

    def score(self, images: U8) -> Scores:
        """(N, H, W, 3) -> scores and maps (N, H, W), in Mahalanobis distance (the root)."""
        embedding = self.embedder.embed(images)  # (N, h, w, D)
        n, h, w, dim = embedding.shape
        pooled = _pooled(embedding)
        distances = mahalanobis(self.patches, embedding.reshape(-1, 1, dim)).reshape(n, h, w)
        return Scores(
            mahalanobis(self.images, pooled[:, None])[:, 0],
            smoothed_maps(distances, images.shape[1:3], self.config.smoothing),
        )

    def state(self) -> Arrays:
        """Means (1, D) and whiteners (1, D, D) of images and of patches."""
        return {
            "image_mean": self.images.mean,
            "image_whitener": self.images.whitener,
            "patch_mean": self.patches.mean,
            "patch_whitener": self.patches.whitener,
        }


@dataclass(frozen=True, slots=True)
class Mahalanobis:
    """The method, set up and not yet fitted."""

    config: MahalanobisConfig

    def channels(self, dim: int, rng: np.random.Generator) -> I64 | None:
        """All of them."""
        return None

    def fit(
        self,
        embedder: Embedder,
        images: Iterable[U8],
        *,
        count: int,
        rng: np.random.Generator,
        on_progress: StageProgress | None = None,
    ) -> FittedMahalanobis:
        """One pass; of each image its mean embedding is kept."""
        moments = RunningMoments(1, embedder.dim)
        pooled = []
        for embedding in embeddings(embedder, images, count, on_progress):
            pooled.append(_pooled(embedding))
            moments.add(embedding.reshape(-1, 1, embedder.dim))
        covariance = moments.scatter[0].astype(np.float64) / moments.count
        return FittedMahalanobis(
            self.config,
            embedder,
            shrunk_gaussian(np.concatenate(pooled), self.config.shrinkage),
            gaussian_of(moments.mean[0], oas_of(covariance, moments.count)),
        )

    def memory_bytes(self, count: int, patches: int, dim: int) -> int:
        """The mean embeddings, a few matrices, and one batch of patches in a few copies."""
        return (count * dim + 12 * dim * dim + 4 * min(count, 8) * patches * dim) * BYTES_PER_FLOAT

    def restore(self, embedder: Embedder, arrays: Arrays) -> FittedMahalanobis:
        """From `state()`."""
        images = Gaussian(arrays["image_mean"], arrays["image_whitener"])
        return FittedMahalanobis(
            self.config, embedder, images, Gaussian(arrays["patch_mean"], arrays["patch_whitener"])
        )


def _pooled(embedding: F32) -> F32:
    """(N, h, w, D) -> (N, D), the mean over patches."""
    pooled: F32 = embedding.mean(axis=(1, 2), dtype=np.float64).astype(np.float32)
    return pooled
