"""PaDiM's maths against NumPy's own covariance and a plain inverse, in float64."""

import numpy as np
import pytest

from kizu.core.errors import ConfigError, ScoreError
from kizu.scoring.gaussian import RunningMoments, fit_gaussian, mahalanobis


def embeddings(count: int, positions: int = 40, dims: int = 7, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(positions, dims, dims))
    mixed = np.einsum("npd,pde->npe", rng.normal(size=(count, positions, dims)), mixing)
    return (mixed + 30 * rng.normal(size=(positions, dims))).astype(np.float32)


def moments_of(x: np.ndarray, *batches: int) -> RunningMoments:
    moments = RunningMoments(*x.shape[1:])
    for part in np.split(x, np.cumsum(batches)):
        moments.add(part)
    return moments


@pytest.mark.parametrize("batches", [(), (1,), (5, 7, 1), (1,) * 19])
def test_moments_do_not_depend_on_how_the_batches_are_cut(batches: tuple[int, ...]) -> None:
    x = embeddings(50)
    moments = moments_of(x, *batches)
    for position in range(x.shape[1]):
        expected = np.cov(x[:, position].astype(np.float64), rowvar=False)
        assert moments.scatter[position] / 49 == pytest.approx(expected, rel=1e-4, abs=1e-4)
    assert moments.mean == pytest.approx(x.mean(axis=0, dtype=np.float64))


def test_a_far_mean_costs_no_precision() -> None:
    x = embeddings(64, positions=3) + np.float32(1000)
    moments = moments_of(x, 8, 8, 16)
    expected = np.cov(x[:, 1].astype(np.float64), rowvar=False)
    assert moments.scatter[1] / 63 == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_distances_are_those_of_the_inverse() -> None:
    x, new = embeddings(30), embeddings(4, seed=1)
    distances = mahalanobis(fit_gaussian(moments_of(x, 8, 8, 8), 0.01), new)
    assert distances.shape == (4, 40)
    for position in range(x.shape[1]):
        fitted = x[:, position].astype(np.float64)
        inverse = np.linalg.inv(np.cov(fitted, rowvar=False) + 0.01 * np.eye(x.shape[2]))
        difference = new[:, position] - fitted.mean(axis=0)
        expected = np.sqrt(np.einsum("nd,de,ne->n", difference, inverse, difference))
        assert distances[:, position] == pytest.approx(expected, rel=1e-4)


def test_the_whitener_is_the_inverse_factor() -> None:
    moments = moments_of(embeddings(20))
    whitener = fit_gaussian(moments, 0.1).whitener.astype(np.float64)
    covariance = moments.scatter / 19 + 0.1 * np.eye(7)
    assert np.allclose(np.triu(whitener, 1), 0)
    assert whitener @ covariance @ whitener.transpose(0, 2, 1) == pytest.approx(
        np.broadcast_to(np.eye(7), whitener.shape), abs=1e-4
    )


def distances_by_directions(fitted: np.ndarray, new: np.ndarray, epsilon: float) -> np.ndarray:
    """(N,) at one position in float64: by singular vectors, whose variances may be 0."""
    x = fitted.astype(np.float64)
    _, singular, directions = np.linalg.svd(x - x.mean(axis=0), full_matrices=True)
    variances = np.full(x.shape[1], epsilon)
    variances[: len(singular)] += singular**2 / (len(x) - 1)
    return np.sqrt((((new - x.mean(axis=0)) @ directions.T) ** 2 / variances).sum(axis=1))


@pytest.mark.parametrize("epsilon", [1e-1, 1e-3, 1e-4, 1e-5, 1e-6])
@pytest.mark.parametrize("count", [5, 20])
def test_fewer_samples_than_features_and_a_small_epsilon_keep_their_distances(
    count: int, epsilon: float
) -> None:
    """Float32 sums put 2.7 % on these distances at 1e-4, and have no factor at 1e-5."""
    x, new = (embeddings(n, positions=5, dims=40, seed=n) for n in (count, 4))
    distances = mahalanobis(fit_gaussian(moments_of(x, 2), epsilon), new)
    for position in range(x.shape[1]):
        expected = distances_by_directions(x[:, position], new[:, position], epsilon)
        assert distances[:, position] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("epsilon", [1e-9, 1e-12, 1e-15, 1e-30, 1e-300])
def test_an_epsilon_below_what_float32_holds_is_refused_and_the_advised_one_works(epsilon: float) -> None:
    x = embeddings(6, positions=5, dims=40)
    with pytest.raises(ConfigError, match=f"epsilon {epsilon:g} is too small") as refused:
        fit_gaussian(moments_of(x), epsilon)
    advised = float((refused.value.hint or "").split()[3])
    distances = mahalanobis(fit_gaussian(moments_of(x), advised), embeddings(4, 5, 40, seed=1))
    new = embeddings(4, 5, 40, seed=1)
    for position in range(x.shape[1]):
        expected = distances_by_directions(x[:, position], new[:, position], advised)
        assert distances[:, position] == pytest.approx(expected, rel=2e-3)


def test_more_samples_than_features_need_no_epsilon() -> None:
    x = embeddings(200)
    small, none = (fit_gaussian(moments_of(x), epsilon).whitener for epsilon in (1e-12, 1e-300))
    assert small == pytest.approx(none, rel=1e-4)


def test_features_that_are_all_zero_are_refused_where_distances_would_leave_float32() -> None:
    with pytest.raises(ConfigError, match="epsilon 1e-40"):
        fit_gaussian(moments_of(np.zeros((4, 2, 3), np.float32)), 1e-40)


def test_features_whose_squares_are_not_finite_are_refused() -> None:
    x = np.full((3, 2, 3), 3e38, np.float32)
    x[1] *= -1
    with pytest.raises(ScoreError), np.errstate(over="ignore", invalid="ignore"):
        fit_gaussian(moments_of(x), 0.1)


def test_one_sample_has_only_epsilon() -> None:
    x = embeddings(1)
    distances = mahalanobis(fit_gaussian(moments_of(x), 0.25), x + 1)
    assert distances == pytest.approx(np.full((1, 40), np.sqrt(7 / 0.25)), rel=1e-4)


def test_bad_input_is_refused() -> None:
    moments = RunningMoments(4, 3)
    with pytest.raises(ConfigError, match="no embeddings"):
        fit_gaussian(moments, 0.01)
    with pytest.raises(ConfigError, match=r"\(4, 3\)"):
        moments.add(np.zeros((2, 5, 3), np.float32))
    with pytest.raises(ScoreError):
        moments.add(np.full((1, 4, 3), np.nan, np.float32))
    moments.add(np.zeros((0, 4, 3), np.float32))
    moments.add(np.ones((2, 4, 3), np.float32))
    with pytest.raises(ConfigError, match="epsilon"):
        fit_gaussian(moments, 0.0)
    gaussian = fit_gaussian(moments, 0.01)
    with pytest.raises(ConfigError):
        mahalanobis(gaussian, np.zeros((1, 4, 2), np.float32))
    with pytest.raises(ScoreError):
        mahalanobis(gaussian, np.full((1, 4, 3), np.inf, np.float32))
