"""Moments against sums over all vectors, shrunk covariances against scikit-learn's."""

import numpy as np
import pytest
from sklearn import covariance as reference

from kizu.core.errors import ConfigError, ScoreError
from kizu.core.types import F32
from kizu.scoring import moments as moments_module
from kizu.scoring.gaussian import mahalanobis
from kizu.scoring.moments import Moments, moments_of
from kizu.scoring.shrinkage import Shrinkage, fit_shrunk_gaussian, shrink_covariance, shrinkage_of


def vectors(count: int, dims: int, seed: int = 0, centre: float = 5) -> F32:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(count, dims)) @ rng.normal(size=(dims, dims)) + centre).astype(np.float32)


def in_batches(x: F32, *sizes: int) -> Moments:
    found: Moments | None = None
    for part in np.split(x, np.cumsum(sizes)):
        found = moments_of(part, found)
    assert found is not None
    return found


@pytest.mark.parametrize("sizes", [(), (1,), (5, 70, 1), (1,) * 199])
@pytest.mark.parametrize("centre", [0, 1000])
def test_moments_are_the_plain_sums_however_the_batches_are_cut(
    sizes: tuple[int, ...], centre: float
) -> None:
    x = vectors(200, 7, centre=centre)
    found = in_batches(x, *sizes)
    deviations = x.astype(np.float64) - x.mean(axis=0, dtype=np.float64)
    squares = (deviations**2).sum(axis=1)
    assert found.count == 200
    assert found.mean == pytest.approx(x.mean(axis=0, dtype=np.float64))
    assert found.scatter == pytest.approx(deviations.T @ deviations, rel=1e-8)
    assert found.cubic == pytest.approx((squares[:, None] * deviations).sum(axis=0), rel=1e-7)
    assert found.quartic == pytest.approx((squares**2).sum(), rel=1e-8)


def test_a_batch_larger_than_a_block_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    x = vectors(100, 4)
    whole = moments_of(x)
    monkeypatch.setattr(moments_module, "ROWS", 7)
    assert moments_of(x).quartic == pytest.approx(whole.quartic, rel=1e-10)
    assert moments_of(x).scatter == pytest.approx(whole.scatter, rel=1e-10)


@pytest.mark.parametrize(("count", "dims"), [(2, 5), (10, 40), (30, 30), (200, 12), (50, 1), (3000, 60)])
@pytest.mark.parametrize("sizes", [(), (1, 1)])
def test_shrunk_covariances_are_scikit_learns(count: int, dims: int, sizes: tuple[int, ...]) -> None:
    x = vectors(count, dims)
    moments = in_batches(x, *sizes[: count - 1])
    pairs: list[tuple[Shrinkage, object]] = [
        ("ledoit_wolf", reference.LedoitWolf()),
        ("oas", reference.OAS()),
        ("none", reference.EmpiricalCovariance()),
    ]
    for rule, estimator in pairs:
        expected = estimator.fit(x.astype(np.float64))
        if dims > 1:  # one feature is its own mean variance, whatever the weight
            assert shrinkage_of(moments, rule) == pytest.approx(getattr(expected, "shrinkage_", 0), abs=1e-9)
        assert shrink_covariance(moments, rule) == pytest.approx(expected.covariance_, rel=1e-7, abs=1e-9)


def test_ledoit_and_wolf_is_their_text_step_by_step() -> None:
    x = vectors(15, 20).astype(np.float64)
    deviations = x - x.mean(axis=0)
    n, p = x.shape
    sample = deviations.T @ deviations / n
    m = np.trace(sample) / p
    d2 = ((sample - m * np.eye(p)) ** 2).sum() / p
    errors = [((np.outer(row, row) - sample) ** 2).sum() / p for row in deviations]
    b2 = min(sum(errors) / n**2, d2)
    expected = b2 / d2 * m * np.eye(p) + (d2 - b2) / d2 * sample
    assert shrink_covariance(moments_of(x.astype(np.float32)), "ledoit_wolf") == pytest.approx(
        expected, rel=1e-5, abs=1e-5
    )


def test_distances_are_those_of_the_inverse_covariance() -> None:
    x, new = vectors(60, 9), vectors(20, 9, seed=1)
    fitted = reference.LedoitWolf().fit(x.astype(np.float64))
    gaussian = fit_shrunk_gaussian(moments_of(x), "ledoit_wolf", 1e-12)
    expected = np.sqrt(fitted.mahalanobis(new.astype(np.float64)))
    assert mahalanobis(gaussian, new[:, None])[:, 0] == pytest.approx(expected, rel=1e-4)


def test_a_break_with_the_correlation_is_far_away_though_each_feature_is_usual() -> None:
    rng = np.random.default_rng(1)
    common = rng.normal(size=(400, 1))
    x = (common + 0.05 * rng.normal(size=(400, 2))).astype(np.float32)
    gaussian = fit_shrunk_gaussian(moments_of(x), "ledoit_wolf", 1e-6)
    points = np.array([[[1.5, 1.5]], [[1.5, -1.5]]], np.float32)
    along, across = mahalanobis(gaussian, points)[:, 0].tolist()
    assert across > 10 * along  # a diagonal covariance would give the same distance to both


@pytest.mark.parametrize("rule", ["ledoit_wolf", "oas", "none"])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e2])
def test_one_two_and_equal_vectors_have_finite_distances(rule: Shrinkage, scale: float) -> None:
    few = [vectors(1, 6), vectors(2, 6), np.repeat(vectors(1, 6), 50, axis=0), np.zeros((3, 6), np.float32)]
    for x in few:
        gaussian = fit_shrunk_gaussian(moments_of(x * np.float32(scale)), rule, 1e-6)
        distances = mahalanobis(gaussian, np.float32(scale) * vectors(4, 6, seed=2)[:, None])
        assert np.isfinite(distances).all()
        assert (distances > 0).all()


@pytest.mark.parametrize("rule", ["ledoit_wolf", "oas", "none"])
def test_equal_vectors_so_long_that_rounding_would_be_a_distance_are_refused(rule: Shrinkage) -> None:
    moments = moments_of(np.repeat(vectors(1, 6), 50, axis=0) * np.float32(1e6))
    with pytest.raises(ConfigError, match="epsilon 1e-06 is too small") as refused:
        fit_shrunk_gaussian(moments, rule, 1e-6)
    advised = float((refused.value.hint or "").split()[3])
    assert np.isfinite(fit_shrunk_gaussian(moments, rule, advised).whitener).all()


def test_an_epsilon_that_leaves_the_covariance_singular_is_refused() -> None:
    with pytest.raises(ConfigError, match="epsilon 1e-30 is too small"):
        fit_shrunk_gaussian(moments_of(vectors(5, 20)), "none", 1e-30)


def test_nothing_nan_and_another_shape_are_refused() -> None:
    with pytest.raises(ConfigError):
        moments_of(np.empty((0, 3), np.float32))
    with pytest.raises(ConfigError, match=r"\(M, 3\)"):
        moments_of(np.zeros((2, 4), np.float32), moments_of(np.zeros((2, 3), np.float32)))
    for value in (np.nan, np.inf):
        with pytest.raises(ScoreError):
            moments_of(np.full((3, 3), value, np.float32))
    with pytest.raises(ConfigError, match="epsilon"):
        fit_shrunk_gaussian(moments_of(vectors(5, 3)), "oas", 0.0)
