"""The tensors that a network is drawn from, taken by name and checked; batch norm folded into what stands before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kizu.core.errors import BackboneError
from kizu.core.types import F32, F64

Weights = Mapping[str, NDArray[Any]]

TORCH_EPSILON = 1e-5
"""Torch's own for batch norms."""


def take(weights: Weights, name: str, shape: tuple[int | None, ...]) -> F32:
    """The tensor `name` as float32. `shape`: what it must be, None where any length will do.

    Raises `BackboneError` naming the tensor when it is missing or of another shape, with both shapes.
    """
    expected = f"({', '.join('any' if side is None else str(side) for side in shape)})"
    if name not in weights:
        raise BackboneError(f"the weights have no tensor {name!r}, which must be {expected}")
    found = weights[name]
    if len(found.shape) != len(shape) or any(
        side not in (None, given) for side, given in zip(shape, found.shape, strict=True)
    ):
        raise BackboneError(f"the tensor {name!r} must be {expected}, it is {found.shape}")
    return np.asarray(found, np.float32)


def fold_batch_norm(
    weights: Weights,
    conv: str,
    norm: str,
    shape: tuple[int, int, int, int],
    *,
    epsilon: float = TORCH_EPSILON,
) -> tuple[F64, F64]:
    """A convolution without a bias and the batch norm behind it as one: weight of `shape` (out, in / groups, k, k),
    bias (out,).

    Raises as `take`.
    """
    kernel = take(weights, f"{conv}.weight", shape).astype(np.float64)
    gain, offset, mean, variance = (
        take(weights, f"{norm}.{part}", shape[:1]).astype(np.float64)
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gain / np.sqrt(variance + epsilon)
    return kernel * scale[:, None, None, None], offset - mean * scale
