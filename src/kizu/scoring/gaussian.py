"""One normal distribution per patch position (PaDiM; Defard et al. 2021)."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from kizu.core.errors import ConfigError, ScoreError
from kizu.core.types import F32, F64


@dataclass(frozen=True, slots=True)
class Gaussian:
    """One normal distribution per patch position."""

    mean: F32
    """(P, D)"""
    whitener: F32
    """(P, D, D), lower triangular: the inverse Cholesky factor of the covariance"""


class RunningMoments:
    """Mean and scatter per position over batches that come one after the other; holds one (P, D, D)."""

    def __init__(self, positions: int, dims: int) -> None:
        self.count = 0
        self.mean: F64 = np.zeros((positions, dims))
        self.scatter: F64 = np.zeros((positions, dims, dims))
        """Sum over samples of (x - mean)(x - mean)^T."""

    def add(self, embeddings: F32) -> None:
        """Add `embeddings` (N, P, D). Raises `ConfigError` for another shape, `ScoreError` if not finite."""
        if embeddings.ndim != 3 or embeddings.shape[1:] != self.mean.shape:
            raise ConfigError(
                f"embeddings must be (N, P, D) with (P, D) = {self.mean.shape}, not {embeddings.shape}"
            )
        if not np.isfinite(embeddings).all():
            raise ScoreError("an embedding is not finite")
        if len(embeddings) == 0:
            return
        x = embeddings.astype(np.float64)
        mean = x.mean(axis=0)
        deviation = x - mean
        shift = mean - self.mean
        total = self.count + len(x)
        self.scatter += np.einsum("npi,npj->pij", deviation, deviation)
        self.scatter += np.einsum("pi,pj->pij", shift, shift) * (self.count * len(x) / total)
        self.mean += shift * (len(x) / total)
        self.count = total


def fit_gaussian(moments: RunningMoments, epsilon: float = 0.01) -> Gaussian:
    """Unbiased covariance + `epsilon` * I, per position; one sample alone has covariance 0.

    Raises `ConfigError` for no samples or an epsilon that is not positive.
    """
    if moments.count == 0:
        raise ConfigError("no embeddings to fit")
    if not epsilon > 0:
        raise ConfigError(f"epsilon must be positive, not {epsilon}")
    dims = moments.mean.shape[1]
    covariance = moments.scatter / max(moments.count - 1, 1) + epsilon * np.eye(dims)
    factors = np.linalg.cholesky(covariance)
    whitener = np.stack([solve_triangular(factor, np.eye(dims), lower=True) for factor in factors])
    return Gaussian(mean=moments.mean.astype(np.float32), whitener=whitener.astype(np.float32))


def mahalanobis(gaussian: Gaussian, x: F32) -> F32:
    """Mahalanobis distance (the root) of `x` (N, P, D) from its position's distribution -> (N, P).

    Raises `ConfigError` for another shape, `ScoreError` if not finite.
    """
    if x.ndim != 3 or x.shape[1:] != gaussian.mean.shape:
        raise ConfigError(f"embeddings must be (N, P, D) with (P, D) = {gaussian.mean.shape}, not {x.shape}")
    white = np.einsum("pij,npj->npi", gaussian.whitener, x - gaussian.mean)
    distances: F32 = np.sqrt(np.einsum("npi,npi->np", white, white))
    if not np.isfinite(distances).all():
        raise ScoreError("an embedding is not finite")
    return distances
