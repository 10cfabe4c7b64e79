"""What methods that keep good patches share: gather them all, then keep a coreset of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from kizu.core.types import F32, I64, StageProgress
from kizu.detectors.base import DetectorConfig
from kizu.detectors.memory import BYTES_PER_FLOAT, feature_array, memory_budget
from kizu.scoring.coreset import greedy_k_centre, random_coreset
from kizu.scoring.projection import projected, sparse_projection

SEARCH_BYTES_PER_ROW = 25
"""Bounds, norms and counters of the greedy search, beside the features themselves."""


class BankConfig(DetectorConfig):
    """Which of the good patches are kept."""

    coreset: Annotated[float, Field(gt=0, le=1)]
    """Part of the good patches that is kept."""
    coreset_size: Annotated[int, Field(ge=1)] | None = None
    """How many patches are kept (all, where there are fewer); None: `coreset` says it."""
    coreset_method: Literal["greedy", "random"] = "greedy"
    projection: Annotated[int, Field(ge=1)] | None = None
    """Dimensions in which the greedy search looks: a sparse random projection, quicker and approximate. None, or where
    the features have no more: the search is exact."""

    def bank_size(self, rows: int) -> int:
        """How many of so many good patches are kept."""
        return (
            max(1, round(rows * self.coreset)) if self.coreset_size is None else min(self.coreset_size, rows)
        )


@contextmanager
def gathered(embeddings: Iterator[F32], count: int) -> Iterator[tuple[F32, tuple[int, int, int]]]:
    """All patches (N * P, D) of embeddings (N, h, w, D), and (N, h, w); in a file where memory would not do.

    `count`: how many images come, at most. The patches are gone after the block.
    """
    first = next(embeddings)
    n, h, w, dim = first.shape
    with feature_array(max(count, n) * h * w, dim) as features:
        filled = 0
        for embedding in chain([first], embeddings):
            patches = embedding.reshape(-1, dim)  # (N * P, D)
            features[filled : filled + len(patches)] = patches
            filled += len(patches)
        yield features[:filled], (filled // (h * w), h, w)


def kept_patches(
    features: F32, config: BankConfig, rng: np.random.Generator, on_progress: StageProgress | None
) -> I64:
    """Indices of the coreset of `features` (M, D)."""
    size = config.bank_size(len(features))
    if config.coreset_method == "random" or size == len(features):
        return random_coreset(len(features), size, rng)
    first = int(rng.integers(len(features)))
    told = None if on_progress is None else lambda done, total: on_progress("coreset", done, total)
    if config.projection is None or config.projection >= features.shape[1]:
        return greedy_k_centre(features, size, first=first, on_progress=told)
    matrix = sparse_projection(features.shape[1], config.projection, rng)
    with feature_array(len(features), config.projection) as small:
        projected(features, matrix, out=small)
        return greedy_k_centre(small, size, first=first, on_progress=told)


def bank_memory(config: BankConfig, rows: int, dim: int) -> int:
    """Bytes at the peak: all features unless they go to disk, what the search keeps of each row, and the bank twice."""
    features = min(rows * dim * BYTES_PER_FLOAT, memory_budget())
    if config.projection is not None and config.projection < dim:
        features += min(rows * config.projection * BYTES_PER_FLOAT, memory_budget())
    return features + rows * SEARCH_BYTES_PER_ROW + 3 * config.bank_size(rows) * dim * BYTES_PER_FLOAT
