"""Shrunk covariances against scikit-learn's, and distances that see what a diagonal would not."""

import numpy as np
import pytest
from sklearn import covariance as reference

from kizu.core.errors import ConfigError, ScoreError
from kizu.scoring.gaussian import mahalanobis
from kizu.scoring.shrinkage import RIDGE, ledoit_wolf, oas, oas_of, shrunk_gaussian


def samples(count: int, dims: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(count, dims)) @ rng.normal(size=(dims, dims)) + 5).astype(np.float32)


@pytest.mark.parametrize(("count", "dims"), [(2, 5), (10, 40), (200, 12), (50, 1)])
def test_covariances_are_scikit_learns(count: int, dims: int) -> None:
    x = samples(count, dims).astype(np.float64)
    deviations = x - x.mean(axis=0)
    assert ledoit_wolf(deviations) == pytest.approx(reference.LedoitWolf().fit(x).covariance_, rel=1e-9)
    expected = reference.OAS().fit(x).covariance_
    assert oas(deviations) == pytest.approx(expected, rel=1e-9)
    assert oas_of(deviations.T @ deviations / count, count) == pytest.approx(expected, rel=1e-9)


def test_distances_are_those_of_the_inverse_covariance() -> None:
    x = samples(60, 9)
    fitted = reference.LedoitWolf().fit(x.astype(np.float64))
    expected = np.sqrt(reference.LedoitWolf().fit(x.astype(np.float64)).mahalanobis(x.astype(np.float64)))
    found = mahalanobis(shrunk_gaussian(x, "ledoit_wolf"), x[:, None])[:, 0]
    assert found == pytest.approx(expected, rel=1e-4)
    assert 1e-3 * fitted.covariance_.diagonal().min() > RIDGE


def test_a_break_with_the_correlation_is_far_away_though_each_feature_is_usual() -> None:
    rng = np.random.default_rng(1)
    common = rng.normal(size=(400, 1))
    x = (common + 0.05 * rng.normal(size=(400, 2))).astype(np.float32)
    along, across = np.array([[1.5, 1.5]], np.float32), np.array([[1.5, -1.5]], np.float32)
    gaussian = shrunk_gaussian(x, "ledoit_wolf")
    near, far = (float(mahalanobis(gaussian, point[:, None])[0, 0]) for point in (along, across))
    assert far > 10 * near  # a diagonal covariance would give the same distance to both


def test_one_sample_and_equal_samples_have_finite_distances() -> None:
    for x in (samples(1, 4), np.repeat(samples(1, 4), 5, axis=0)):
        gaussian = shrunk_gaussian(x, "ledoit_wolf")
        assert np.isfinite(mahalanobis(gaussian, samples(3, 4)[:, None])).all()


def test_nothing_and_nan_are_refused() -> None:
    with pytest.raises(ConfigError):
        shrunk_gaussian(np.empty((0, 3), np.float32), "oas")
    with pytest.raises(ScoreError):
        shrunk_gaussian(np.full((3, 3), np.nan, np.float32), "oas")
