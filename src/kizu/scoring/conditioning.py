"""Covariances that float32 can still measure with.

A distance is a difference of float32 vectors, multiplied by an inverse factor. The smaller the least variance, the more
that factor magnifies what rounding left in the difference: vectors of length |x| are rounded by up to 2^-24 |x|, which
moves a distance by up to 2^-24 |x| |W|, W the inverse factor.
"""

import math

import numpy as np
from scipy.linalg.lapack import dtrtri

from kizu.core.errors import ConfigError, ScoreError
from kizu.core.types import F64

UNIT = 2.0**-24
"""Of float32, relative."""
ROUNDED = 1.0
"""How far rounding may move a distance at worst. On three sets of images (5 to 256 of them, 152 features, epsilon 1e-14
to 0.1) distances within this limit agreed with float64's to .0011; far beyond it they do not agree at all."""
LARGEST = 1e15
"""Of |W|: beyond it the squares of usual distances leave float32."""


def inverse_factor(covariance: F64, size: float, epsilon: float, *, unit: float = 1.0) -> F64:
    """(D, D): the inverse Cholesky factor of `covariance` (D, D), which has `epsilon` * `unit` on its diagonal.

    Raises `ConfigError`, naming epsilon, where float32 vectors of length `size` cannot be measured with it.
    """
    try:
        factor: F64 = dtrtri(np.linalg.cholesky(covariance), lower=True)[0]
    except np.linalg.LinAlgError:
        raise _refusal(size, len(covariance), epsilon, unit) from None
    ensure_measurable(float(np.linalg.norm(factor)), size, len(covariance), epsilon, unit)
    return factor


def longest(mean: F64, variance: F64) -> float:
    """The root mean squared length of vectors (D,) with `mean` and `variance` (P, D), where it is largest.

    Raises `ScoreError` if not finite.
    """
    size = math.sqrt(float((mean**2 + variance).sum(axis=1).max()))
    if not math.isfinite(size):
        raise ScoreError("the variance of the features is not finite")
    return size


def ensure_measurable(
    magnification: float, size: float, dims: int, epsilon: float, unit: float = 1.0
) -> None:
    """Raises `ConfigError` where vectors (D,) of length `size`, rounded, do not keep their distances; `magnification`:
    |W| (Frobenius)."""
    if not magnification <= _limit(size):
        raise _refusal(size, dims, epsilon, unit)


def ensure_all_measurable(factor: F64, mean: F64, variance: F64, epsilon: float) -> None:
    """The same of inverse factors that are diagonal: `factor` (P, D) of features with `mean` and `variance` (P, D)."""
    # A feature's own factor magnifies its own rounding, and no other's.
    moved = UNIT * np.sqrt(((mean**2 + variance) * factor**2).sum(axis=1).max())
    if not (moved <= ROUNDED and factor.max() <= LARGEST):
        raise _refusal(longest(mean, variance), mean.shape[1], epsilon)


def _limit(size: float) -> float:
    return min(ROUNDED / (UNIT * size), LARGEST)


def _refusal(size: float, dims: int, epsilon: float, unit: float = 1.0) -> ConfigError:
    """What to raise. The epsilon it advises is enough, for |W|^2 <= D / (epsilon * unit)."""
    enough = dims / _limit(size) ** 2 / unit
    return ConfigError(
        f"epsilon {epsilon:g} is too small for features of this size: what float32 rounds off would look like a flaw",
        hint=f"set epsilon to {_round_up(enough):g} or more",
    )


def _round_up(value: float) -> float:
    """To one digit, and a little more, for a larger epsilon lengthens the vectors that are expected."""
    power: float = 10.0 ** math.floor(math.log10(value))
    return math.ceil(1.01 * value / power) * power
