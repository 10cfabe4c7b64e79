"""What is promised of scores that come in groups, and of scores of left-out groups."""

import re
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom

from kizu.core.errors import CalibrationError
from kizu.core.types import F64, I64
from kizu.decision.conformal import (
    conformal,
    conformal_confident,
    maximum,
    smallest_confident_count,
    smallest_count,
    tightest_rate,
)
from kizu.decision.good_scores import GoodScores
from kizu.decision.thresholds import Threshold


def lots(rng: np.random.Generator, count: int, *, part: float = 0.8) -> tuple[F64, I64]:
    """Scores of so many lots: most of what they differ in is the lot's. The higher they are, the fewer there are."""
    own = rng.gumbel(size=count)
    groups = np.repeat(np.arange(count), np.where(own > 1, 1, rng.integers(2, 9, count)))
    return part * own[groups] + (1 - part) * rng.gumbel(size=len(groups)), groups


def grouped(count: int, *, left_out: bool = False, monotone: bool = False) -> GoodScores:
    """Two pictures of each of so many groups."""
    groups = np.repeat(np.arange(count), 2)
    return GoodScores.of(np.arange(2.0 * count), groups, left_out=left_out, monotone=monotone)


def new_picture(rng: np.random.Generator) -> float:
    """One, drawn at random, of a lot that is to come."""
    scores, _ = lots(rng, 1)
    return float(rng.choice(scores))


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_a_picture_of_a_new_lot_exceeds_it_with_at_most_the_promised_rate(rate: float) -> None:
    rng = np.random.default_rng(0)
    draws = 6000
    alarms = 0
    for _ in range(draws):
        alarms += new_picture(rng) > conformal(GoodScores.of(*lots(rng, 19)), rate).value
    assert binom.ppf(1e-4, draws, rate / 3) <= alarms <= binom.ppf(0.9999, draws, rate)


def test_as_if_pictures_of_a_lot_were_independent_would_not_keep_it() -> None:
    """So that the simulation can tell: the same lots, each picture a group of its own."""
    rng = np.random.default_rng(0)
    draws = 6000
    alarms = sum(new_picture(rng) > conformal(lots(rng, 19)[0], 0.05).value for _ in range(draws))
    assert alarms > binom.ppf(0.9999, draws, 0.05)


@pytest.mark.parametrize("monotone", [False, True])
def test_left_out_lots_keep_the_rate_and_monotone_ones_use_it(*, monotone: bool) -> None:
    """Points in space, lots of them close together; a score is the distance from the nearest point of another lot."""
    rng, rate, draws = np.random.default_rng(1), 0.2, 3000
    alarms = 0
    for _ in range(draws):
        groups = np.repeat(np.arange(30), rng.choice([1, 2, 5], 30))
        places = rng.normal(size=(30, 4))[groups] + 0.02 * rng.normal(size=(len(groups), 4))
        known = groups > 0  # a picture of lot 0 is to come
        apart = np.linalg.norm(places[:, None] - places, axis=2)
        others = np.where((groups[:, None] != groups) & known, apart, np.inf).min(axis=1)
        good = GoodScores.of(others[known], groups[known], left_out=True, monotone=monotone)
        alarms += others[0] > conformal(good, rate).value
    kept = rate if monotone else rate / 2  # the distance from the nearest one is monotone either way
    assert binom.ppf(1e-4, draws, 0.6 * kept) <= alarms <= binom.ppf(0.9999, draws, kept)


@pytest.mark.parametrize("rate", [0.1, 0.2, 0.5, 0.9])
def test_left_out_scores_are_cut_at_half_the_rate(rate: float) -> None:
    scores, groups = lots(np.random.default_rng(2), 40)
    left, held = (
        conformal(GoodScores.of(scores, groups, left_out=out), r)
        for out, r in ((True, rate), (False, rate / 2))
    )
    assert left.value == held.value
    assert left.value > conformal(GoodScores.of(scores, groups), rate).value
    assert (left.false_alarm_rate, left.rule.level, left.rule.folds) == (rate, rate, 40)
    assert held.rule.folds is None
    assert (left.count, left.groups) == (len(scores), 40)


def test_monotone_left_out_scores_are_cut_as_held_out_ones() -> None:
    scores, groups = lots(np.random.default_rng(2), 40)
    for rate in (0.1, 0.5):
        left = conformal(GoodScores.of(scores, groups, left_out=True, monotone=True), rate)
        assert left.value == conformal(GoodScores.of(scores, groups), rate).value
        assert (left.rule.folds, left.false_alarm_rate) == (40, rate)
    assert tightest_rate(grouped(40, left_out=True, monotone=True), 0) == pytest.approx(1 / 41)
    assert GoodScores.of(grouped(4, left_out=True, monotone=True)).factor == 1


def test_single_pictures_tell_no_groups() -> None:
    assert conformal(np.arange(30.0), 0.1).groups is None
    left = conformal(GoodScores.of(np.arange(30.0), left_out=True), 0.1)
    assert (left.groups, left.rule.folds) == (None, 30)


@pytest.mark.parametrize("left_out", [False, True])
@pytest.mark.parametrize("rate", [0.01, 0.03, 0.05, 1 / 49, 0.3])
def test_a_refusal_names_the_groups_that_are_needed_and_so_many_do(rate: float, *, left_out: bool) -> None:
    needed = smallest_count(rate, 2 if left_out else 1)
    assert conformal(grouped(needed, left_out=left_out), rate).groups == needed
    few = grouped(needed - 1, left_out=left_out)
    with pytest.raises(
        CalibrationError, match=f"^{needed - 1} groups of calibration images cannot"
    ) as refused:
        conformal(few, rate)
    assert f"at least {needed}," in (refused.value.hint or "")


@pytest.mark.parametrize("left_out", [False, True])
@pytest.mark.parametrize("count", [2, 3, 6, 8, 29, 57, 150])
def test_the_rate_that_a_refusal_offers_is_one_that_can_be_had(count: int, *, left_out: bool) -> None:
    good = grouped(count, left_out=left_out)
    with pytest.raises(CalibrationError) as refused:
        conformal(good, 1e-4)
    offered = re.search(r"raise the rate to ([\d.]+)$", refused.value.hint or "")
    assert offered is not None
    rate = float(offered[1])
    assert conformal(good, rate).value > good.values.max()
    assert rate <= 1.01 * tightest_rate(good, 0)


@pytest.mark.parametrize("left_out", [False, True])
@pytest.mark.parametrize("count", [1, 2, 3, 7, 48, 199, 1000])
def test_the_tightest_rate_can_be_had_and_a_lower_one_cannot(count: int, *, left_out: bool) -> None:
    good = grouped(count, left_out=left_out)
    tightest = tightest_rate(good, 0)
    assert tightest == pytest.approx((2 if left_out else 1) / (count + 1))
    assert conformal(good, tightest).value > good.values.max()
    with pytest.raises(CalibrationError, match="cannot support"):
        conformal(good, 0.99 * tightest)
    assert tightest_rate(good, 0.9999) == pytest.approx(max(0.9999, tightest))


def test_one_and_two_scores() -> None:
    assert conformal(np.array([2.0]), 0.5).value == pytest.approx(2, rel=2e-4)
    assert conformal(np.array([2.0, 1.0]), 0.6).value == pytest.approx(2, rel=2e-4)
    assert conformal(np.array([2.0, 1.0]), 0.67).value == pytest.approx(1, rel=3e-4)
    two = GoodScores.of(np.array([2.0, 1.0]), left_out=True)
    assert conformal(two, 0.67).value == pytest.approx(2, rel=2e-4)
    with pytest.raises(CalibrationError, match=r"^2 calibration images"):
        conformal(two, 0.6)


def binomial_cut(highest: F64, rate: float, confidence: float) -> float:
    """The lowest of them above which so many of n lie that a true rate above `rate` would have shown more."""
    n = len(highest)
    for rank, score in enumerate(sorted(highest.tolist()), start=1):
        if binom.sf(n - rank, n, rate) >= confidence:
            return float(score)
    raise AssertionError("too few")


@pytest.mark.parametrize(("rate", "confidence"), [(0.05, 0.95), (0.1, 0.9), (0.3, 0.5)])
def test_with_confidence_the_highest_score_of_each_group_counts(rate: float, confidence: float) -> None:
    scores, groups = lots(np.random.default_rng(3), 150)
    cut = binomial_cut(np.array([scores[groups == g].max() for g in range(150)]), rate, confidence)
    found = conformal_confident(GoodScores.of(scores, groups), rate, confidence)
    assert cut <= found.value < scores[scores > cut].min(initial=np.inf)
    assert (found.count, found.groups, found.confidence) == (len(scores), 150, confidence)


def test_with_confidence_few_new_lots_show_any_alarm() -> None:
    rng, rate = np.random.default_rng(4), 0.1
    future, groups = lots(rng, 4000)
    highest = np.full(4000, -np.inf)
    np.maximum.at(highest, groups, future)
    kept = [
        np.mean(highest > conformal_confident(GoodScores.of(*lots(rng, 50)), rate).value) <= rate * 1.1
        for _ in range(300)
    ]
    assert np.mean(kept) >= 0.93


def test_a_refusal_with_confidence_counts_groups_too() -> None:
    needed = smallest_confident_count(0.05, 0.95)
    assert conformal_confident(grouped(needed), 0.05).groups == needed
    with pytest.raises(CalibrationError, match=f"^{needed - 1} calibration groups cannot") as refused:
        conformal_confident(grouped(needed - 1), 0.05)
    assert f"at least {needed}," in (refused.value.hint or "")


def test_left_out_scores_give_no_confidence() -> None:
    with pytest.raises(CalibrationError, match="not fitted on") as refused:
        conformal_confident(grouped(500, left_out=True), 0.05)
    assert "held_out" in (refused.value.hint or "")
    assert conformal_confident(grouped(500), 0.05).confidence == 0.95


@pytest.mark.parametrize("count", [1, 2, 30])
def test_the_highest_promises_by_its_groups(count: int) -> None:
    held, left = (maximum(grouped(count, left_out=out)) for out in (False, True))
    assert held.value == left.value > 2 * count - 1
    assert held.false_alarm_rate == pytest.approx(1 / (count + 1))
    assert left.false_alarm_rate == pytest.approx(2 / (count + 1))
    assert left.value == conformal(grouped(count, left_out=True), left.false_alarm_rate or 0).value
    assert (held.rule.folds, left.rule.folds) == (None, count)


@pytest.mark.parametrize(
    "rule",
    [lambda good: conformal(good, 0.2), lambda good: conformal_confident(good, 0.2), maximum],
    ids=["conformal", "confident", "maximum"],
)
def test_order_and_names_of_groups_do_not_matter(rule: Callable[[GoodScores], Threshold]) -> None:
    rng = np.random.default_rng(5)
    scores, groups = lots(rng, 60)
    scores = scores.round(1)  # with ties between groups
    expected = rule(GoodScores.of(scores, groups))
    for _ in range(10):
        order, names = rng.permutation(len(scores)), rng.permutation(900)
        assert rule(GoodScores.of(scores[order], names[groups[order]])) == expected
