"""Half precision keeps the order of scores, and refuses what it cannot hold."""

import numpy as np
import pytest

from kizu.core.errors import ScoreError
from kizu.release.half import exponent_for, to_half


def a_map(low: float = 0.1, high: float = 3.0) -> np.ndarray:
    return np.linspace(low, high, 40 * 30, dtype=np.float32).reshape(40, 30)


@pytest.mark.parametrize("threshold", [1e-6, 0.004, 0.999, 1.0, 1.7, 2.0, 37.5, 9e4])
def test_the_threshold_comes_to_lie_between_1_and_2(threshold: float) -> None:
    assert 1 <= threshold * 2.0 ** exponent_for(threshold) < 2


def test_a_threshold_that_is_not_above_0_changes_nothing() -> None:
    assert exponent_for(0.0) == exponent_for(-3.0) == 0


@pytest.mark.parametrize("factor", [1e-5, 1.0, 3e4])
def test_the_order_is_kept_whatever_the_size_of_scores(factor: float) -> None:
    scores = (a_map() * np.float32(factor)).astype(np.float32)
    threshold = 1.5 * factor
    half = to_half(scores, scores > threshold, exponent_for(threshold), "a.png")
    assert half.values.dtype == np.float16
    order = np.argsort(scores.ravel(), kind="stable")
    assert (np.diff(half.values.ravel()[order].astype(float)) >= 0).all()
    assert half.values[scores > threshold].min() >= half.values[scores <= threshold].max()


def test_only_a_power_of_two_is_multiplied() -> None:
    scores = a_map()
    half = to_half(scores, scores > 0.7, exponent_for(0.7), "a.png")
    assert half.values.astype(float) == pytest.approx(scores * 2.0, rel=2**-11)


def test_ties_are_counted() -> None:
    scores = np.float32(1) + np.arange(64, dtype=np.float32).reshape(8, 8) * np.float32(2**-14)
    half = to_half(scores, scores > scores[4, 0], 0, "a.png")
    assert half.distinct == 64
    assert half.left == len(np.unique(scores.astype(np.float16))) < 64
    marked = scores > scores[4, 0]
    lowest = scores[marked].astype(np.float16).min()
    assert half.tied_with_marked == int((scores[~marked].astype(np.float16) >= lowest).sum()) > 0


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused_by_name(odd: float) -> None:
    scores = a_map()
    scores[3, 4] = odd
    with pytest.raises(ScoreError, match=r"a\.png: the map holds 1 scores that are not finite"):
        to_half(scores, scores > 9, 0, "a.png")


def test_a_score_beyond_halves_is_refused_and_not_made_infinite() -> None:
    with pytest.raises(ScoreError, match="too large for half precision") as caught:
        to_half(a_map(high=70_000), a_map() > 9, 0, "a.png")
    assert "threshold" in (caught.value.hint or "")
    to_half(a_map(high=65_000), a_map() > 9, 0, "a.png")


def test_a_map_of_one_value_is_refused_also_where_only_halves_make_it_so() -> None:
    for scores in (np.full((4, 4), 2, np.float32), a_map(1.0, 1.0001)):
        with pytest.raises(ScoreError, match="one value in half precision"):
            to_half(scores, scores > 9, 0, "a.png")
