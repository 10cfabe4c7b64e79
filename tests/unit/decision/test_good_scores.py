"""Which of the good scores count how much: by literal sums in fractions, and by drawing whole lots."""

import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

from kizu.core.errors import CalibrationError
from kizu.core.types import F64, I64
from kizu.decision.good_scores import GoodScores, number_groups

LEVELS = [Fraction(1, 100), Fraction(1, 20), Fraction(1, 10), Fraction(1, 4), Fraction(1, 2), Fraction(9, 10)]


def rank_by_fractions(values: F64, groups: I64, level: Fraction) -> int | None:
    """The definition, without rounding: add up shares from the lowest score on until 1 - level is reached."""
    sizes = Counter(groups.tolist())
    reached = Fraction(0)
    for rank, (_, group) in enumerate(sorted(zip(values.tolist(), groups.tolist(), strict=True)), start=1):
        reached += Fraction(1, len(sizes) + 1) / sizes[group]
        if reached >= 1 - level:
            return rank
    return None


@pytest.mark.parametrize("level", LEVELS)
def test_the_rank_is_that_of_the_weighted_quantile(level: Fraction) -> None:
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        count = int(rng.integers(1, 40))
        values, groups = rng.normal(size=count), rng.integers(0, int(rng.integers(1, 15)), count) * 7 - 3
        expected = rank_by_fractions(values, groups, level)
        assert GoodScores.of(values, groups).rank_at(float(level)) == expected
        refused += expected is None
    assert refused < 60 or level < Fraction(1, 15)  # most levels can be had now and then


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("count", [1, 2, 9, 19, 99, 100, 250])
def test_of_single_pictures_it_is_the_split_conformal_rank(level: Fraction, count: int) -> None:
    rank = math.ceil((count + 1) * (1 - level))
    found = GoodScores.of(np.random.default_rng(count).permutation(count).astype(np.float32))
    assert found.rank_at(float(level)) == (rank if rank <= count else None)


def test_one_score_and_two_scores() -> None:
    one, two = GoodScores.of(np.array([3.0])), GoodScores.of(np.array([3.0, 1.0]))
    assert (one.rank_at(0.5), one.rank_at(0.49), one.count) == (1, None, 1)
    assert (two.rank_at(1 / 3), two.rank_at(0.33), two.rank_at(0.67)) == (2, None, 1)
    together = GoodScores.of(np.array([3.0, 1.0]), np.array([5, 5]))
    assert (together.count, together.are_grouped) == (1, True)
    assert (together.rank_at(0.5), together.rank_at(0.49), together.rank_at(0.75)) == (2, None, 1)


def test_a_large_group_counts_no_more_than_a_small_one() -> None:
    """100 low pictures of one lot and one high picture of each of nine others."""
    values = np.concatenate([np.zeros(100), np.arange(1.0, 10)])
    groups = np.concatenate([np.zeros(100, int), np.arange(1, 10)])
    good = GoodScores.of(values, groups)
    assert good.count == 10
    assert good.rank_at(0.5) == 105  # 5.5 of 11 are reached with the sixth group
    assert GoodScores.of(values).rank_at(0.5) == 55


def test_names_of_groups_are_numbered_and_equals_stay_equal() -> None:
    for names in (["b", "a", "b", "c"], [9, -4, 9, 100], np.array([9, -4, 9, 100])):
        numbers = number_groups(names)
        assert sorted(set(numbers.tolist())) == [0, 1, 2]
        assert numbers[0] == numbers[2]
        assert len({numbers[0], numbers[1], numbers[3]}) == 3


def test_what_is_good_scores_already_stays_as_it_is() -> None:
    good = GoodScores.of(np.array([1.0, 2.0, 3.0]), np.array([4, 4, 1]), left_out=True)
    again = GoodScores.of(good)
    assert (again.values.tolist(), again.groups.tolist(), again.left_out) == ([1, 2, 3], [1, 1, 0], True)
    assert (good.factor, GoodScores.of(np.ones(2)).factor) == (2, 1)
    assert not GoodScores.of(np.ones(2)).are_grouped


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        (np.empty(0), "no calibration images"),
        (np.array([1, 2, np.inf]), "score 2"),
        (np.array([np.nan]), "score 0"),
    ],
)
def test_no_score_and_a_broken_score_are_refused(scores: F64, said: str) -> None:
    with pytest.raises(CalibrationError, match=said):
        GoodScores.of(scores)
