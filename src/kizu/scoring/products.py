"""Squared distances as matrix products: |x - y|^2 = |x|^2 + |y|^2 - 2 x.y.

The subtraction cancels digits when the vectors are long beside their distances, so both are centred first.
"""

import numpy as np

from kizu.core.types import F32

UNDERFLOW = 1e-30
"""Beyond what products of float32 lose near 0."""
SAMPLE = 8192
"""Vectors that stand for all where only an average is wanted."""


def sample_of(vectors: F32) -> F32:
    """About `SAMPLE` of the vectors (M, D), evenly spaced; a view."""
    return vectors[:: max(1, len(vectors) // SAMPLE)]


def central_vector(vectors: F32) -> F32:
    """The median of each feature over a sample of `vectors` (M, D) -> (D,).

    A median is an element of the data: where features are integers, so are the centred ones, and float32 is exact.
    """
    sample = sample_of(vectors)
    middle: F32 = np.partition(sample, len(sample) // 2, axis=0)[len(sample) // 2]
    return middle


def squared_norms(x: F32) -> F32:
    """(M, D) -> (M,)"""
    norms: F32 = np.einsum("md,md->m", x, x)
    return norms


def product_slack(size: F32, dims: int) -> F32:
    """Squared distances by a product of vectors (D,) may be off by this much, where |q|^2 + |b|^2 is `size` at most.

    A sum of n products is off by at most n * 2^-24 of the sum of their sizes, here |q|^2 + 2 |b|^2; twice, for of two
    that are compared one may be too low and the other too high. As much again for centring and for the distances' own
    rounding.
    """
    slack: F32 = 8 * (dims + 9) * 2.0**-24 * size + np.float32(UNDERFLOW)
    return slack
