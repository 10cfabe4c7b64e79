"""Causes are named where something is to be explained and the pictures speak for them."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from kizu.decision.causes import Evidence, likely_causes, rank_sum
from kizu.decision.conformal import maximum
from kizu.decision.promise import Check, Measured, check_promise

RNG = np.random.default_rng(2)
CALIBRATION = RNG.normal(size=40)
BROKEN_SCORES = RNG.normal(3, size=60)
THRESHOLD = maximum(CALIBRATION)


def check(scores: np.ndarray) -> Check:
    return check_promise(THRESHOLD, Measured.of(scores > THRESHOLD.value))


def test_a_shift_of_all_is_told() -> None:
    (cause,) = likely_causes(check(BROKEN_SCORES), Evidence(CALIBRATION, BROKEN_SCORES))
    assert cause.startswith("a shift")
    assert "kizu data check" in cause


def test_a_few_that_stand_out_are_no_shift() -> None:
    scores = np.concatenate([RNG.normal(size=200), np.full(60, 9.0)])
    scores[:200] -= 0.6  # so that ranks as a whole are not higher
    found = check(scores)
    assert found.answer == "broken"
    (cause,) = likely_causes(found, Evidence(CALIBRATION, scores))
    assert cause.startswith("single pictures")


def test_a_promise_that_stands_needs_no_cause() -> None:
    scores = RNG.normal(size=60)
    assert likely_causes(check(scores), Evidence(CALIBRATION, scores, siblings=9, groups=2)) == ()


def test_siblings_are_told_first() -> None:
    causes = likely_causes(check(BROKEN_SCORES), Evidence(CALIBRATION, BROKEN_SCORES, siblings=7, groups=9))
    assert [cause.split(":")[0] for cause in causes] == ["siblings", "siblings", "a shift"]
    assert "7 calibration pictures" in causes[0]
    assert "counts 40 calibration pictures, which are of 9 groups" in causes[1]


def test_few_images_are_told_with_what_they_allow() -> None:
    few = maximum(np.arange(4.0))
    scores = np.full(60, 9.0)
    found = check_promise(few, Measured.of(scores > few.value))
    causes = likely_causes(found, Evidence(np.zeros(0), scores))
    (cause,) = causes
    assert cause.startswith("few images: 4 set the threshold")
    assert "43.8 %" in cause  # 1 - .1 ** (1 / 4)


def test_the_rank_sum_is_that_of_scipy() -> None:
    for low, high in ((CALIBRATION, BROKEN_SCORES), (RNG.integers(0, 4, 30), RNG.integers(1, 5, 25))):
        wins, probability = rank_sum(np.asarray(low, float), np.asarray(high, float))
        pairs = np.subtract.outer(high, low)
        assert wins == pytest.approx(((pairs > 0) + (pairs == 0) / 2).mean())
        wanted = mannwhitneyu(high, low, alternative="greater", method="asymptotic", use_continuity=True)
        assert probability == pytest.approx(wanted.pvalue)
    assert rank_sum(np.ones(3), np.ones(4)) == (0.5, 1.0)


def test_the_approximation_calls_a_shift_no_more_often_than_it_says() -> None:
    for n, m in ((3, 9), (5, 6)):
        found = [
            rank_sum(np.array(sorted(set(range(n + m)) - set(new)), float), np.array(new, float))[1]
            for new in combinations(range(n + m), m)
        ]
        assert np.mean(np.array(found) < 0.01) <= 0.013
