"""Residuals against scikit-learn's reconstruction, in float64."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from kizu.core.errors import ConfigError, ScoreError
from kizu.core.types import F32
from kizu.scoring.moments import moments_of
from kizu.scoring.subspace import fit_subspace, residuals


def vectors(count: int, dims: int, seed: int = 0, centre: float = 5) -> F32:
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(dims, dims)) / (1 + np.arange(dims))[:, None]
    return (rng.normal(size=(count, dims)) @ mixing + centre).astype(np.float32)


def left_over(pca: PCA, x: F32) -> np.ndarray:
    x64 = x.astype(np.float64)
    return np.linalg.norm(x64 - pca.inverse_transform(pca.transform(x64)), axis=1)


@pytest.mark.parametrize("components", [1, 5, 19])
@pytest.mark.parametrize("centre", [0, 1000])
def test_residuals_are_what_reconstruction_leaves(components: int, centre: float) -> None:
    x, new = vectors(3000, 20, centre=centre), vectors(2500, 20, seed=1, centre=centre)
    pca = PCA(components).fit(x.astype(np.float64))
    subspace = fit_subspace(moments_of(x), variance=0.5, components=components)
    assert subspace.outside.shape == (20, 20 - components)
    assert residuals(subspace, new) == pytest.approx(left_over(pca, new), rel=1e-4, abs=2e-6 * (centre + 10))


@pytest.mark.parametrize("variance", [0.3, 0.9, 0.99, 0.9999])
def test_the_variance_that_is_kept_is_the_one_asked_for(variance: float) -> None:
    x = vectors(500, 20)
    pca = PCA(variance, svd_solver="full").fit(x.astype(np.float64))
    subspace = fit_subspace(moments_of(x), variance=variance)
    assert subspace.outside.shape[1] == 20 - pca.n_components_
    assert residuals(subspace, x) == pytest.approx(left_over(pca, x), rel=1e-4, abs=1e-5)


def test_within_the_subspace_a_vector_may_go_far_and_outside_it_may_not() -> None:
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(2, 8))
    x = (rng.normal(size=(300, 2)) @ plane).astype(np.float32)
    subspace = fit_subspace(moments_of(x), variance=0.999)
    far = (100 * plane[:1] - 30 * plane[1:]).astype(np.float32)
    away = np.linalg.svd(plane)[2][-1:].astype(np.float32)
    assert residuals(subspace, far) == pytest.approx([0], abs=1e-3)
    assert residuals(subspace, far + 2 * away) == pytest.approx([2], rel=1e-3)


def test_equal_vectors_leave_the_distance_from_them() -> None:
    x = np.repeat(vectors(1, 6), 9, axis=0)
    subspace = fit_subspace(moments_of(x), variance=0.9)
    new = vectors(5, 6, seed=1)
    assert residuals(subspace, new) == pytest.approx(np.linalg.norm(new - x[:1], axis=1), rel=1e-4)


def test_bad_input_is_refused() -> None:
    moments = moments_of(vectors(30, 4))
    for variance in (0.0, 1.0):
        with pytest.raises(ConfigError, match="variance"):
            fit_subspace(moments, variance=variance)
    for components in (0, 4):
        with pytest.raises(ConfigError, match="1 to 3"):
            fit_subspace(moments, variance=0.5, components=components)
    subspace = fit_subspace(moments, variance=0.5)
    with pytest.raises(ConfigError):
        residuals(subspace, np.zeros((3, 5), np.float32))
    with pytest.raises(ScoreError):
        residuals(subspace, np.full((3, 4), np.nan, np.float32))
