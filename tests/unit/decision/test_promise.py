"""A promise is called broken at most once in twenty times that it is kept, and kept only where that is shown."""

import math
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import binom

from kizu.core.split import Split
from kizu.decision.calibration import CalibrationConfig, zone_thresholds
from kizu.decision.conformal import conformal, conformal_confident, maximum
from kizu.decision.promise import (
    CHANCE,
    Check,
    Measured,
    Promise,
    beta_binomial_tail,
    binomial_tail,
    check_promise,
    clopper_pearson,
    needed_to_confirm,
)
from kizu.decision.thresholds import Threshold, quantile


def measured(rejected: int, pictures: int) -> Measured:
    return Measured.of(np.arange(pictures) < rejected)


def tail_by_listing(hits: int, count: int, rank: int, n: int) -> float:
    """Of n calibration and `count` new scores every order is equally likely: list where the new ones may stand."""
    orders = list(combinations(range(n + count), count))
    found = 0
    for new in orders:
        calibration = sorted(set(range(n + count)) - set(new))
        found += sum(place > calibration[rank - 1] for place in new) >= hits
    return found / len(orders)


@pytest.mark.parametrize(("n", "rank", "count"), [(1, 1, 4), (4, 4, 3), (5, 3, 4), (6, 5, 5), (7, 7, 2)])
def test_the_tail_is_that_of_all_orders(n: int, rank: int, count: int) -> None:
    for hits in range(count + 1):
        told = beta_binomial_tail(hits, count, n + 1 - rank, rank)
        assert told == pytest.approx(tail_by_listing(hits, count, rank, n), abs=1e-12)


def test_the_interval_is_where_both_tails_are_a_fortieth() -> None:
    for hits, count in ((0, 6), (1, 6), (14, 32), (3, 500), (6, 6)):
        low, high = clopper_pearson(hits, count)
        assert low == 0 if hits == 0 else binom.sf(hits - 1, count, low) == pytest.approx(0.025)
        assert high == 1 if hits == count else binom.cdf(hits, count, high) == pytest.approx(0.025)
    for hits in range(9):
        assert binomial_tail(hits, 8, 0.3) == pytest.approx(binom.sf(hits - 1, 8, 0.3))


@pytest.mark.parametrize("n", [3, 15, 28, 32, 99, 150])
def test_the_law_is_that_of_the_rank_that_the_rule_takes(n: int) -> None:
    scores = np.arange(n, dtype=float)
    for rate in (1 / (n + 1), 0.07, 0.2, 0.5):
        if rate < 1 / (n + 1):
            continue
        threshold = conformal(scores, rate)
        above, below = Promise.of(threshold).law  # type: ignore[union-attr]
        assert (above, below) == (n - math.floor(threshold.value), math.floor(threshold.value) + 1)
    above, below = Promise.of(maximum(scores)).law  # type: ignore[union-attr]
    assert (above, below) == (1, n)


@pytest.mark.parametrize(("n", "rate", "confidence"), [(60, 0.05, 0.95), (100, 0.05, 0.9), (40, 0.2, 0.99)])
def test_the_law_of_a_confident_promise_is_that_of_its_rank(n: int, rate: float, confidence: float) -> None:
    threshold = conformal_confident(np.arange(n, dtype=float), rate, confidence)
    promise = Promise.of(threshold)
    assert promise is not None
    assert promise.law == (n - math.floor(threshold.value), math.floor(threshold.value) + 1)
    assert promise.rate_of(confidence) <= rate


SETTINGS = [
    (lambda scores: maximum(scores), 9, 6),
    (lambda scores: maximum(scores), 32, 135),
    (lambda scores: conformal(scores, 0.1), 40, 36),
    (lambda scores: conformal(scores, 0.05), 150, 400),
    (lambda scores: conformal_confident(scores, 0.1), 40, 60),
    (lambda scores: conformal_confident(scores, 0.2, 0.6), 40, 5000),
    (lambda scores: conformal_confident(scores, 0.1, 0.99), 80, 400),
]


@pytest.mark.parametrize(("rule", "n", "m"), SETTINGS)
def test_exchangeable_pictures_are_called_broken_at_most_once_in_twenty(rule, n: int, m: int) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(7)
    draws = 4000
    broken = 0
    for _ in range(draws):
        threshold = rule(rng.gamma(2, size=n))
        broken += check_promise(threshold, measured_above(threshold, rng.gamma(2, size=m))).answer == "broken"
    assert broken / draws <= CHANCE + 3 * math.sqrt(CHANCE * (1 - CHANCE) / draws)


def measured_above(threshold: Threshold, scores: np.ndarray, groups: list[str] | None = None) -> Measured:
    return Measured.of(scores > threshold.value, groups)


def test_counted_as_single_pictures_groups_break_promises_and_counted_as_groups_they_do_not() -> None:
    rng = np.random.default_rng(11)
    draws, of_pictures, of_groups = 1500, 0, 0
    for _ in range(draws):
        threshold = conformal(rng.normal(size=40), 0.1)
        scores = np.repeat(rng.normal(size=20), 10) + rng.normal(
            0, 0.05, 200
        )  # ten exposures of twenty parts
        groups = [f"{number // 10}" for number in range(200)]
        of_pictures += check_promise(threshold, measured_above(threshold, scores)).answer == "broken"
        of_groups += check_promise(threshold, measured_above(threshold, scores, groups)).answer == "broken"
    assert of_pictures / draws > 2 * CHANCE
    assert of_groups / draws <= CHANCE


def test_a_promise_is_seldom_called_kept_by_a_threshold_that_rejects_more() -> None:
    rng = np.random.default_rng(3)
    for m in (6, 60, 400):
        wrong = 0
        for _ in range(4000):
            threshold = conformal(rng.random(19), 0.05)
            check = check_promise(threshold, measured_above(threshold, rng.random(m)))
            wrong += check.answer == "kept" and 1 - threshold.value > 0.05
        assert wrong / 4000 <= 0.025


def test_shifted_pictures_are_found_out() -> None:
    rng = np.random.default_rng(5)
    threshold = maximum(rng.normal(size=32))
    check = check_promise(threshold, measured_above(threshold, rng.normal(2, size=135)))
    assert check.answer == "broken"
    assert dict(check.rows())["verdict"].startswith("broken: were it kept")


PROMISE = maximum(np.arange(19.0))  # 5 % on average


def test_kept_is_not_said_of_few_pictures() -> None:
    assert check_promise(PROMISE, measured(0, 6)).answer == "not refuted"
    assert check_promise(maximum(np.arange(3.0)), measured(0, 6)).answer == "not refuted"
    assert check_promise(PROMISE, measured(0, 71)).answer == "not refuted"
    assert check_promise(PROMISE, measured(0, 72)).answer == "kept"
    assert "72 at this rate would show that it is kept" in check_promise(PROMISE, measured(0, 6)).describe()


def test_how_many_would_confirm() -> None:
    assert needed_to_confirm(0.05, 0) == 72
    for promised, rate in ((0.1, 0.02), (0.03, 0.025)):
        needed = needed_to_confirm(promised, rate)
        assert needed is not None
        assert clopper_pearson(math.ceil(rate * needed), needed)[1] <= promised
        assert clopper_pearson(math.floor(rate * needed / 2), needed // 2)[1] > promised
    assert needed_to_confirm(0.03, 0.03) is None
    assert needed_to_confirm(0.03, 0.02999) is None, "nobody has so many pictures"


def test_an_unlucky_draw_is_told_and_not_called_broken() -> None:
    check = check_promise(PROMISE, measured(45, 400))
    assert check.answer == "not refuted"
    assert check.is_exceeded
    assert "does reject more than promised" in check.describe()
    assert "0.1" in check.describe()
    confident = conformal_confident(np.arange(59.0), 0.05)
    assert check_promise(confident, measured(45, 400)).answer == "broken", "this one promises of itself"


def test_more_than_promised_within_chance_is_not_called_too_few() -> None:
    told = check_promise(PROMISE, measured(1, 10)).describe()
    assert "more than promised, but chance gives as much" in told
    assert "would show" not in told


def test_without_a_promise_there_is_no_verdict() -> None:
    check = check_promise(quantile(np.arange(9.0), 0.9), measured(9, 9))
    assert (check.promise, check.answer, check.is_exceeded) == (None, None, False)
    assert "promised: nothing" in check.describe()
    folds = PROMISE.out_of(5)
    assert check_promise(folds, measured(9, 9)).answer is None


def test_without_pictures_there_is_no_verdict() -> None:
    check = check_promise(PROMISE, measured(0, 0))
    assert check.answer is None
    assert "no good picture" in check.describe()


def test_groups_count_once() -> None:
    found = Measured.of(np.array([1, 0, 0, 1, 1], bool), ["a", "a", "a", "b", "c"])
    assert (found.pictures, found.rejected, found.groups) == (5, 3, 3)
    assert found.rejected_groups == pytest.approx(2 + 1 / 3)
    assert found.interval == (clopper_pearson(2, 3)[0], clopper_pearson(3, 3)[1])
    assert "3 of 5 good pictures rejected; by their 3 groups 77.8 %" in found.describe()
    whole = Measured.of(np.ones(7, bool), ["a"] * 3 + ["b"] * 4)
    assert whole.rejected_groups == 2


def test_zones_promise_together() -> None:
    peaks = np.random.default_rng(0).random((99, 4)).astype(np.float32)
    zones = zone_thresholds(CalibrationConfig(false_alarm_rate=0.2), (2, 2), peaks)
    promise = Promise.of(zones)
    assert promise is not None
    assert promise.rate == pytest.approx(0.2)
    assert promise.law == (20, 80)


def test_it_comes_back_from_json() -> None:
    for check in (check_promise(PROMISE, measured(45, 400)), check_promise(PROMISE, measured(0, 0))):
        assert Check.model_validate_json(check.model_dump_json()) == check


def test_nothing_is_said_to_be_impossible() -> None:
    told = check_promise(PROMISE, measured(5000, 5000)).describe()
    assert "probability below 1e-9" in told or "probability 0.0002" in told
    confident = conformal_confident(np.arange(200.0), 0.05)
    assert "probability below 1e-9" in check_promise(confident, measured(5000, 5000)).describe()


def test_a_threshold_of_labelled_images_promises_nothing() -> None:
    labelled = quantile(np.arange(9.0), 0.5, split=Split.VALIDATION)
    assert Promise.of(labelled) is None
