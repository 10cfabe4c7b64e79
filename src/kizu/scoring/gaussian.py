"""One normal distribution per patch position (PaDiM; Defard et al. 2021)."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dtrtri

from kizu.core.errors import ConfigError, ScoreError
from kizu.core.threads import cores, one_blas_thread, spread
from kizu.core.types import F32, F64


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
        self.scatter: F32 = np.zeros((positions, dims, dims), np.float32)
        """Sum over samples of (x - mean)(x - mean)^T."""

    def add(self, embeddings: F32) -> None:
        """Add `embeddings` (N, P, D). Raises `ConfigError` for another shape, `ScoreError` if not finite.

        Pairwise update (Chan, Golub & LeVeque 1983): deviations are taken from the batch's own mean, so float32
        loses nothing to cancellation; the shift between the means is one more deviation, suitably scaled.
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
                block = deviations[start : start + POSITIONS]
                self.scatter[start : start + POSITIONS] += np.matmul(block.transpose(0, 2, 1), block)
        self.mean += shift * (added / total)
        self.count = total


def fit_gaussian(moments: RunningMoments, epsilon: float) -> Gaussian:
    """Unbiased covariance + `epsilon` * I, per position; one sample alone has covariance 0.

    Raises `ConfigError` for no samples or an epsilon that is not positive.
    """
    if moments.count == 0:
        raise ConfigError("no embeddings to fit")
    if not epsilon > 0:
        raise ConfigError(f"epsilon must be positive, not {epsilon}")
    positions, dims = moments.mean.shape
    whitener = np.empty((positions, dims, dims), np.float32)
    ridge = epsilon * np.eye(dims)
    with one_blas_thread():
        for start in range(0, positions, POSITIONS):
            block = slice(start, start + POSITIONS)
            covariance = moments.scatter[block].astype(np.float64) / max(moments.count - 1, 1) + ridge
            for index, factor in enumerate(np.linalg.cholesky(covariance), start=start):
                whitener[index] = dtrtri(factor, lower=True)[0]
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
