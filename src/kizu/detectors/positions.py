"""Embeddings position by position, as PaDiM learns them."""

from collections.abc import Iterable, Iterator

import numpy as np

from kizu.core.types import F32, I64
from kizu.core.work import Work
from kizu.detectors.covariances import Covariance

IMAGES_PER_UPDATE = 32
"""Each update walks through the covariances once, so several batches share one."""


def choose(x: F32, channels: I64 | None) -> F32:
    """(N, P, D) -> (N, P, d): those features; all for None."""
    return x if channels is None else np.take(x, channels, axis=2)


def join(batches: Iterable[F32]) -> Iterator[F32]:
    """The same embeddings (N, h, w, D) in order, at least `IMAGES_PER_UPDATE` at a time but for the last."""
    waiting: list[F32] = []
    for batch in batches:
        waiting.append(batch)
        if sum(map(len, waiting)) >= IMAGES_PER_UPDATE:
            yield np.concatenate(waiting)
            waiting = []
    if waiting:
        yield np.concatenate(waiting)


def tell_few(covariance: Covariance, epsilon: float, count: int, features: int, work: Work) -> None:
    """Full covariances of no more images than features are known in fewer directions than there are."""
    if covariance == "full" and count <= features:
        work.note(
            f"PaDiM learns {features} features from {count} good images: they vary in {count - 1} directions at most, "
            f"and epsilon ({epsilon:g}) stands for the variance in all others; give more good images than "
            "features, fewer `features`, or `covariance: low_rank`"
        )
