"""PaDiM's kinds of covariance: how each is made, measured with, drawn and stored, one class each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from kizu.backbones.builder import GraphBuilder
from kizu.core.types import F32, I64
from kizu.detectors.base import Arrays
from kizu.detectors.drawing import constant_of, sum_squares
from kizu.scoring.gaussian import Gaussian, RunningMoments, fit_gaussian, mahalanobis
from kizu.scoring.lean_gaussian import (
    DiagonalGaussian,
    LowRankGaussian,
    RunningVariances,
    fit_diagonal,
    lean_mahalanobis,
)
from kizu.scoring.left_out import diagonal_without, mahalanobis_without

Covariance = Literal["full", "diagonal", "low_rank"]
PositionGaussian = Gaussian | DiagonalGaussian | LowRankGaussian
PositionMoments = RunningMoments | RunningVariances

G = TypeVar("G", bound=PositionGaussian)


class _Kind(Generic[G]):
    """What all kinds share: a distribution's arrays by the names of its fields."""

    gaussian: type[G]
    names: tuple[str, ...]
    """Of the arrays that are stored."""

    def arrays(self, gaussian: G) -> dict[str, NDArray[Any]]:
        """What is stored of a distribution."""
        return {name: getattr(gaussian, name) for name in self.names}

    def restore(self, arrays: Arrays) -> G:
        """From what `arrays` gave."""
        return self.gaussian(*(arrays[name] for name in self.names))

    def distances(self, gaussian: G, x: F32) -> F32:
        """Mahalanobis distances (the root) of `x` (N, P, D) -> (N, P)."""
        raise NotImplementedError

    def draw_squares(self, graph: GraphBuilder, deviations: str, gaussian: G) -> str:
        """`deviations` from the means (N, P, D) -> squared distances (N, P)."""
        by_position = graph.node("Transpose", deviations, perm=[1, 0, 2])  # (P, N, D)
        return graph.node("Transpose", self._squares(graph, by_position, gaussian), perm=[1, 0])

    def _squares(self, graph: GraphBuilder, deviations: str, gaussian: G) -> str:
        """(P, N, D) -> (P, N)."""
        raise NotImplementedError

    def count_numbers(self, patches: int, dim: int, rank: int, *, keep_moments: bool) -> int:
        """How many float32 numbers a fit holds for this covariance, at most."""
        raise NotImplementedError


class FullCovariance(_Kind[Gaussian]):
    """The paper's: D x D numbers per position."""

    gaussian, names = Gaussian, ("mean", "whitener")

    def distances(self, gaussian: Gaussian, x: F32) -> F32:
        """As in `_Kind`."""
        return mahalanobis(gaussian, x)

    def _squares(self, graph: GraphBuilder, deviations: str, gaussian: Gaussian) -> str:
        white = graph.node("MatMul", deviations, constant_of(graph, gaussian.whitener.transpose(0, 2, 1)))
        return sum_squares(graph, white, 2)

    def distances_without(self, gaussian: PositionGaussian, x: F32, groups: I64, count: int, _: float) -> F32:
        """See `scoring.left_out`."""
        assert isinstance(gaussian, Gaussian)
        return mahalanobis_without(gaussian, x, groups, count)

    def count_numbers(self, patches: int, dim: int, rank: int, *, keep_moments: bool) -> int:
        """Scatter in float64 and whiteners; both again when they are stored."""
        return (6 if keep_moments else 3) * patches * dim * dim

    def new_moments(self, positions: int, dim: int) -> RunningMoments:
        """Of no image yet."""
        return RunningMoments(positions, dim)

    def fit(self, moments: PositionMoments, epsilon: float) -> Gaussian:
        """From what `new_moments` has gathered."""
        assert isinstance(moments, RunningMoments)
        return fit_gaussian(moments, epsilon)

    def pack_scatter(self, scatter: NDArray[Any]) -> NDArray[Any]:
        """(P, D, D) -> the lower triangles (P, D (D + 1) / 2)."""
        rows, columns = np.tril_indices(scatter.shape[1])
        lower: NDArray[Any] = scatter[:, rows, columns]
        return lower

    def restore_moments(self, mean: NDArray[Any], scatter: NDArray[Any]) -> RunningMoments:
        """Back from `pack_scatter`, without a count."""
        moments = RunningMoments(*mean.shape)
        rows, columns = np.tril_indices(mean.shape[1])
        moments.scatter[:, rows, columns] = scatter
        moments.scatter[:, columns, rows] = scatter
        moments.mean = mean
        return moments


class DiagonalCovariance(_Kind[DiagonalGaussian]):
    """No correlations: one number per position and feature."""

    gaussian, names = DiagonalGaussian, ("mean", "scale")

    def distances(self, gaussian: DiagonalGaussian, x: F32) -> F32:
        """As in `_Kind`."""
        return lean_mahalanobis(gaussian, x)

    def draw_squares(self, graph: GraphBuilder, deviations: str, gaussian: DiagonalGaussian) -> str:
        """As in `_Kind`; positions need not come first."""
        white = graph.node("Mul", deviations, constant_of(graph, gaussian.scale))
        return sum_squares(graph, white, 2)

    def distances_without(
        self, gaussian: PositionGaussian, x: F32, groups: I64, count: int, epsilon: float
    ) -> F32:
        """See `scoring.left_out`."""
        assert isinstance(gaussian, DiagonalGaussian)
        return diagonal_without(gaussian, x, groups, count, epsilon)

    def count_numbers(self, patches: int, dim: int, rank: int, *, keep_moments: bool) -> int:
        """Means and scales, and moments in float64."""
        return 6 * patches * dim

    def new_moments(self, positions: int, dim: int) -> RunningVariances:
        """Of no image yet."""
        return RunningVariances(positions, dim)

    def fit(self, moments: PositionMoments, epsilon: float) -> DiagonalGaussian:
        """From what `new_moments` has gathered."""
        assert isinstance(moments, RunningVariances)
        return fit_diagonal(moments, epsilon)

    def pack_scatter(self, scatter: NDArray[Any]) -> NDArray[Any]:
        """(P, D), as it is."""
        return scatter

    def restore_moments(self, mean: NDArray[Any], scatter: NDArray[Any]) -> RunningVariances:
        """Back from `pack_scatter`, without a count."""
        moments = RunningVariances(*mean.shape)
        moments.mean, moments.scatter = mean, scatter
        return moments


class LowRankCovariance(_Kind[LowRankGaussian]):
    """`rank` directions and one variance for all others. It is fitted on all images at once, and keeps no moments."""

    gaussian, names = LowRankGaussian, ("mean", "axes", "scale", "rest")

    def distances(self, gaussian: LowRankGaussian, x: F32) -> F32:
        """As in `_Kind`."""
        return lean_mahalanobis(gaussian, x)

    def _squares(self, graph: GraphBuilder, deviations: str, gaussian: LowRankGaussian) -> str:
        along = graph.node("MatMul", deviations, constant_of(graph, gaussian.axes))  # (P, N, r)
        explained = graph.node("MatMul", along, constant_of(graph, gaussian.axes.transpose(0, 2, 1)))
        outside = sum_squares(graph, graph.node("Sub", deviations, explained), 2)
        inside = sum_squares(graph, graph.node("Mul", along, constant_of(graph, gaussian.scale[:, None])), 2)
        rest = constant_of(graph, np.square(gaussian.rest)[:, None])
        return graph.node("Add", inside, graph.node("Mul", outside, rest))

    def count_numbers(self, patches: int, dim: int, rank: int, *, keep_moments: bool) -> int:
        """Means and axes."""
        return patches * dim * (rank + 1)


FULL, DIAGONAL, LOW_RANK = FullCovariance(), DiagonalCovariance(), LowRankCovariance()
FROM_MOMENTS: Mapping[str, FullCovariance | DiagonalCovariance] = {"full": FULL, "diagonal": DIAGONAL}
"""Those that are made in one pass, and can be updated."""
COVARIANCES: Mapping[str, _Kind[Any]] = {**FROM_MOMENTS, "low_rank": LOW_RANK}


def moment_arrays(kind: FullCovariance | DiagonalCovariance, moments: PositionMoments) -> Arrays:
    """Count, means (P, D) and scatter, as they are stored."""
    return {
        "moments_count": np.array(moments.count),
        "moments_mean": moments.mean,
        "moments_scatter": kind.pack_scatter(moments.scatter),
    }


def restore_moments(
    kind: FullCovariance | DiagonalCovariance | None, arrays: Arrays
) -> PositionMoments | None:
    """What `moment_arrays` made; None where none were kept."""
    if kind is None or "moments_count" not in arrays:
        return None
    moments = kind.restore_moments(arrays["moments_mean"], arrays["moments_scatter"])
    moments.count = int(arrays["moments_count"])
    return moments
