"""Diagonal and low-rank distributions against plain covariances and their inverses, in float64."""

import numpy as np
import pytest

from kizu.core.errors import ConfigError, ScoreError
from kizu.core.types import F32
from kizu.scoring import lean_gaussian
from kizu.scoring.gaussian import RunningMoments, fit_gaussian, mahalanobis
from kizu.scoring.lean_gaussian import (
    RunningVariances,
    fit_diagonal,
    fit_low_rank,
    highest_variance,
    lean_mahalanobis,
)

EPSILON = 0.05


def embeddings(count: int, positions: int = 21, dims: int = 9, seed: int = 0) -> F32:
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(positions, dims, dims))
    mixed = np.einsum("npd,pde->npe", rng.normal(size=(count, positions, dims)), mixing)
    return (mixed + 30 * rng.normal(size=(positions, dims))).astype(np.float32)


def variances_of(x: F32, *batches: int) -> RunningVariances:
    moments = RunningVariances(*x.shape[1:])
    for part in np.split(x, np.cumsum(batches)):
        moments.add(part)
    return moments


def distances_by_inverse(x: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    difference = x.astype(np.float64) - mean
    return np.sqrt(np.einsum("nd,de,ne->n", difference, np.linalg.inv(covariance), difference))


@pytest.mark.parametrize("batches", [(), (1,), (5, 7, 1), (1,) * 19])
def test_variances_do_not_depend_on_how_the_batches_are_cut(batches: tuple[int, ...]) -> None:
    x = embeddings(40)
    moments = variances_of(x, *batches)
    assert moments.count == 40
    assert moments.mean == pytest.approx(x.mean(axis=0, dtype=np.float64), rel=1e-12)
    assert moments.scatter / 39 == pytest.approx(x.astype(np.float64).var(axis=0, ddof=1), rel=1e-9)


def test_diagonal_distances_are_those_of_the_variances() -> None:
    x, new = embeddings(30), embeddings(4, seed=1)
    found = lean_mahalanobis(fit_diagonal(variances_of(x, 11), EPSILON), new)
    for position in range(x.shape[1]):
        fitted = x[:, position].astype(np.float64)
        covariance = np.diag(fitted.var(axis=0, ddof=1) + EPSILON)
        expected = distances_by_inverse(new[:, position], fitted.mean(axis=0), covariance)
        assert found[:, position] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("count", [5, 30])  # fewer samples than features, and more
@pytest.mark.parametrize("rank", [1, 3, 8])
def test_low_rank_distances_are_those_of_probabilistic_pca(count: int, rank: int) -> None:
    """Equations 7 and 8 of Tipping and Bishop, and a plain inverse."""
    x, new = embeddings(count), embeddings(4, seed=1)
    found = lean_mahalanobis(fit_low_rank(x, EPSILON, rank), new)
    dims = x.shape[2]
    for position in range(x.shape[1]):
        fitted = x[:, position].astype(np.float64)
        values, vectors = np.linalg.eigh(np.cov(fitted, rowvar=False))
        kept = vectors[:, ::-1][:, :rank]
        noise = values[::-1][rank:].mean()
        covariance = kept @ np.diag(values[::-1][:rank] - noise) @ kept.T + (noise + EPSILON) * np.eye(dims)
        expected = distances_by_inverse(new[:, position], fitted.mean(axis=0), covariance)
        assert found[:, position] == pytest.approx(expected, rel=1e-4)


def test_woodbury_says_the_same() -> None:
    """(s I + W W^T)^-1 = (I - W (s I + W^T W)^-1 W^T) / s with W = U (L - s I)^1/2."""
    x, new = embeddings(25, positions=1), embeddings(6, positions=1, seed=1)
    gaussian = fit_low_rank(x, EPSILON, 4)
    axes, s = gaussian.axes[0].astype(np.float64), float(gaussian.rest[0]) ** -2.0
    w = axes * np.sqrt(gaussian.scale[0].astype(np.float64) ** -2 - s)
    inverse = (np.eye(9) - w @ np.linalg.inv(s * np.eye(4) + w.T @ w) @ w.T) / s
    difference = new[:, 0].astype(np.float64) - gaussian.mean[0]
    expected = np.sqrt(np.einsum("nd,de,ne->n", difference, inverse, difference))
    assert lean_mahalanobis(gaussian, new)[:, 0] == pytest.approx(expected, rel=1e-4)


def test_with_a_factor_for_every_direction_that_varies_it_is_the_full_covariance() -> None:
    x, new = embeddings(5), embeddings(4, seed=1)  # 5 samples vary in 4 directions
    moments = RunningMoments(*x.shape[1:])
    moments.add(x)
    full = mahalanobis(fit_gaussian(moments, EPSILON), new)
    assert lean_mahalanobis(fit_low_rank(x, EPSILON, 6), new) == pytest.approx(full, rel=1e-3)


def test_axes_are_orthonormal_though_samples_are_few() -> None:
    for count in (1, 2, 30):
        axes = fit_low_rank(embeddings(count), EPSILON, 5).axes.astype(np.float64)
        gram = np.einsum("pdr,pds->prs", axes, axes)
        assert gram == pytest.approx(np.broadcast_to(np.eye(5), gram.shape), abs=1e-5)


def test_a_far_point_along_a_factor_keeps_its_small_distance_beyond_it() -> None:
    rng = np.random.default_rng(0)
    x = np.zeros((200, 1, 6), np.float32)
    x[:, 0, 0] = 1000 * rng.normal(size=200)
    x[:, 0, 1:] = 0.1 * rng.normal(size=(200, 5))
    gaussian = fit_low_rank(x, 1e-6, 1)
    one, other = np.zeros((2, 1, 1, 6), np.float32)
    one[..., 0] = other[..., 0] = 3000
    other[..., 3] += 1
    near, far = (float(lean_mahalanobis(gaussian, point)[0, 0]) for point in (one, other))
    assert near == pytest.approx(3, rel=0.2)
    assert far == pytest.approx(10.4, rel=0.1)


def test_one_sample_and_equal_samples_have_only_epsilon() -> None:
    one = embeddings(1)
    for x in (one, np.repeat(one, 12, axis=0)):
        for gaussian in (fit_low_rank(x, 0.25, 4), fit_diagonal(variances_of(x), 0.25)):
            found = lean_mahalanobis(gaussian, one + 1)
            assert found == pytest.approx(np.full((1, 21), np.sqrt(9 / 0.25)), rel=1e-4)


def test_a_choice_of_channels_is_a_fit_on_these(tmp_path) -> None:
    x, channels = embeddings(20), np.array([1, 4, 5, 8])
    in_file = np.memmap(tmp_path / "x", np.float32, "w+", shape=x.shape)
    in_file[:] = x
    found, expected = fit_low_rank(in_file, EPSILON, 2, channels), fit_low_rank(x[..., channels], EPSILON, 2)
    new = embeddings(3, seed=1)[..., channels]
    assert lean_mahalanobis(found, new) == pytest.approx(lean_mahalanobis(expected, new), rel=1e-5)


def test_the_features_of_highest_variance_are_numpys(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(500, 12)) * rng.uniform(0.1, 9, 12) + 1000).astype(np.float32)
    expected = np.sort(np.argsort(-x.astype(np.float64).var(axis=0))[:5])
    assert (highest_variance(x, 5) == expected).all()
    monkeypatch.setattr(lean_gaussian, "ROWS", 7)
    assert (highest_variance(x, 5) == expected).all()
    assert highest_variance(np.ones((4, 6), np.float32), 2).tolist() == [0, 1]  # ties: the lowest


@pytest.mark.parametrize("epsilon", [1e-12, 1e-40, 1e-300])
def test_an_epsilon_below_what_float32_holds_is_refused_and_the_advised_one_works(epsilon: float) -> None:
    x = np.repeat(embeddings(1), 3, axis=0)
    for fit in (lambda e: fit_low_rank(x, e, 4), lambda e: fit_diagonal(variances_of(x), e)):
        with pytest.raises(ConfigError, match=f"epsilon {epsilon:g} is too small") as refused:
            fit(epsilon)
        advised = float((refused.value.hint or "").split()[3])
        expected = np.sqrt(9 / advised)
        assert lean_mahalanobis(fit(advised), x + 1) == pytest.approx(np.full((3, 21), expected), rel=1e-3)


def test_a_feature_that_never_varies_is_not_measured_by_the_size_of_the_others() -> None:
    x = embeddings(30) * np.float32(1e5)
    x[..., 2] = 0
    new = x[:1].copy()
    new[..., 2] = 1
    apart = np.square(lean_mahalanobis(fit_diagonal(variances_of(x), 1e-6), new))
    assert apart == pytest.approx(np.full((1, 21), 1e6), rel=1e-3)


def test_bad_input_is_refused() -> None:
    x = embeddings(6)
    for rank in (0, 9):
        with pytest.raises(ConfigError, match="1 to 8"):
            fit_low_rank(x, EPSILON, rank)
    with pytest.raises(ConfigError, match="epsilon"):
        fit_low_rank(x, 0.0, 3)
    with pytest.raises(ConfigError, match="no embeddings"):
        fit_low_rank(x[:0], EPSILON, 3)
    with pytest.raises(ConfigError, match="no embeddings"):
        fit_diagonal(RunningVariances(2, 3), EPSILON)
    with pytest.raises(ConfigError):
        highest_variance(x[:, 0], 10)
    gaussian = fit_low_rank(x, EPSILON, 3)
    with pytest.raises(ConfigError, match=r"\(21, 9\)"):
        lean_mahalanobis(gaussian, x[:, :3])
    for value in (np.nan, np.inf):
        spoilt = x.copy()
        spoilt[2, 3, 4] = value
        with pytest.raises(ScoreError):
            fit_low_rank(spoilt, EPSILON, 3)
        with pytest.raises(ScoreError):
            variances_of(spoilt)
        with pytest.raises(ScoreError):
            lean_mahalanobis(gaussian, spoilt)
