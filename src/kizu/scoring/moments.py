"""What remains of any number of vectors: sums that a later look needs, taken in one pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kizu.core.errors import CalibrationError, ConfigError, ScoreError
from kizu.core.threads import one_blas_thread
from kizu.core.types import F32, F64

ROWS = 4096
"""Vectors that are taken to float64 at a time."""


_FIELDS = ("count", "mean", "scatter", "cubic", "quartic")


@dataclass(frozen=True, slots=True)
class Moments:
    """What remains of M vectors: enough for their covariance and for how far to shrink it, whatever M is."""

    count: int
    mean: F64
    """(D,)"""
    scatter: F64
    """(D, D), sum of d d^T over the vectors, d = x - mean"""
    cubic: F64
    """(D,), sum of |d|^2 d"""
    quartic: float
    """Sum of |d|^4"""

    def merge(self, other: Moments) -> Moments:
        """Of both sets of vectors together: both are moved to the common mean, where sums just add."""
        count = self.count + other.count
        mean = self.mean + (other.mean - self.mean) * (other.count / count)
        one, two = self._about(mean), other._about(mean)
        return Moments(
            count, mean, one.scatter + two.scatter, one.cubic + two.cubic, one.quartic + two.quartic
        )

    def without(self, part: Moments) -> Moments:
        """Of the vectors that are not in `part`, whose vectors are all among these. Raises `CalibrationError` where
        these are all."""
        count = self.count - part.count
        if count <= 0:
            raise CalibrationError(
                "without one group of good images nothing is left", hint="give more good images"
            )
        mean = self.mean + (self.mean - part.mean) * (part.count / count)
        one, two = self._about(mean), part._about(mean)
        return Moments(
            count, mean, one.scatter - two.scatter, one.cubic - two.cubic, one.quartic - two.quartic
        )

    def _about(self, centre: F64) -> Moments:
        """The sums over x - centre in place of x - mean: d - s multiplied out, and the sum of d is 0."""
        shift = centre - self.mean
        square = float(shift @ shift)
        trace = float(np.trace(self.scatter))
        along = self.scatter @ shift
        return Moments(
            self.count,
            centre,
            self.scatter + self.count * np.outer(shift, shift),
            self.cubic - trace * shift - 2 * along - self.count * square * shift,
            self.quartic
            - 4 * float(self.cubic @ shift)
            + 4 * float(shift @ along)
            + 2 * square * trace
            + self.count * square**2,
        )

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """As a state keeps them, each behind `name`."""
        return {f"{name}_{key}": np.asarray(getattr(self, key)) for key in _FIELDS}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]], name: str) -> Moments | None:
        """What `arrays` made; None where there is none."""
        if f"{name}_{_FIELDS[0]}" not in arrays:
            return None
        count, mean, scatter, cubic, quartic = (arrays[f"{name}_{key}"] for key in _FIELDS)
        return cls(int(count), mean, scatter, cubic, float(quartic))

    @property
    def covariance(self) -> F64:
        """(D, D), the scatter divided by M."""
        return self.scatter / self.count


def moments_of(x: F32, before: Moments | None = None) -> Moments:
    """Moments of the vectors `x` (M, D), joined to those of the vectors `before`; float64 throughout.

    Raises `ConfigError` for another shape or no vector, `ScoreError` if not finite.
    """
    dims = x.shape[-1] if before is None else len(before.mean)
    if x.ndim != 2 or 0 in x.shape or x.shape[1] != dims:
        raise ConfigError(f"vectors must be (M, {dims}) with at least one, not {x.shape}")
    with one_blas_thread():
        for low in range(0, len(x), ROWS):
            rows = x[low : low + ROWS]
            if not np.isfinite(rows).all():
                raise ScoreError("a vector is not finite")
            part = _moments_of_few(rows.astype(np.float64))
            before = part if before is None else before.merge(part)
    assert before is not None
    return before


def _moments_of_few(x: F64) -> Moments:
    mean = x.mean(axis=0)
    x -= mean
    squares = np.einsum("md,md->m", x, x)
    return Moments(len(x), mean, x.T @ x, squares @ x, float(squares @ squares))
