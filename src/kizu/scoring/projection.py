"""Fewer dimensions in which distances stay nearly what they were (Li, Hastie & Church, "Very Sparse Random
Projections", KDD 2006)."""

import numpy as np

from kizu.core.errors import ConfigError
from kizu.core.threads import spread
from kizu.core.types import F32

ROWS = 8192
"""Vectors in one product."""


def sparse_projection(dims: int, kept: int, rng: np.random.Generator) -> F32:
    """A matrix (dims, kept) whose product keeps squared distances on average.

    Every entry is 0 but for one in sqrt(dims), which is plus or minus the same number, either with equal chance.
    Raises `ConfigError` unless 1 <= kept <= dims.
    """
    if not 1 <= kept <= dims:
        raise ConfigError(f"{dims} dimensions cannot be projected to {kept}", hint=f"ask for 1 to {dims}")
    sparsity = np.sqrt(dims)
    draw = rng.random((dims, kept)) * 2 * sparsity
    signs = (draw < 1).astype(np.float32) - (draw >= 2 * sparsity - 1)
    matrix: F32 = (signs * np.sqrt(sparsity / kept)).astype(np.float32)
    return matrix


def project(x: F32, matrix: F32, out: F32) -> None:
    """`x` (M, D) times `matrix` (D, d) to `out` (M, d), in blocks: either may lie in a file."""

    def fill(start: int) -> None:
        rows = slice(start, start + ROWS)
        out[rows] = x[rows] @ matrix

    spread(fill, range(0, len(x), ROWS))
