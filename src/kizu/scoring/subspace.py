"""The directions that good vectors take, and how far a vector lies beyond them.

Principal components of good vectors span a subspace; what is left of a vector after its projection on it is the
residual whose square Jackson & Mudholkar call Q ("Control Procedures for Residuals Associated With Principal Component
Analysis", Technometrics 21, 1979).
"""

from dataclasses import dataclass

import numpy as np

from kizu.core.errors import ConfigError, ScoreError
from kizu.core.threads import cores, one_blas_thread, spread
from kizu.core.types import F32
from kizu.scoring.moments import Moments

VECTORS = 1024
"""At least this many in one product."""
ROUNDING = 2.0**-48
"""A variance of this part of the squared mean is float32 rounding of equal numbers."""


@dataclass(frozen=True, slots=True)
class Subspace:
    """A mean, and the directions that the subspace through it leaves out."""

    mean: F32
    """(D,)"""
    outside: F32
    """(D, R), orthonormal, R = D less the number of components, at least 1"""


def fit_subspace(moments: Moments, *, variance: float, components: int | None = None) -> Subspace:
    """The least number of principal components that hold `variance` (a fraction) of all variance; or `components`.

    Vectors without any spread take none. One direction at least is left out. In float64.
    Raises `ConfigError` for a fraction outside 0 .. 1 and for components that are none or leave nothing out.
    """
    dims = len(moments.mean)
    if not 0 < variance < 1:
        raise ConfigError(f"the kept variance must lie between 0 and 1, not at {variance}")
    if components is not None and not 1 <= components < dims:
        raise ConfigError(
            f"{components} components of {dims} features leave no residual", hint=f"ask for 1 to {dims - 1}"
        )
    with one_blas_thread():
        values, vectors = np.linalg.eigh(moments.covariance)  # ascending
    held = np.cumsum(np.maximum(values[::-1], 0))
    if components is None:
        none = held[-1] <= ROUNDING * (moments.mean @ moments.mean)
        components = 0 if none else int(np.searchsorted(held, variance * held[-1])) + 1
    outside = vectors[:, : max(1, dims - components)]
    return Subspace(moments.mean.astype(np.float32), np.ascontiguousarray(outside, np.float32))


def residuals(subspace: Subspace, x: F32) -> F32:
    """L2 distance of vectors `x` (M, D) from the subspace -> (M,).

    It is the length of the part outside, not what a subtraction leaves of nearly equal lengths.
    Raises `ConfigError` for another shape, `ScoreError` if not finite.
    """
    dims = len(subspace.mean)
    if x.ndim != 2 or x.shape[1] != dims:
        raise ConfigError(f"vectors must be (M, {dims}), not {x.shape}")
    if not np.isfinite(x).all():
        raise ScoreError("a vector is not finite")
    squared = np.empty(len(x), np.float32)
    size = max(VECTORS, -(-len(x) // cores()))

    def fill(start: int) -> None:
        rows = slice(start, start + size)
        parts = (x[rows] - subspace.mean) @ subspace.outside  # (M, R)
        np.einsum("mr,mr->m", parts, parts, out=squared[rows])

    spread(fill, range(0, len(x), size))
    return np.sqrt(squared)
