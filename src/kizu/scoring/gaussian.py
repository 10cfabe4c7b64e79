"""One normal distribution per patch position (PaDiM; Defard et al. 2021)."""

from dataclasses import dataclass

import numpy as np

from kizu.core.errors import ConfigError, ScoreError
from kizu.core.threads import cores, one_blas_thread, spread
from kizu.core.types import F32, F64
from kizu.scoring.conditioning import inverse_factor, longest


@dataclass(frozen=True, slots=True)
class Gaussian:
    """One normal distribution per patch position."""

    mean: F32
    """(P, D)"""
    whitener: F32
    """(P, D, D), lower triangular: the inverse Cholesky factor of the covariance"""


POSITIONS = 32
"""Positions in one block: their covariances stay in the cache between the product and the sum."""


class RunningMoments:
    """Mean and scatter per position over batches that come one after the other; holds one (P, D, D).

    Larger batches are quicker: each one walks through the whole scatter once.
    """

    def __init__(self, positions: int, dims: int) -> None:
        self.count = 0
        self.mean: F64 = np.zeros((positions, dims))
        self.scatter: F64 = np.zeros((positions, dims, dims))
        """Sum over samples of (x - mean)(x - mean)^T. With fewer samples than features some directions have no
        variance, and only epsilon stands for it: float32 sums leave their own rounding there, negative or not."""

    def add(self, embeddings: F32) -> None:
        """Add `embeddings` (N, P, D). Raises `ConfigError` for another shape, `ScoreError` if not finite.

        Pairwise update (Chan, Golub & LeVeque 1983): deviations are taken from the batch's own mean, so that float32
        holds them; the shift between the means is one more deviation, suitably scaled. Products are float64's.
        """
        if embeddings.ndim != 3 or embeddings.shape[1:] != self.mean.shape:
            raise ConfigError(
                f"embeddings must be (N, P, D) with (P, D) = {self.mean.shape}, not {embeddings.shape}"
            )
        if not np.isfinite(embeddings).all():
            raise ScoreError("an embedding is not finite")
        added = len(embeddings)
        if added == 0:
            return
        mean = embeddings.mean(axis=0, dtype=np.float64)  # (P, D)
        shift = mean - self.mean
        total = self.count + added
        deviations = np.empty((len(mean), added + 1, mean.shape[1]), np.float32)  # (P, N + 1, D)
        np.subtract(
            embeddings.transpose(1, 0, 2), mean[:, None], out=deviations[:, :added], casting="same_kind"
        )
        deviations[:, added] = shift * np.sqrt(self.count * added / total)
        with one_blas_thread():
            for start in range(0, len(mean), POSITIONS):
                block = deviations[start : start + POSITIONS].astype(np.float64)
                self.scatter[start : start + POSITIONS] += np.matmul(block.transpose(0, 2, 1), block)
        self.mean += shift * (added / total)
        self.count = total


def fit_gaussian(moments: RunningMoments, epsilon: float) -> Gaussian:
    """Unbiased covariance + `epsilon` * I, per position; one sample alone has covariance 0.

    Raises `ConfigError` for no samples, an epsilon that is not positive, or one that is too small for float32.
    """
    if moments.count == 0:
        raise ConfigError("no embeddings to fit")
    if not epsilon > 0:
        raise ConfigError(f"epsilon must be positive, not {epsilon}")
    positions, dims = moments.mean.shape
    whitener = np.empty((positions, dims, dims), np.float32)
    ridge, share = epsilon * np.eye(dims), 1 / max(moments.count - 1, 1)
    size = longest(moments.mean, np.einsum("pdd->pd", moments.scatter) * share + epsilon)
    with one_blas_thread():
        for start in range(0, positions, POSITIONS):
            block = slice(start, start + POSITIONS)
            for index, covariance in enumerate(moments.scatter[block] * share + ridge, start=start):
                whitener[index] = inverse_factor(covariance, size, epsilon)
    return Gaussian(mean=moments.mean.astype(np.float32), whitener=whitener)


def mahalanobis(gaussian: Gaussian, x: F32) -> F32:
    """Mahalanobis distance (the root) of `x` (N, P, D) from its position's distribution -> (N, P).

    Raises `ConfigError` for another shape, `ScoreError` if not finite.
    """
    if x.ndim != 3 or x.shape[1:] != gaussian.mean.shape:
        raise ConfigError(f"embeddings must be (N, P, D) with (P, D) = {gaussian.mean.shape}, not {x.shape}")
    if not np.isfinite(x).all():
        raise ScoreError("an embedding is not finite")
    count, positions, _ = x.shape
    squared = np.empty((count, positions), np.float32)
    size = -(-positions // cores())

    def fill(start: int) -> None:
        block = slice(start, start + size)
        deviations = (x[:, block] - gaussian.mean[block]).transpose(1, 0, 2)  # (P', N, D)
        white = np.matmul(deviations, gaussian.whitener[block].transpose(0, 2, 1))
        np.einsum("pnd,pnd->np", white, white, out=squared[:, block])

    spread(fill, range(0, positions, size))
    return np.sqrt(squared)
