"""Normal distributions per patch position that are cheaper than a full covariance: D times for a diagonal one, D / r
times for r factors and noise.

`DiagonalGaussian` supposes that features vary independently. `LowRankGaussian` is probabilistic PCA (Tipping & Bishop,
"Probabilistic Principal Component Analysis", J. Royal Statistical Society B 61, 1999): the r directions of largest
variance are kept, and all others are given their mean variance (its equation 8, which is the likeliest). Its inverse
covariance is known without inverting anything (Woodbury's identity; the factors are orthonormal).
"""

import math
from dataclasses import dataclass

import numpy as np

from kizu.core.errors import ConfigError, ScoreError
from kizu.core.threads import cores, one_blas_thread, spread
from kizu.core.types import F32, F64, I64
from kizu.scoring.conditioning import ensure_all_measurable, ensure_measurable

ROWS = 8192
"""Vectors that are taken to float64 at a time."""
POSITIONS = 16
"""Positions whose samples are taken to float64 at a time."""


@dataclass(frozen=True, slots=True)
class DiagonalGaussian:
    """One normal distribution per patch position, its features independent."""

    mean: F32
    """(P, D)"""
    scale: F32
    """(P, D), 1 / standard deviation"""


@dataclass(frozen=True, slots=True)
class LowRankGaussian:
    """One normal distribution per patch position, with r free directions and one variance for all others."""

    mean: F32
    """(P, D)"""
    axes: F32
    """(P, D, r), orthonormal: the directions of largest variance"""
    scale: F32
    """(P, r), 1 / standard deviation along each of them"""
    rest: F32
    """(P,), 1 / standard deviation along any other"""


class RunningVariances:
    """Mean and squared deviations per position and feature, over batches that come one after the other; float64."""

    def __init__(self, positions: int, dims: int) -> None:
        self.count = 0
        self.mean: F64 = np.zeros((positions, dims))
        self.scatter: F64 = np.zeros((positions, dims))
        """Sum over samples of (x - mean)^2."""

    def add(self, embeddings: F32) -> None:
        """Add `embeddings` (N, P, D), pairwise as `RunningMoments` does.

        Raises `ConfigError` for another shape, `ScoreError` if not finite.
        """
        _check(embeddings, self.mean.shape)
        added = len(embeddings)
        if added == 0:
            return
        mean = embeddings.mean(axis=0, dtype=np.float64)  # (P, D)
        shift, total = mean - self.mean, self.count + added
        self.scatter += embeddings.var(axis=0, dtype=np.float64) * added
        self.scatter += shift**2 * (self.count * added / total)
        self.mean += shift * (added / total)
        self.count = total


def fit_diagonal(moments: RunningVariances, epsilon: float) -> DiagonalGaussian:
    """Unbiased variances + `epsilon`; one sample alone has variance 0.

    Raises `ConfigError` for no samples, an epsilon that is not positive, or one that is too small for float32.
    """
    _check_fit(moments.count, epsilon)
    variance = moments.scatter / max(moments.count - 1, 1) + epsilon
    factor = 1 / np.sqrt(variance)
    ensure_all_measurable(factor, moments.mean, variance, epsilon)
    return DiagonalGaussian(moments.mean.astype(np.float32), factor.astype(np.float32))


def fit_low_rank(x: F32, epsilon: float, rank: int, channels: I64 | None = None) -> LowRankGaussian:
    """From all samples `x` (N, P, D'), which may lie in a file, or those features (D,) of them. Position by position,
    so that no more than a few covariances are ever there.

    Unbiased variances, `epsilon` added in every direction. Raises `ConfigError` for no samples, an epsilon that is not
    positive or too small for float32, or a rank that leaves no other direction; `ScoreError` if not finite.
    """
    count, positions, dims = x.shape
    dims = dims if channels is None else len(channels)
    _check_fit(count, epsilon)
    if not 1 <= rank < dims:
        raise ConfigError(
            f"{rank} factors of {dims} features leave nothing to the rest",
            hint=f"ask for a rank of 1 to {dims - 1}, or the full covariance",
        )
    mean = np.empty((positions, dims), np.float32)
    axes = np.empty((positions, dims, rank), np.float32)
    scale, rest = np.empty((positions, rank), np.float32), np.empty(positions, np.float32)
    precisions, squares = np.empty(positions), np.empty(positions)
    """Squared: the norm of the inverse factor, and the length of a vector"""

    def fill(start: int) -> None:
        block = slice(start, start + POSITIONS)
        samples = x[:, block] if channels is None else np.take(x[:, block], channels, axis=2)
        samples = samples.astype(np.float64)
        if not np.isfinite(samples).all():
            raise ScoreError("an embedding is not finite")
        middle = samples.mean(axis=0)
        mean[block] = middle
        for index, deviations in enumerate((samples - middle).transpose(1, 0, 2), start=start):  # (N, D)
            variances, axes[index] = _principal(deviations / np.sqrt(max(count - 1, 1)), rank)
            whole = float(np.sum(deviations**2)) / max(count - 1, 1)
            left = max(0.0, whole - float(variances.sum())) / (dims - rank)
            with np.errstate(over="ignore"):  # such an epsilon is refused below
                scale[index] = 1 / np.sqrt(variances + epsilon)
                rest[index] = 1 / np.sqrt(left + epsilon)
            precisions[index] = np.sum(1 / (variances + epsilon)) + (dims - rank) / (left + epsilon)
            squares[index] = whole + dims * epsilon + np.sum(middle[index - start] ** 2)

    spread(fill, range(0, positions, POSITIONS))
    ensure_measurable(math.sqrt(precisions.max()), math.sqrt(squares.max()), dims, epsilon)
    return LowRankGaussian(mean, axes, scale, rest)


def _principal(x: F64, rank: int) -> tuple[F64, F64]:
    """The `rank` largest eigenvalues of x^T x and their directions, for `x` (N, D) -> (r,), (D, r).

    Where there are fewer samples than factors, directions without variance complete them.
    """
    count, dims = x.shape
    if count > dims:
        values, vectors = np.linalg.eigh(x.T @ x)  # ascending
        return np.maximum(values[: -rank - 1 : -1], 0), vectors[:, : -rank - 1 : -1]
    _, singular, right = np.linalg.svd(x, full_matrices=False)  # right: (N, D)
    variances = np.zeros(rank)
    variances[: min(rank, count)] = singular[:rank] ** 2
    # QR leaves the first N directions as they are, or turns one round, which changes no distance.
    completed = np.column_stack([right[:rank].T, np.eye(dims)[:, : max(0, rank - count)]])
    return variances, np.linalg.qr(completed)[0]


def lean_mahalanobis(gaussian: DiagonalGaussian | LowRankGaussian, x: F32) -> F32:
    """Mahalanobis distance (the root) of `x` (N, P, D) from its position's distribution -> (N, P).

    Raises `ConfigError` for another shape, `ScoreError` if not finite.
    """
    _check(x, gaussian.mean.shape)
    count, positions, _ = x.shape
    squared = np.empty((count, positions), np.float32)
    size = -(-positions // cores())

    def fill(start: int) -> None:
        block = slice(start, start + size)
        deviations = x[:, block] - gaussian.mean[block]  # (N, P', D)
        if isinstance(gaussian, DiagonalGaussian):
            deviations *= gaussian.scale[block]
            np.einsum("npd,npd->np", deviations, deviations, out=squared[:, block])
            return
        axes = gaussian.axes[block]  # (P', D, r)
        deviations = deviations.transpose(1, 0, 2)  # (P', N, D)
        along = np.matmul(deviations, axes)  # (P', N, r)
        # What lies outside the factors, from the difference itself: |x|^2 less the squares along them would cancel.
        outside = deviations - np.matmul(along, axes.transpose(0, 2, 1))
        along *= gaussian.scale[block][:, None]
        outside *= gaussian.rest[block][:, None, None]
        inside_squared = np.einsum("pnr,pnr->np", along, along)
        squared[:, block] = inside_squared + np.einsum("pnd,pnd->np", outside, outside)

    spread(fill, range(0, positions, size))
    return np.sqrt(squared)


def highest_variance(features: F32, count: int) -> I64:
    """Indices (ascending) of the `count` features with the highest variance over all vectors `features` (M, D).

    One pass in float64, over vectors in blocks: they may lie in a file. No chance: among equals the lowest index.
    Raises `ConfigError` unless 1 <= count <= D and there is a vector, `ScoreError` if not finite.
    """
    rows, dims = features.shape
    if rows == 0 or not 1 <= count <= dims:
        raise ConfigError(f"{count} features cannot be chosen from {dims} over {rows} vectors")
    moments = RunningVariances(1, dims)
    with one_blas_thread():
        for low in range(0, rows, ROWS):
            moments.add(np.asarray(features[low : low + ROWS])[:, None])
    order = np.argsort(-moments.scatter[0], kind="stable")
    return np.sort(order[:count]).astype(np.int64)


def _check(x: F32, shape: tuple[int, ...]) -> None:
    if x.ndim != 3 or x.shape[1:] != shape:
        raise ConfigError(f"embeddings must be (N, P, D) with (P, D) = {shape}, not {x.shape}")
    if not np.isfinite(x).all():
        raise ScoreError("an embedding is not finite")


def _check_fit(count: int, epsilon: float) -> None:
    if count == 0:
        raise ConfigError("no embeddings to fit")
    if not epsilon > 0:
        raise ConfigError(f"epsilon must be positive, not {epsilon}")
