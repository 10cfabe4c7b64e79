"""Normal distributions that keep less than a full covariance: for features too many for one.

Both score by the Mahalanobis distance (the root), as `scoring.gaussian` does.
"""

from dataclasses import dataclass

import numpy as np

from kizu.core.errors import ConfigError, ScoreError
from kizu.core.threads import one_blas_thread, spread
from kizu.core.types import F32, F64

POSITIONS = 32
"""Positions in one block."""


@dataclass(frozen=True, slots=True)
class DiagonalGaussian:
    """One normal distribution per patch position whose features do not know each other."""

    mean: F32
    """(P, D)"""
    precision: F32
    """(P, D), one over the variance"""

    def distances(self, x: F32) -> F32:
        """(N, P, D) -> (N, P). Raises `ConfigError` for another shape, `ScoreError` if not finite."""
        check_embeddings(x, self.mean.shape)
        deviations = x - self.mean
        squared: F32 = np.einsum("npd,npd,pd->np", deviations, deviations, self.precision)
        return np.sqrt(squared)


@dataclass(frozen=True, slots=True)
class LowRankGaussian:
    """One normal distribution per patch position: R directions with their own variances, one variance in all others.

    Probabilistic PCA (Tipping & Bishop, "Probabilistic Principal Component Analysis", J. R. Statist. Soc. B 61, 1999).
    """

    mean: F32
    """(P, D)"""
    basis: F32
    """(P, R, D), orthonormal rows, the direction of the highest variance first"""
    precision: F32
    """(P, R), one over the variance in each direction"""
    rest: F32
    """(P,), one over the variance in every other direction"""

    def distances(self, x: F32) -> F32:
        """(N, P, D) -> (N, P). Raises `ConfigError` for another shape, `ScoreError` if not finite."""
        check_embeddings(x, self.mean.shape)
        squared = np.empty(x.shape[:2], np.float32)

        def fill(start: int) -> None:
            block = slice(start, start + POSITIONS)
            deviations = (x[:, block] - self.mean[block]).transpose(1, 0, 2)  # (P', N, D)
            along = np.matmul(deviations, self.basis[block].transpose(0, 2, 1))  # (P', N, R)
            outside = deviations - np.matmul(
                along, self.basis[block]
            )  # what no direction explains; no cancellation
            inside = np.einsum("pnr,pnr,pr->np", along, along, self.precision[block])
            squared[:, block] = inside + np.einsum("pnd,pnd->np", outside, outside) * self.rest[block]

        spread(fill, range(0, len(self.mean), POSITIONS))
        return np.sqrt(squared)


class RunningVariances:
    """Mean and variance of every feature at every position over batches that come one after the other."""

    def __init__(self, positions: int, dims: int) -> None:
        self.count = 0
        self.mean: F64 = np.zeros((positions, dims))
        self.squares: F64 = np.zeros((positions, dims))
        """Sum over samples of (x - mean)^2."""

    def add(self, embeddings: F32) -> None:
        """Add `embeddings` (N, P, D), pairwise (Chan, Golub & LeVeque 1983). Raises as `distances`."""
        check_embeddings(embeddings, self.mean.shape)
        added = len(embeddings)
        if added == 0:
            return
        mean = embeddings.mean(axis=0, dtype=np.float64)
        shift = mean - self.mean
        total = self.count + added
        self.squares += np.square(embeddings - mean).sum(axis=0) + shift**2 * (self.count * added / total)
        self.mean += shift * (added / total)
        self.count = total


def fit_diagonal(moments: RunningVariances, epsilon: float) -> DiagonalGaussian:
    """Unbiased variances + `epsilon`; one sample alone has variance 0. Raises `ConfigError` as `fit_gaussian`."""
    check_fit(moments.count, epsilon)
    variance = moments.squares / max(moments.count - 1, 1) + epsilon
    return DiagonalGaussian(moments.mean.astype(np.float32), (1 / variance).astype(np.float32))


def fit_low_rank(features: F32, rank: int, epsilon: float) -> LowRankGaussian:
    """`features` (N, P, D), which may lie in a file; at most min(`rank`, N - 1, D) directions are kept.

    Unbiased variances + `epsilon` along them; all others share the mean of what is left + `epsilon`. Of N x N and
    D x D the smaller matrix is decomposed. Raises `ConfigError` as `fit_gaussian`, `ScoreError` if not finite.
    """
    count, positions, dims = features.shape
    check_fit(count, epsilon)
    kept = min(rank, count - 1, dims)
    mean = np.empty((positions, dims), np.float32)
    basis = np.zeros((positions, kept, dims), np.float32)
    precision = np.empty((positions, kept), np.float32)
    rest = np.empty(positions, np.float32)

    def fit_one(position: int) -> None:
        x = features[:, position].astype(np.float64)
        if not np.isfinite(x).all():
            raise ScoreError("an embedding is not finite")
        centre = x.mean(axis=0)
        x -= centre
        degrees = max(count - 1, 1)
        if count < dims:
            values, vectors = np.linalg.eigh(x @ x.T / degrees)
            vectors = x.T @ vectors
            vectors /= np.maximum(np.linalg.norm(vectors, axis=0), np.finfo(np.float64).tiny)
        else:
            values, vectors = np.linalg.eigh(x.T @ x / degrees)
        highest = np.arange(len(values))[::-1][:kept]
        values = np.maximum(values, 0)
        left = max(float(values.sum() - values[highest].sum()), 0.0) / max(dims - kept, 1)
        mean[position] = centre
        basis[position] = _orthonormal(vectors[:, highest]).T
        precision[position] = 1 / (values[highest] + epsilon)
        rest[position] = 1 / (left + epsilon)

    with one_blas_thread():
        spread(fit_one, range(positions))
    return LowRankGaussian(mean, basis, precision, rest)


def check_embeddings(x: F32, shape: tuple[int, ...]) -> None:
    """Raises `ConfigError` unless `x` is (N, *shape), `ScoreError` if not finite."""
    if x.ndim != 3 or x.shape[1:] != shape:
        raise ConfigError(f"embeddings must be (N, P, D) with (P, D) = {shape}, not {x.shape}")
    if not np.isfinite(x).all():
        raise ScoreError("an embedding is not finite")


def check_fit(count: int, epsilon: float) -> None:
    """Raises `ConfigError` for no samples or an epsilon that is not positive."""
    if count == 0:
        raise ConfigError("no embeddings to fit")
    if not epsilon > 0:
        raise ConfigError(f"epsilon must be positive, not {epsilon}")


def _orthonormal(vectors: F64) -> F64:
    """(D, R): directions without variance come out of a thin decomposition as anything; made orthonormal again."""
    if vectors.shape[1] == 0:
        return vectors
    q, r = np.linalg.qr(vectors)
    signs = np.where(np.diag(r) < 0, -1.0, 1.0)
    return np.asarray(q * signs)
