"""What a Gaussian would say of vectors had it been fitted without them: from the fit on all, without another one.

Of m vectors of n, with deviations D (m, d) from the mean of all: the others' mean lies (m / (n - m)) times their mean
deviation behind, so their deviations from it are E = H D, H = I + 1 1' / (n - m), and the others' scatter is S - D' H D
(Chan, Golub & LeVeque 1983). With the white deviations Z = D L', L the inverse Cholesky factor of S / (n - 1) + epsilon
I, and K = Z Z' (m, m), the matrix inversion lemma gives all squared distances at once: the diagonal of
H K (I - H K / (n - 1))^-1 H.

Divisor n - 1 and ridge (n - 1) epsilon stay those of the fit on all, and (n - 1) (1 / (n - m) - 1 / n) is added.
Then 1 / n + d^2 / (n - 1) is the ridge leverage of x: [1, x] G^-1 [1, x]' with G the sum of [1, z]' [1, z] over what
was fitted on, and the ridge. More vectors add to G and so can only lower it: what is said of a group that was left out
can only fall when other vectors are learned besides, which `decision.conformal` rests on.
"""

import numpy as np

from kizu.core.errors import CalibrationError, ConfigError
from kizu.core.threads import cores, spread
from kizu.core.types import F32, F64, I64
from kizu.scoring.gaussian import Gaussian
from kizu.scoring.lean_gaussian import DiagonalGaussian


def mahalanobis_without(gaussian: Gaussian, x: F32, groups: I64, count: int) -> F32:
    """Mahalanobis distances (the root) of `x` (N, P, D), among the `count` vectors that `gaussian` was fitted on, each
    from a fit without the vectors of its group -> (N, P).

    `groups` (N,): the whole of each group is in `x`. The fit without m of n vectors divides its scatter by n - 1, not
    by n - m - 1: its covariance is a little too small, the distance a little too large (see above).
    Raises `CalibrationError` where a group is all there is, `ConfigError` for another shape.
    """
    _check(gaussian.mean, x, groups, count)
    n, positions, _ = x.shape
    squared = np.empty((n, positions), np.float32)
    size = -(-positions // cores())
    members = [np.flatnonzero(groups == number) for number in np.unique(groups)]

    def fill(start: int) -> None:
        block = slice(start, start + size)
        deviations = (x[:, block] - gaussian.mean[block]).transpose(1, 0, 2)  # (P', N, D)
        white = np.matmul(deviations, gaussian.whitener[block].transpose(0, 2, 1)).astype(np.float64)
        for rows in members:
            squared[rows, block] = _squares(white[:, rows], count).T

    spread(fill, range(0, positions, size))
    return np.sqrt(squared)


def _squares(white: F64, count: int) -> F64:
    """White deviations (P, m, D) of a group of m vectors of `count` -> squared distances (P, m) without them."""
    m = white.shape[1]
    behind = np.eye(m) + 1 / (count - m)  # H, (m, m)
    moved = behind @ np.matmul(white, white.transpose(0, 2, 1))  # H K, (P, m, m)
    inside = np.linalg.solve(np.eye(m) - moved / (count - 1), np.broadcast_to(behind, moved.shape))
    squares: F64 = np.maximum(np.einsum("pij,pji->pi", moved, inside), 0)
    return squares + _of_mean(count, m)


def _of_mean(count: int, m: int) -> float:
    """What the square of each dimension that has a variance of its own grows by, since the mean is of fewer."""
    return (count - 1) * m / (count * (count - m))


def diagonal_without(gaussian: DiagonalGaussian, x: F32, groups: I64, count: int, epsilon: float) -> F32:
    """The same without correlations. `epsilon`: what the fit added."""
    _check(gaussian.mean, x, groups, count)
    share = max(count - 1, 1)
    scatter = np.maximum(1 / np.square(gaussian.scale.astype(np.float64)) - epsilon, 0) * share
    found = np.empty(x.shape[:2], np.float32)
    for number in np.unique(groups):
        rows = np.flatnonzero(groups == number)
        m = len(rows)
        deviations = x[rows].astype(np.float64) - gaussian.mean  # (m, P, D)
        mean = deviations.mean(axis=0)
        rest = scatter - np.square(deviations).sum(axis=0) - m**2 / (count - m) * np.square(mean)
        variance = np.maximum(rest, 0) / share + epsilon
        moved = deviations + m / (count - m) * mean
        squares = (np.square(moved) / variance).sum(axis=2) + x.shape[2] * _of_mean(count, m)
        found[rows] = np.sqrt(squares)
    return found


def _check(mean: F32, x: F32, groups: I64, count: int) -> None:
    if x.ndim != 3 or x.shape[1:] != mean.shape or groups.shape != x.shape[:1]:
        raise ConfigError(
            f"embeddings must be (N, P, D) with (P, D) = {mean.shape} and a group each, not {x.shape} and"
            f" {groups.shape}"
        )
    if int(np.unique(groups, return_counts=True)[1].max()) >= count:
        raise CalibrationError(
            "without one group of good images nothing is left", hint="give more good images"
        )
