"""Cosine distance as an L2 distance: between unit vectors |a - b|^2 = 2 (1 - cos), so one search serves both."""

import numpy as np

from kizu.core.errors import ScoreError
from kizu.core.types import F32


def directions(x: F32) -> F32:
    """(M, D) -> unit vectors (M, D + 1).

    The added axis is where vectors of length 0 point: they equal each other and are at right angles to all others.
    Raises `ScoreError` if not finite.
    """
    lengths = np.sqrt(np.einsum("md,md->m", x, x, dtype=np.float64))
    if not np.isfinite(lengths).all():
        raise ScoreError("a vector is not finite")
    unit = np.empty((len(x), x.shape[1] + 1), np.float32)
    np.divide(x, np.where(lengths > 0, lengths, 1)[:, None], out=unit[:, :-1], casting="same_kind")
    unit[:, -1] = lengths == 0
    return unit


def cosine_distance(l2: F32) -> F32:
    """L2 distances between unit vectors -> 1 - cos, 0 .. 2; 0 where they are equal, without cancellation."""
    distance: F32 = l2 * l2 * np.float32(0.5)
    return distance
