"""What a Gaussian would say without a group: against Gaussians that were really fitted without it."""

import numpy as np
import pytest

from kizu.core.errors import CalibrationError, ConfigError
from kizu.core.threads import limit_cores
from kizu.core.types import F32, F64, I64
from kizu.scoring.gaussian import Gaussian, RunningMoments, fit_gaussian, mahalanobis
from kizu.scoring.lean_gaussian import DiagonalGaussian, RunningVariances, fit_diagonal
from kizu.scoring.left_out import diagonal_without, mahalanobis_without
from kizu.scoring.moments import Moments, moments_of

EPSILON = 0.1
POSITIONS = 5


def vectors(count: int, dims: int, seed: int = 0) -> F32:
    """(N, P, D), correlated, each position about another mean."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(count, POSITIONS, dims)) @ rng.normal(size=(dims, dims)) / np.sqrt(dims)
    return (mixed + 3 * rng.normal(size=(POSITIONS, dims))).astype(np.float32)


def groups_of(count: int) -> I64:
    """(N,) groups of 1, of 3 and of what remains, their members apart from one another."""
    groups = np.array([4, 2, 2, 2, *[9] * (count - 4)])
    return np.random.default_rng(1).permutation(groups)


def full(x: F32, epsilon: float = EPSILON) -> Gaussian:
    moments = RunningMoments(*x.shape[1:])
    moments.add(x)
    return fit_gaussian(moments, epsilon)


def diagonal(x: F32) -> DiagonalGaussian:
    variances = RunningVariances(*x.shape[1:])
    variances.add(x)
    return fit_diagonal(variances, EPSILON)


def refitted(x: F32, groups: I64, *, is_diagonal: bool = False) -> F64:
    """(N, P): for each vector, from mean and scatter of the vectors of other groups, in float64, by the leverage it
    has among them."""
    found = np.empty(x.shape[:2])
    for row, group in enumerate(groups):
        others = x[groups != group].astype(np.float64)
        for position in range(x.shape[1]):
            rest = others[:, position]
            apart = rest - rest.mean(axis=0)
            scatter = apart.T @ apart
            if is_diagonal:
                scatter = np.diag(np.diag(scatter))
            scatter += (len(x) - 1) * EPSILON * np.eye(x.shape[2])
            deviation = x[row, position].astype(np.float64) - rest.mean(axis=0)
            leverage = deviation @ np.linalg.solve(scatter, deviation)
            means = x.shape[2] if is_diagonal else 1
            leverage += means * (1 / len(rest) - 1 / len(x))
            found[row, position] = np.sqrt((len(x) - 1) * leverage)
    return found


@pytest.mark.parametrize("dims", [3, 8, 40])
@pytest.mark.parametrize("count", [6, 20])
def test_a_full_gaussian_without_a_group_is_one_fitted_on_the_others(count: int, dims: int) -> None:
    x, groups = vectors(count, dims), groups_of(count)
    found = mahalanobis_without(full(x), x, groups, count)
    np.testing.assert_allclose(found, refitted(x, groups), rtol=2e-3)
    assert found.dtype == np.float32


@pytest.mark.parametrize("dims", [3, 40])
def test_all_but_one_may_be_left_out(dims: int) -> None:
    x = vectors(7, dims)
    groups = np.array([1, 1, 1, 0, 1, 1, 1])
    np.testing.assert_allclose(mahalanobis_without(full(x), x, groups, 7), refitted(x, groups), rtol=2e-3)
    found = diagonal_without(diagonal(x), x, groups, 7, EPSILON)
    np.testing.assert_allclose(found, refitted(x, groups, is_diagonal=True), rtol=1e-4)


@pytest.mark.parametrize("dims", [3, 40])
def test_every_vector_by_itself(dims: int) -> None:
    x, groups = vectors(12, dims), np.arange(12)
    found = mahalanobis_without(full(x), x, groups, 12)
    np.testing.assert_allclose(found, refitted(x, groups), rtol=2e-3)
    two = x[:2]
    np.testing.assert_allclose(
        mahalanobis_without(full(two), two, groups[:2], 2), refitted(two, groups[:2]), rtol=2e-3
    )


@pytest.mark.parametrize(("count", "dims"), [(6, 3), (20, 8), (20, 40), (300, 8)])
def test_a_full_gaussian_is_never_nearer_than_a_fit_on_the_others_and_little_farther(
    count: int, dims: int
) -> None:
    """Its divisor is n - 1 in place of n - m - 1: the distance is too large by no more than the root of their ratio,
    but for what the mean adds."""
    x, groups = vectors(count, dims), np.arange(count) // 3
    found = mahalanobis_without(full(x), x, groups, count)
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        others = full(x[groups != group])
        white = np.einsum("pij,npj->npi", others.whitener, x[rows] - others.mean)
        real = np.linalg.norm(white, axis=2)
        left = count - len(rows)
        assert (found[rows] >= real * 0.998).all()
        of_mean = (count - 1) * (1 / left - 1 / count)
        assert (found[rows] ** 2 <= real**2 * (count - 1) / (left - 1) * 1.004 + of_mean).all()


@pytest.mark.parametrize("dims", [3, 40])
@pytest.mark.parametrize("count", [6, 20])
def test_a_diagonal_gaussian_without_a_group_is_a_fit_on_the_others(count: int, dims: int) -> None:
    x, groups = vectors(count, dims), groups_of(count)
    found = diagonal_without(diagonal(x), x, groups, count, EPSILON)
    np.testing.assert_allclose(found, refitted(x, groups, is_diagonal=True), rtol=1e-4)


@pytest.mark.parametrize("is_diagonal", [False, True])
@pytest.mark.parametrize("dims", [3, 40])
def test_what_is_learned_besides_lowers_it_and_never_raises_it(dims: int, *, is_diagonal: bool) -> None:
    """A tenth group of two beside nine, left out of the fits of none: the divisor and the ridge are the same."""
    x, groups = vectors(20, dims), np.arange(20) // 2
    x[18:] *= 3  # it may be as strange as can be
    less, known = x[:18], groups[:18]
    without: list[F32] = []
    if is_diagonal:
        without.append(diagonal_without(diagonal(less), less, known, 18, EPSILON))
    else:
        without.append(mahalanobis_without(full(less), less, known, 18))
    for group in range(9):
        rows = np.flatnonzero(groups == group)
        others = x[groups != group]  # eighteen again
        if is_diagonal:
            lean = diagonal(others)
            besides = np.linalg.norm((x[rows] - lean.mean) * lean.scale, axis=2)
        else:
            besides = mahalanobis(full(others), x[rows])
        assert (besides <= without[0][rows] * (1 + 1e-4)).all()
        assert besides.mean() < without[0][rows].mean() * 0.99


@pytest.mark.parametrize("cores", [1, 3])
def test_groups_may_come_in_any_batches_as_long_as_they_are_whole(cores: int) -> None:
    x, groups = vectors(20, 8), np.array([5, 0, 1] * 6 + [7, 7])
    gaussian, lean = full(x), diagonal(x)
    with limit_cores(cores):
        together = mahalanobis_without(gaussian, x, groups, 20)
    lean_together = diagonal_without(lean, x, groups, 20, EPSILON)
    for batch in ([5], [0, 7], [1], [7, 1, 0]):
        rows = np.flatnonzero(np.isin(groups, batch))[::-1]
        found = mahalanobis_without(gaussian, x[rows], groups[rows], 20)
        np.testing.assert_allclose(found, together[rows], rtol=1e-5)
        found = diagonal_without(lean, x[rows], groups[rows], 20, EPSILON)
        np.testing.assert_allclose(found, lean_together[rows], rtol=1e-6)


def test_copies_stay_finite_and_a_vector_unlike_them_is_far() -> None:
    x = np.repeat(vectors(1, 8), 9, axis=0)
    x[3] += 2
    for groups in (np.arange(9), np.array([0, 0, 0, 1, 2, 2, 2, 2, 2])):
        for found in (
            mahalanobis_without(full(x), x, groups, 9),
            diagonal_without(diagonal(x), x, groups, 9, EPSILON),
        ):
            assert np.isfinite(found).all()
            np.testing.assert_allclose(found[3], np.sqrt(8 * 4 / EPSILON), rtol=1e-2)


def test_what_leaves_nothing_or_has_no_group_is_refused() -> None:
    x = vectors(6, 4)
    gaussian, lean = full(x), diagonal(x)
    for without in (
        lambda x, groups, count=6: mahalanobis_without(gaussian, x, groups, count),
        lambda x, groups, count=6: diagonal_without(lean, x, groups, count, EPSILON),
    ):
        with pytest.raises(CalibrationError, match="nothing is left"):
            without(x, np.zeros(6, np.int64))
        with pytest.raises(CalibrationError, match="nothing is left"):
            without(x[:1], np.zeros(1, np.int64), 1)
        for wrong, groups in (
            (x[:, :2], np.arange(6)),
            (x[..., :2], np.arange(6)),
            (x[:, 0], np.arange(6)),
            (x, np.arange(5)),
        ):
            with pytest.raises(ConfigError, match="a group each"):
                without(wrong, groups)


def assert_same(found: Moments, expected: Moments, scale: float) -> None:
    assert found.count == expected.count
    np.testing.assert_allclose(found.mean, expected.mean, atol=1e-12 * scale)
    np.testing.assert_allclose(found.scatter, expected.scatter, atol=1e-11 * scale**2 * expected.count)
    np.testing.assert_allclose(found.cubic, expected.cubic, atol=1e-10 * scale**3 * expected.count)
    assert found.quartic == pytest.approx(expected.quartic, abs=1e-9 * scale**4 * expected.count)


@pytest.mark.parametrize("taken", [1, 3, 50, 79])
def test_moments_without_a_part_are_those_of_the_rest(taken: int) -> None:
    x = (np.random.default_rng(3).gamma(2, size=(80, 5)) + np.arange(5)).astype(np.float32)
    rows = np.random.default_rng(4).permutation(80)
    part, rest = x[rows[:taken]] + np.float32(2), x[rows[taken:]]
    whole = moments_of(np.concatenate([part, rest]))
    assert_same(whole.without(moments_of(part)), moments_of(rest), 10)
    again = whole.without(moments_of(part)).merge(moments_of(part))
    assert_same(again, whole, 10)


def test_moments_of_several_parts_are_taken_away_one_after_the_other() -> None:
    x = vectors(60, 5)[:, 0]
    left = moments_of(x).without(moments_of(x[:20])).without(moments_of(x[20:45]))
    assert_same(left, moments_of(x[45:]), 10)


@pytest.mark.parametrize("count", [6, 9])
def test_moments_without_all_of_them_are_refused(count: int) -> None:
    x = vectors(9, 4)[:, 0]
    with pytest.raises(CalibrationError, match="nothing is left"):
        moments_of(x[:6]).without(moments_of(x[:count]))
