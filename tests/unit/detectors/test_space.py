"""Where neighbours are told: against the definitions, written out."""

import numpy as np
import pytest

from kizu.core.types import F32
from kizu.detectors.space import RIDGE, Metric, Space, Whitening, whitener_of
from kizu.scoring.moments import moments_of


def patches(seed: int = 0, count: int = 400) -> F32:
    """(M, 5): one direction varies much, one hardly."""
    rng = np.random.default_rng(seed)
    turned = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    return (rng.normal(size=(count, 5)) * [9, 3, 1, 0.3, 0.01] @ turned + 7).astype(np.float32)


def test_full_whitening_makes_l2_the_mahalanobis_distance_with_a_ridge() -> None:
    x = patches()
    covariance = np.cov(x.T, bias=True)
    inverse = np.linalg.inv(covariance + RIDGE * np.trace(covariance) / 5 * np.eye(5))
    points = Space("l2", whitener_of(moments_of(x), "full")).points(x)
    apart = x[:50, None] - x[50:100]
    expected = np.sqrt(np.einsum("qmd,de,qme->qm", apart, inverse, apart))
    found = np.linalg.norm(points[:50, None] - points[50:100], axis=2)
    np.testing.assert_allclose(found, expected, rtol=2e-3)


def test_half_whitening_leaves_the_root_of_the_spread() -> None:
    x = patches()
    half, full = (whitener_of(moments_of(x), kind) for kind in ("half", "full"))
    np.testing.assert_allclose(half @ half, full, rtol=1e-4, atol=1e-5)
    spread = [np.linalg.eigvalsh(np.cov((x @ m).T)) for m in (np.eye(5, dtype=np.float32), half, full)]
    ratios = [values[-1] / values[1] for values in spread]
    assert ratios[0] > 3 * ratios[1] > 6 * ratios[2]


@pytest.mark.parametrize("whitening", [None, "half", "full"])
def test_cosines_are_of_the_whitened_vectors(whitening: Whitening | None) -> None:
    x = patches()
    matrix = None if whitening is None else whitener_of(moments_of(x), whitening)
    space = Space("cosine", matrix)
    white = (x if matrix is None else x @ matrix).astype(np.float64)
    a, b = white[:30], white[30:60]
    expected = 1 - a @ b.T / np.linalg.norm(a, axis=1)[:, None] / np.linalg.norm(b, axis=1)
    points = space.points(x)
    l2 = np.linalg.norm(points[:30, None] - points[30:60], axis=2).astype(np.float32)
    np.testing.assert_allclose(space.distances(l2), expected, atol=1e-6)


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_points_of_a_grid_are_those_of_its_rows(metric: Metric) -> None:
    x = patches(count=24)
    space = Space(metric)
    np.testing.assert_array_equal(space.points(x.reshape(2, 3, 4, 5)), space.points(x))
    assert space.arrays() == {}


def test_patches_that_are_all_the_same_whiten_to_something_finite() -> None:
    same = np.ones((20, 5), np.float32)
    assert np.isfinite(whitener_of(moments_of(same), "full")).all()
