"""Nearest neighbours in a bank of vectors: exact L2 distances, never a Q x M matrix in memory."""

from dataclasses import dataclass

import numpy as np

from kizu.core.errors import ConfigError, ScoreError
from kizu.core.types import F32, I64


@dataclass(frozen=True, slots=True)
class Bank:
    """Vectors and what finds the nearest of them quickly; made by `build_bank`."""

    vectors: F32
    """(M, D)"""
    squared_norms: F32
    """(M,)"""


def build_bank(vectors: F32) -> Bank:
    """Index `vectors` (M, D).

    Raises `ConfigError` for an empty or misshapen bank, `ScoreError` if not finite.
    """
    if vectors.ndim != 2 or 0 in vectors.shape:
        raise ConfigError(f"a bank must be (M, D) with at least one vector, not {vectors.shape}")
    if not np.isfinite(vectors).all():
        raise ScoreError("a vector of the bank is not finite")
    vectors = np.ascontiguousarray(vectors, np.float32)
    return Bank(vectors=vectors, squared_norms=np.einsum("md,md->m", vectors, vectors))


def nearest(queries: F32, bank: Bank | F32, k: int) -> tuple[F32, I64]:
    """The `k` nearest vectors of `bank` to each of `queries` (Q, D).

    Returns L2 distances (Q, k), ascending, and their indices in the bank (Q, k). Raises `ConfigError` when
    `k` is more than the bank holds or the shapes do not fit, `ScoreError` when a query is not finite.
    """
    if not isinstance(bank, Bank):
        bank = build_bank(bank)
    count, dims = bank.vectors.shape
    if queries.ndim != 2 or queries.shape[1] != dims:
        raise ConfigError(f"queries must be (Q, {dims}) like the bank, not {queries.shape}")
    if not 1 <= k <= count:
        raise ConfigError(f"{k} neighbours were asked of a bank of {count}", hint=f"ask for 1 to {count}")
    if not np.isfinite(queries).all():
        raise ScoreError("a query is not finite")
    distances = np.empty((len(queries), k), np.float32)
    indices = np.empty((len(queries), k), np.int64)
    for start in range(0, len(queries), 256):
        block = queries[start : start + 256]
        squared = bank.squared_norms - 2 * (block @ bank.vectors.T)
        near = squared.argmin(axis=1)[:, None] if k == 1 else np.argpartition(squared, k - 1, axis=1)[:, :k]
        exact = np.linalg.norm(block[:, None] - bank.vectors[near], axis=2)
        order = np.lexsort((near, exact), axis=1)
        distances[start : start + 256] = np.take_along_axis(exact, order, axis=1)
        indices[start : start + 256] = np.take_along_axis(near, order, axis=1)
    return distances, indices
