"""A threshold lies between two scores: the promise is kept, and the last bit of a score decides nothing."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from kizu.core.split import Split
from kizu.core.types import F32
from kizu.decision.calibration import (
    CalibrationConfig,
    pixel_threshold,
    zone_thresholds,
)
from kizu.decision.conformal import conformal, conformal_confident, maximum
from kizu.decision.cuts import LEAST_MARGIN, MARGIN, just_above, margin
from kizu.decision.regions import find_regions
from kizu.decision.thresholds import Threshold, fpr_target, least_cost, quantile

RNG = np.random.default_rng
Rule = Callable[[np.ndarray], Threshold]


def confident_rank(n: int, rate: float) -> int:
    return next(r for r in range(1, n + 1) if beta.cdf(rate, n + 1 - r, r) >= 0.95)


RULES: dict[str, tuple[Rule, Callable[[int], int]]] = {
    "conformal 0.05": (lambda s: conformal(s, 0.05), lambda n: math.ceil((n + 1) * 0.95 - 1e-9)),
    "conformal 0.5": (lambda s: conformal(s, 0.5), lambda n: math.ceil((n + 1) * 0.5)),
    "conformal, the highest": (lambda s: conformal(s, 1 / (len(s) + 1)), lambda n: n),
    "confident": (lambda s: conformal_confident(s, 0.1), lambda n: confident_rank(n, 0.1)),
    "maximum": (maximum, lambda n: n),
    "fpr": (lambda s: fpr_target(s, 0.1, split=Split.VALIDATION), lambda n: n - math.floor(n * 0.1 + 1e-9)),
    "pixels": (
        lambda s: pixel_threshold(CalibrationConfig(false_alarm_rate=0.1), s, s),
        lambda n: math.ceil((n + 1) * 0.9 - 1e-9),
    ),
    "zones": (
        lambda s: zone_thresholds(
            CalibrationConfig(false_alarm_rate=0.2), (1, 2), np.stack([s, s], axis=1)
        ).zones[1],
        lambda n: math.ceil((n + 1) * 0.9 - 1e-9),
    ),
}
"""Each rule whose value is a good score, and the rank of that score among n; all can do with 60."""

KINDS: dict[str, np.ndarray] = {
    "positive": RNG(0).gumbel(3, 1, 60).clip(0.5),
    "around 0": RNG(1).normal(size=60),
    "negative": -RNG(2).gamma(2, size=60) - 1,
    "the highest is 0": -RNG(3).gamma(2, size=60).clip(0.1) * (np.arange(60) > 0),
    "with a large offset": 1000 + RNG(4).normal(size=60),
    "with ties": RNG(5).integers(0, 6, 60),
    "equal": np.full(60, 0.1),
    "all 0": np.zeros(60),
    "large": 1e30 * RNG(6).gamma(2, size=60),
    "small": 1e-30 * RNG(7).gamma(2, size=60),
}


def scores_of(kind: str) -> F32:
    """(60,), of which no two are closer than 16 steps of float32 unless they are equal."""
    scores = KINDS[kind]
    scale = np.abs(scores).max() or 1.0
    step = scale * 2.0**-18
    return (np.round(scores / step) * step).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rule", RULES)
def test_a_threshold_is_not_below_its_score_and_below_the_next(rule: str, kind: str) -> None:
    scores = scores_of(kind)
    set_by, rank = RULES[rule]
    value = set_by(scores).value
    score = np.sort(scores)[rank(len(scores)) - 1]
    assert value > score
    assert (scores > value).sum() == (scores > score).sum()
    assert all(value < larger for larger in scores[scores > score])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rule", RULES)
def test_what_was_ok_stays_ok_four_steps_of_float32_higher(rule: str, kind: str) -> None:
    scores = scores_of(kind)
    threshold = RULES[rule][0](scores)
    higher = scores
    for _ in range(4):
        higher = np.nextafter(higher, np.float32(np.inf))
    passed = scores <= threshold.value
    assert passed.any()
    assert not any(threshold.is_exceeded_by(float(score)) for score in higher[passed])
    as_map = higher[passed][None]
    assert not find_regions(as_map, threshold.value).found  # NumPy compares a map in its own float32


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1), st.data())
def test_any_scores_in_any_order_are_parted_at_any_rank(scores: list[float], data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, len(scores)))
    value = just_above(np.array(scores), rank)
    score = sorted(scores)[rank - 1]
    assert value > score
    assert all(value < larger for larger in scores if larger > score)


@pytest.mark.parametrize(
    ("low", "high"),
    [
        (1.0, np.nextafter(1.0, 2)),
        (0.0, 5e-324),
        (-5e-324, 0.0),
        (5e-324, 1e-323),
        (1.5e308, 1.7e308),
        (-1.7e308, 1.7e308),
    ],
)
def test_a_midpoint_neither_overflows_nor_reaches_the_next_score(low: float, high: float) -> None:
    assert low <= just_above(np.array([high, low]), 1) < high


def test_a_score_far_above_the_others_does_not_raise_a_threshold_below_it() -> None:
    for highest in (7.0, 70.0, 400.0):
        assert just_above(np.array([5.0, highest, 6.0]), 2) == pytest.approx(6, rel=0.01)
    assert just_above(np.array([6.0, 5.0, 6.0001]), 2) == pytest.approx(6.00005, rel=1e-9)  # midway is nearer


def test_the_margin_follows_the_size_of_the_scores_and_yields_to_a_small_spread() -> None:
    ordered = np.array([1.0, 2.0, 4.0])
    assert margin(ordered) == 4 * MARGIN
    assert margin(-ordered[::-1]) == 4 * MARGIN
    assert margin(1000 * ordered) == pytest.approx(1000 * margin(ordered))
    assert margin(1000 + ordered / 10) == pytest.approx(0.03)  # a tenth of the range, not 0.1
    assert margin(1e6 + ordered / 10) == pytest.approx(1e6 * LEAST_MARGIN)
    assert margin(np.array([7.0])) == 7 * LEAST_MARGIN
    assert np.float32(margin(np.zeros(3))) > 0


def test_a_quantile_is_the_number_it_is_defined_as() -> None:
    """It promises nothing, and whoever asks for one can check it: it is not moved, where it falls on a score either."""
    scores = RNG(0).random(101)
    for q in (0.5, 0.99, 1):
        assert quantile(scores, q).value == np.quantile(scores, q) == np.sort(scores)[round(q * 100)]


def test_a_cost_that_lets_all_pass_does_not_hang_on_the_last_bit() -> None:
    scores = np.arange(1.0, 11.0)
    flawed = np.arange(10) < 1  # the lowest: to stop it costs all others
    passing = least_cost(scores, flawed, escape_cost=1, overkill_cost=100, prevalence=0.01).value
    assert passing == pytest.approx(10 * (1 + MARGIN), rel=1e-12)
    stopping = least_cost(scores, ~flawed, escape_cost=100, overkill_cost=1, prevalence=0.99).value
    assert stopping == pytest.approx(1.5)
    all_stopped = least_cost(scores, flawed, escape_cost=100, overkill_cost=1, prevalence=0.99).value
    assert all_stopped == pytest.approx(1 - 10 * MARGIN, rel=1e-12)
