"""Diagonal and low-rank Gaussians against plain inverses of the covariances they stand for, in float64."""

import numpy as np
import pytest
from tests.oracle.test_scoring_gaussian import embeddings

from kizu.core.errors import ConfigError, ScoreError
from kizu.scoring.covariance import RunningVariances, fit_diagonal, fit_low_rank
from kizu.scoring.gaussian import RunningMoments, fit_gaussian, mahalanobis, moments_behind

EPSILON = 0.05


def distances(new: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    difference = new.astype(np.float64) - mean
    return np.sqrt(np.einsum("nd,de,ne->n", difference, np.linalg.inv(covariance), difference))


@pytest.mark.parametrize("batches", [(), (1,), (5, 7, 1), (1,) * 19])
def test_diagonal_distances_are_those_of_the_variances(batches: tuple[int, ...]) -> None:
    x, new = embeddings(50), embeddings(4, seed=1)
    moments = RunningVariances(*x.shape[1:])
    for part in np.split(x, np.cumsum(batches)):
        moments.add(part)
    found = fit_diagonal(moments, EPSILON).distances(new)
    for position in range(x.shape[1]):
        seen = x[:, position].astype(np.float64)
        covariance = np.diag(seen.var(axis=0, ddof=1) + EPSILON)
        assert found[:, position] == pytest.approx(
            distances(new[:, position], seen.mean(axis=0), covariance), rel=1e-4
        )


@pytest.mark.parametrize("count", [4, 7, 30])  # fewer images than features, as many, more
@pytest.mark.parametrize("rank", [1, 3, 7, 20])
def test_low_rank_distances_are_those_of_the_covariance_written_out(count: int, rank: int) -> None:
    x, new = embeddings(count), embeddings(4, seed=1)
    found = fit_low_rank(x, rank, EPSILON).distances(new)
    for position in range(x.shape[1]):
        seen = x[:, position].astype(np.float64)
        values, vectors = np.linalg.eigh(np.cov(seen, rowvar=False))
        kept = min(rank, count - 1, 7)
        rest = values[: 7 - kept].sum() / max(7 - kept, 1)
        model = np.full(7, rest + EPSILON)
        model[7 - kept :] = values[7 - kept :] + EPSILON
        covariance = (vectors * model) @ vectors.T
        expected = distances(new[:, position], seen.mean(axis=0), covariance)
        assert found[:, position] == pytest.approx(expected, rel=1e-3)


def test_all_directions_are_the_full_covariance() -> None:
    x, new = embeddings(60), embeddings(5, seed=2)
    moments = RunningMoments(*x.shape[1:])
    moments.add(x)
    full = mahalanobis(fit_gaussian(moments, EPSILON), new)
    assert fit_low_rank(x, 7, EPSILON).distances(new) == pytest.approx(full, rel=1e-3)


def test_equal_images_and_one_image_have_distances() -> None:
    new = embeddings(3, seed=1)
    for count in (1, 5):
        x = np.repeat(embeddings(1), count, axis=0)
        expected = np.linalg.norm(new - x[:1], axis=2) / np.sqrt(EPSILON)
        assert fit_low_rank(x, 4, EPSILON).distances(new) == pytest.approx(expected, rel=1e-4)
        moments = RunningVariances(*x.shape[1:])
        moments.add(x)
        assert fit_diagonal(moments, EPSILON).distances(new) == pytest.approx(expected, rel=1e-4)


def test_moments_come_back_from_the_gaussian_they_made() -> None:
    x, more = embeddings(60), embeddings(20, seed=3)
    first, both = RunningMoments(*x.shape[1:]), RunningMoments(*x.shape[1:])
    first.add(x)
    again = moments_behind(fit_gaussian(first, EPSILON), 60, EPSILON)
    for position in range(x.shape[1]):
        assert again.scatter[position] == pytest.approx(first.scatter[position], rel=1e-3, abs=1e-2)
    again.add(more)
    both.add(x)
    both.add(more)
    new = embeddings(4, seed=1)
    gone_on, at_once = (mahalanobis(fit_gaussian(m, EPSILON), new) for m in (again, both))
    assert gone_on == pytest.approx(at_once, rel=1e-3)


def test_what_cannot_be_fitted_or_scored_is_refused() -> None:
    x = embeddings(5)
    with pytest.raises(ConfigError, match="no embeddings"):
        fit_diagonal(RunningVariances(3, 4), EPSILON)
    with pytest.raises(ConfigError, match="epsilon must be positive"):
        fit_low_rank(x, 2, 0.0)
    broken = x.copy()
    broken[2, 3, 1] = np.nan
    with pytest.raises(ScoreError, match="not finite"):
        fit_low_rank(broken, 2, EPSILON)
    with pytest.raises(ScoreError, match="not finite"):
        fit_low_rank(x, 2, EPSILON).distances(broken)
    with pytest.raises(ConfigError, match="embeddings must be"):
        fit_low_rank(x, 2, EPSILON).distances(x[:, :3])
