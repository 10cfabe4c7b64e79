"""A few patches that stand for all: greedy k-centre (farthest point first) and plain random choice."""

import numpy as np

from kizu.core.errors import ConfigError, ScoreError
from kizu.core.types import F32, I64, Progress


def greedy_k_centre(features: F32, count: int, *, first: int, on_progress: Progress | None = None) -> I64:
    """Pick `count` rows of `features` (M, D), each the farthest (L2) from those already picked.

    `first` is the first pick and belongs to the coreset; among equals the lowest index wins. Returns distinct
    indices (count,) in the order of picking.
    """
    _check(features, count, first)
    distances = np.full(len(features), np.inf, np.float32)
    picks = np.empty(count, np.int64)
    norms = np.einsum("md,md->m", features, features)
    pick = first
    for done in range(count):
        picks[done] = pick
        np.minimum(distances, norms + (norms[pick] - 2 * (features @ features[pick])), out=distances)
        distances[pick] = -1  # never again, even when all that is left are duplicates
        pick = int(distances.argmax())
        if on_progress is not None:
            on_progress(done + 1, count)
    return picks


def random_coreset(total: int, count: int, rng: np.random.Generator) -> I64:
    """`count` distinct indices below `total`, ascending. Raises `ConfigError` unless 1 <= count <= total."""
    _check_count(total, count)
    return np.sort(rng.choice(total, size=count, replace=False)).astype(np.int64)


def _check(features: F32, count: int, first: int) -> None:
    if features.ndim != 2 or features.shape[1] == 0:
        raise ConfigError(f"features must be (M, D), not {features.shape}")
    _check_count(len(features), count)
    if not 0 <= first < len(features):
        raise ConfigError(f"first pick {first} is not one of {len(features)} features")
    if not np.isfinite(features).all():
        raise ScoreError("a feature is not finite")


def _check_count(total: int, count: int) -> None:
    if not 1 <= count <= total:
        raise ConfigError(
            f"a coreset of {count} cannot be picked from {total} features",
            hint=f"ask for 1 to {total}" if total else None,
        )
