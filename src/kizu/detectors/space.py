"""Where neighbours are told: what is done to embeddings before distances among them are taken, and to the distances."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np

from kizu.backbones.builder import GraphBuilder
from kizu.backbones.graph import FLOAT
from kizu.core.errors import ScoreError
from kizu.core.types import F32
from kizu.core.work import Work
from kizu.detectors.base import Arrays
from kizu.detectors.drawing import constant_of, numbers, sum_squares
from kizu.scoring.cosine import cosine_distance, directions
from kizu.scoring.moments import ROWS, Moments, moments_of

Metric = Literal["cosine", "l2"]
Whitening = Literal["half", "full"]
"""How far directions in which good patches vary much are pressed together: to the root of their spread, or to one."""
POWERS = {"half": 0.25, "full": 0.5}
"""Of the inverse covariance."""
RIDGE = 0.1
"""Of the mean variance, added to each: directions that hardly vary would be blown up."""


@dataclass(frozen=True, slots=True)
class Space:
    """A metric, and what whitens before it."""

    metric: Metric
    whitener: F32 | None = None
    """(D, D); None: nothing does. Distances do not change with the origin, so there is no mean."""

    def points(self, embedding: F32) -> F32:
        """(..., D) -> (M, D'), where L2 distance tells neighbours; D' = D + 1 for cosines. Raises `ScoreError` if not
        finite."""
        flat = embedding.reshape(-1, embedding.shape[-1])
        if self.whitener is not None:
            if not np.isfinite(flat).all():
                raise ScoreError("a vector is not finite")
            flat = flat @ self.whitener
        return directions(flat) if self.metric == "cosine" else flat

    def distances(self, l2: F32) -> F32:
        """Between points -> what is said: 1 - cos, or L2."""
        return cosine_distance(l2) if self.metric == "cosine" else l2

    def draw_points(self, graph: GraphBuilder, x: str) -> str:
        """As `points` of (M, D)."""
        if self.whitener is not None:
            x = graph.node("MatMul", x, constant_of(graph, self.whitener))
        if self.metric == "l2":
            return x
        one = graph.constant(np.array([1]))
        lengths = graph.node("Unsqueeze", graph.node("Sqrt", sum_squares(graph, x, 1)), one)
        is_zero = graph.node("Cast", graph.node("Equal", lengths, numbers(graph, 0.0)), to=FLOAT)
        unit = graph.node("Div", x, graph.node("Add", lengths, is_zero))
        return graph.node("Concat", unit, is_zero, axis=1)

    def draw_distances(self, graph: GraphBuilder, l2: str) -> str:
        """As `distances`."""
        if self.metric == "l2":
            return l2
        return graph.node("Mul", graph.node("Mul", l2, l2), numbers(graph, 0.5))

    def arrays(self) -> Arrays:
        """What a state keeps of it."""
        return {} if self.whitener is None else {"whitener": self.whitener}


def whitener_of(moments: Moments, whitening: Whitening) -> F32:
    """(D, D): the symmetric power of the covariance, with a ridge, of the patches that `moments` are of."""
    variances, axes = np.linalg.eigh(moments.covariance)
    ridged = np.maximum(variances, 0) + max(RIDGE * float(variances.mean()), np.finfo(np.float32).tiny)
    found: F32 = ((axes * ridged ** -POWERS[whitening]) @ axes.T).astype(np.float32)
    return found


@contextmanager
def in_space(
    features: F32, metric: Metric, whitening: Whitening | None, work: Work
) -> Iterator[tuple[F32, Space]]:
    """Gathered patches (M, D) as points (M, D') of a space that they whiten, gone after the block; themselves where
    nothing is done to them."""
    space = Space(metric, None if whitening is None else whitener_of(moments_of(features), whitening))
    if space.whitener is None and metric == "l2":
        yield features, space
        return
    dim = features.shape[1] + (metric == "cosine")
    with work.feature_array(len(features), dim) as points:
        for low in range(0, len(features), ROWS):
            points[low : low + ROWS] = space.points(features[low : low + ROWS])
        yield points, space


def restore_space(metric: Metric, arrays: Arrays) -> Space:
    """What `Space.arrays` kept."""
    return Space(metric, arrays.get("whitener"))
