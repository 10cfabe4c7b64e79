"""Covariances of few samples, pulled towards a sphere as far as the data ask for it."""

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
from scipy.linalg import cholesky, solve_triangular

from kizu.core.errors import ConfigError, ScoreError
from kizu.core.types import F32, F64
from kizu.scoring.gaussian import Gaussian

Shrinkage = Literal["ledoit_wolf", "oas", "none"]

RIDGE = 1e-6
"""Added to the diagonal, so that a feature that never varies has a variance."""


def ledoit_wolf(deviations: F64) -> F64:
    """(N, D) deviations from their mean -> covariance (D, D), all off-diagonal terms kept.

    Ledoit and Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", 2004: the mixture of the
    empirical covariance and a sphere of the same trace that has the least expected squared error.
    """
    count, dims = deviations.shape
    empirical = deviations.T @ deviations / count
    sphere = np.trace(empirical) / dims
    squares = deviations**2
    distance = ((empirical - sphere * np.eye(dims)) ** 2).sum()
    noise = ((squares.T @ squares).sum() / count - (empirical**2).sum()) / count
    weight = 0.0 if distance == 0 else min(noise, distance) / distance
    return _mixed(empirical, weight)


def oas(deviations: F64) -> F64:
    """Likewise, by the oracle approximating shrinkage of Chen, Wiesel, Eldar and Hero, 2010 (equation 23)."""
    return oas_of(deviations.T @ deviations / len(deviations), len(deviations))


def oas_of(empirical: F64, count: int) -> F64:
    """`oas` from the empirical covariance (D, D) of `count` samples: it needs no more of them."""
    dims = len(empirical)
    mean_square = float((empirical**2).mean())
    sphere_square = (np.trace(empirical) / dims) ** 2
    below = (count + 1) * (mean_square - sphere_square / dims)
    weight = 1.0 if below <= 0 else min(1.0, (mean_square + sphere_square) / below)
    return _mixed(empirical, weight)


def unshrunk(deviations: F64) -> F64:
    """The empirical covariance itself."""
    empirical: F64 = deviations.T @ deviations / len(deviations)
    return empirical


SHRINKAGES: Mapping[Shrinkage, Callable[[F64], F64]] = {
    "ledoit_wolf": ledoit_wolf,
    "oas": oas,
    "none": unshrunk,
}


def shrunk_gaussian(samples: F32, shrinkage: Shrinkage) -> Gaussian:
    """One normal distribution of `samples` (N, D), at the only position there is.

    Raises `ConfigError` for no samples, `ScoreError` if not finite.
    """
    if samples.ndim != 2 or 0 in samples.shape:
        raise ConfigError(f"samples must be (N, D) with at least one, not {samples.shape}")
    if not np.isfinite(samples).all():
        raise ScoreError("an embedding is not finite")
    mean = samples.mean(axis=0, dtype=np.float64)
    return gaussian_of(mean, SHRINKAGES[shrinkage](samples - mean))


def gaussian_of(mean: F64, covariance: F64) -> Gaussian:
    """From mean (D,) and covariance (D, D), with `RIDGE` on its diagonal."""
    factor = cholesky(covariance + RIDGE * np.eye(len(mean)), lower=True)
    whitener = solve_triangular(factor, np.eye(len(mean)), lower=True)
    return Gaussian(mean[None].astype(np.float32), whitener[None].astype(np.float32))


def _mixed(empirical: F64, weight: float) -> F64:
    sphere = float(np.trace(empirical)) / len(empirical)
    mixed: F64 = (1 - weight) * empirical + weight * sphere * np.eye(len(empirical))
    return mixed
