"""PaDiM (Defard et al., "PaDiM: a Patch Distribution Modeling Framework", ICPR 2020 workshops).

One normal distribution per patch position over a subset of features; a patch's score is its Mahalanobis distance to
the distribution at its place. It wants parts that lie alike in every picture.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from kizu.backbones.graph import Embedder
from kizu.core.errors import DataError
from kizu.core.types import F32, F64, HW, I64, U8, Scores, StageProgress
from kizu.detectors.bank import gathered
from kizu.detectors.base import Arrays, DetectorConfig, embeddings, ensure_room, patch_scores
from kizu.detectors.memory import BYTES_PER_FLOAT, memory_budget
from kizu.scoring.covariance import (
    DiagonalGaussian,
    LowRankGaussian,
    RunningVariances,
    fit_diagonal,
    fit_low_rank,
)
from kizu.scoring.gaussian import Gaussian, RunningMoments, fit_gaussian
from kizu.scoring.maps import ImageScoreRule


class PadimConfig(DetectorConfig):
    """Defaults by evidence (docs/choices.md); where they are not the paper's, they say so."""

    kind: Literal["padim"] = "padim"
    patch_size: Annotated[int, Field(ge=1, le=9)] = 1
    features: Annotated[int, Field(ge=1)] = 200
    """d: how many features of all layers are kept; all, where there are fewer (as in Lite0: 152). The paper takes
    100 of ResNet18's 448."""
    choose_by: Literal["seed", "variance"] = "seed"
    """Which ones: drawn at random, as in the paper, or those that vary most over good patches, all positions taken
    together."""
    covariance: Literal["full", "diagonal", "low_rank"] = "full"
    """`diagonal` forgets how features move together; `low_rank` keeps `rank` directions per position, and the features
    of all images are gathered for it (in a file where memory would not do)."""
    rank: Annotated[int, Field(ge=1)] = 32
    """Of `low_rank`."""
    epsilon: Annotated[float, Field(gt=0)] = 0.1
    """Added to the diagonal of each covariance (equation 1). The paper's 0.01 is for features of another scale; with
    few good images it trusts the covariance too much."""
    image_score: ImageScoreRule = "top_patches"
    """The paper takes `max_map`, which one unlucky patch decides."""


IMAGES_PER_UPDATE = 32
"""Each update walks through the covariances once, so several batches share one."""


AnyGaussian = Gaussian | DiagonalGaussian | LowRankGaussian
_KINDS: dict[str, tuple[type[AnyGaussian], tuple[str, ...]]] = {
    "full": (Gaussian, ("mean", "whitener")),
    "diagonal": (DiagonalGaussian, ("mean", "precision")),
    "low_rank": (LowRankGaussian, ("mean", "basis", "precision", "rest")),
}


@dataclass(frozen=True, slots=True)
class FittedPadim:
    """One Gaussian per position of one grid."""

    config: PadimConfig
    embedder: Embedder
    gaussian: AnyGaussian
    grid_hw: HW
    count: int
    """Images it was fitted on."""
    chosen: I64 | None
    """(d,) features that are looked at, where they were chosen by their variance."""

    def score(self, images: U8) -> Scores:
        """(N, H, W, 3) -> scores and maps (N, H, W), in Mahalanobis distance (the root).

        Raises `DataError` for images of another size than it was fitted on: every position has its own Gaussian.
        """
        return self.score_embedding(self.embedder.embed(images), (images.shape[1], images.shape[2]))

    def score_embedding(self, embedding: F32, input_hw: HW) -> Scores:
        """(N, h, w, D) of images (N, H, W, 3) -> the same."""
        n, h, w, _ = embedding.shape
        if (h, w) != self.grid_hw:
            raise DataError(
                f"PaDiM was fitted on a grid of {self.grid_hw} patches, these images give {(h, w)}"
            )
        if self.chosen is not None:
            embedding = embedding[..., self.chosen]
        patches = self.gaussian.distances(embedding.reshape(n, h * w, -1)).reshape(n, h, w)
        return patch_scores(patches, input_hw, self.config, self.config.image_score)

    def state(self) -> Arrays:
        """The Gaussian's arrays, the grid they lie on, on how many images they rest, and the chosen features."""
        _, names = _KINDS[self.config.covariance]
        arrays = {name: getattr(self.gaussian, name) for name in names}
        arrays["grid_hw"] = np.array(self.grid_hw, dtype=np.int64)
        arrays["count"] = np.array(self.count)
        return arrays if self.chosen is None else arrays | {"chosen": self.chosen}


@dataclass(frozen=True, slots=True)
class Padim:
    """PaDiM, set up and not yet fitted."""

    config: PadimConfig

    def channels(self, dim: int, rng: np.random.Generator) -> I64 | None:
        """A random subset, in ascending order; all of them where the variance is to choose."""
        if self.config.features >= dim or self.config.choose_by == "variance":
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
        """One pass; only `low_rank` keeps the features of all images meanwhile.

        Raises `ConfigError` before it begins when the machine has no room for the covariances.
        """
        stream = self._while_there_is_room(embeddings(embedder, images, count, on_progress), count)
        if self.config.covariance == "low_rank":
            with gathered(stream, count) as (features, (n, h, w)):
                x = features.reshape(n, h * w, -1)
                chosen = self._chosen(x.shape[-1], lambda: features.var(axis=0, dtype=np.float64))
                x = x if chosen is None else x[..., chosen]
                low_rank = fit_low_rank(x, self.config.rank, self.config.epsilon)
            return FittedPadim(self.config, embedder, low_rank, (h, w), n, chosen)
        full = self.config.covariance == "full"
        moments: RunningMoments | RunningVariances | None = None
        grid_hw = (0, 0)
        for embedding in _joined(stream):
            n, *grid, dim = embedding.shape
            if moments is None:
                grid_hw = (grid[0], grid[1])
                moments = (RunningMoments if full else RunningVariances)(grid[0] * grid[1], dim)
            moments.add(embedding.reshape(n, -1, dim))
        assert moments is not None
        found = moments
        chosen = self._chosen(moments.mean.shape[1], lambda: _variance(found))
        return self._fitted(embedder, moments, grid_hw, chosen)

    def _fitted(
        self,
        embedder: Embedder,
        moments: RunningMoments | RunningVariances,
        grid_hw: HW,
        chosen: I64 | None,
    ) -> FittedPadim:
        gaussian: AnyGaussian
        if isinstance(moments, RunningMoments):
            if chosen is not None:
                moments.mean = moments.mean[:, chosen]
                moments.scatter = moments.scatter[:, chosen[:, None], chosen]
            gaussian = fit_gaussian(moments, self.config.epsilon)
        else:
            if chosen is not None:
                moments.mean, moments.squares = moments.mean[:, chosen], moments.squares[:, chosen]
            gaussian = fit_diagonal(moments, self.config.epsilon)
        return FittedPadim(self.config, embedder, gaussian, grid_hw, moments.count, chosen)

    def _chosen(self, dim: int, variance: Callable[[], F64]) -> I64 | None:
        """The indices of the highest of (D,) variances over all good patches, ascending; among equals the first."""
        if self.config.choose_by == "seed" or self.config.features >= dim:
            return None
        highest = np.argsort(-variance(), kind="stable")[: self.config.features]
        return np.sort(highest).astype(np.int64)

    def _while_there_is_room(self, stream: Iterator[F32], count: int) -> Iterator[F32]:
        for index, embedding in enumerate(stream):
            if index == 0:
                _, h, w, dim = embedding.shape
                ensure_room(
                    self.memory_bytes(count, h * w, dim),
                    hint="keep fewer `features`, take `covariance` low_rank or diagonal, or a smaller image_size",
                )
            yield embedding

    def memory_bytes(self, count: int, patches: int, dim: int) -> int:
        """What the covariances take while they are fitted, and the embeddings of one update."""
        update = 3 * min(count, IMAGES_PER_UPDATE) * patches * dim * BYTES_PER_FLOAT
        if self.config.covariance == "full":
            return 2 * patches * dim * dim * BYTES_PER_FLOAT + update
        if self.config.covariance == "diagonal":
            return 6 * patches * dim * BYTES_PER_FLOAT + 2 * update
        features = min(count * patches * dim * BYTES_PER_FLOAT, memory_budget())
        return features + (self.config.rank + 2) * patches * dim * BYTES_PER_FLOAT + update

    def restore(self, embedder: Embedder, arrays: Arrays) -> FittedPadim:
        """From `state()`."""
        h, w = arrays["grid_hw"].tolist()
        kind, names = _KINDS[self.config.covariance]
        gaussian = kind(*(arrays[name] for name in names))
        return FittedPadim(
            self.config, embedder, gaussian, (h, w), int(arrays["count"]), arrays.get("chosen")
        )


def _variance(moments: RunningMoments | RunningVariances) -> F64:
    """(D,) variance over all samples and positions together: within each position, and between their means."""
    if isinstance(moments, RunningMoments):
        squares: F64 = np.einsum("pdd->pd", moments.scatter).astype(np.float64)
    else:
        squares = moments.squares
    variance: F64 = squares.mean(axis=0) / moments.count + moments.mean.var(axis=0)
    return variance


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
