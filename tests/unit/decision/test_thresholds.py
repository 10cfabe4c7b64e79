import math
from typing import get_args

import numpy as np
import pytest
from scipy.stats import binom

from kizu.core.errors import CalibrationError, LeakageError
from kizu.core.split import Split
from kizu.decision.calibration import (
    CalibrationConfig,
    ImageRule,
    PixelRule,
    image_threshold,
    pixel_threshold,
    sample_pixels,
)
from kizu.decision.conformal import conformal, conformal_confident, maximum, smallest_count, tightest_rate
from kizu.decision.cuts import LEAST_MARGIN, MARGIN
from kizu.decision.good_scores import GoodScores
from kizu.decision.rules import Rule
from kizu.decision.thresholds import Threshold, f1_max, fpr_target, least_cost, mean_sigma, quantile


@pytest.mark.parametrize(("rate", "needed"), [(0.05, 19), (0.01, 99), (0.005, 199)])
def test_conformal_needs_the_count_it_says(rate: float, needed: int) -> None:
    assert smallest_count(rate) == needed
    conformal(np.arange(needed, dtype=np.float32), rate)
    with pytest.raises(CalibrationError, match=f"{needed - 1} calibration images") as error:
        conformal(np.arange(needed - 1, dtype=np.float32), rate)
    assert error.value.hint is not None
    assert f"at least {needed}" in error.value.hint


def test_counts_and_ranks_do_not_hang_on_the_rounding_of_a_rate() -> None:
    assert 1 / (1 / 49) - 1 > 48
    assert smallest_count(1 / 49) == 48
    assert 10 * (1 - 0.7) > 3
    assert conformal(np.arange(1.0, 10), 0.7).value == 3 + 9 * MARGIN  # above the third of nine
    assert 100 * 0.29 < 29
    assert (
        fpr_target(np.arange(100.0), 0.29, split=Split.VALIDATION).value == 70 + 99 * MARGIN
    )  # 29 lie above


@pytest.mark.parametrize("rate", [-0.1, 0, 1, 1.5])
def test_what_is_no_rate_is_refused(rate: float) -> None:
    scores = np.arange(50.0)
    for refused in (
        lambda: conformal(scores, rate),
        lambda: conformal_confident(scores, rate),
        lambda: conformal_confident(scores, 0.1, rate),
    ):
        with pytest.raises(CalibrationError, match=f"of {rate} is not between 0 and 1"):
            refused()


@pytest.mark.parametrize(
    ("rate", "is_fine"), [(-0.1, False), (0, True), (0.99, True), (1, False), (2, False)]
)
def test_an_fpr_target_may_be_0_and_not_1(rate: float, is_fine: bool) -> None:
    if is_fine:
        assert fpr_target(np.arange(5.0), rate, split=Split.VALIDATION).rule.level == rate
    else:
        with pytest.raises(CalibrationError, match="not between 0 and 1"):
            fpr_target(np.arange(5.0), rate, split=Split.VALIDATION)


def test_confidence_may_be_enough_at_the_lowest_score() -> None:
    assert conformal_confident(np.array([1.0, 2.0]), 0.9, 0.5).value == pytest.approx(1, rel=3e-4)
    assert conformal_confident(np.array([1.0]), 0.99, 0.5).value == pytest.approx(1, rel=2e-4)


@pytest.mark.parametrize(("q", "expected"), [(0, 1.0), (0.5, 2.0), (1, 3.0)])
def test_a_quantile_reaches_from_the_lowest_to_the_highest(q: float, expected: float) -> None:
    assert quantile(np.array([3.0, 1.0, 2.0]), q).value == expected


@pytest.mark.parametrize("q", [-0.01, 1.01])
def test_a_quantile_beyond_them_is_refused(q: float) -> None:
    with pytest.raises(CalibrationError, match="not between 0 and 1"):
        quantile(np.arange(3.0), q)


def test_conformal_is_just_above_the_right_order_statistic() -> None:
    scores = np.random.default_rng(0).permutation(200).astype(np.float32)
    for rate in (0.005, 0.01, 0.05, 0.1, 0.5):
        rank = math.ceil(201 * (1 - rate) - 1e-9)
        expected = rank - 1 + 199 * MARGIN  # so that no score is the threshold itself
        assert conformal(scores, rate).value == pytest.approx(expected, rel=1e-12)


def test_conformal_keeps_its_promise() -> None:
    """Averaged over draws of the calibration set, a new good score exceeds the threshold with at most the rate."""
    rng = np.random.default_rng(1)
    rate, alarms = 0.05, []
    for _ in range(3000):
        threshold = conformal(rng.gumbel(size=39), rate)
        alarms.append(np.mean(rng.gumbel(size=50) > threshold.value))
    spread = np.std(alarms) / math.sqrt(len(alarms))
    assert np.mean(alarms) <= rate + 3 * spread
    assert np.mean(alarms) >= rate - 1 / 40 - 3 * spread  # and it is not needlessly wide


@pytest.mark.parametrize("count", [1, 9, 30, 99, 150])
@pytest.mark.parametrize("rule", ["conformal", "maximum"])
def test_the_rate_that_is_told_is_kept_whatever_the_count(rule: ImageRule, count: int) -> None:
    """One new score for each draw of calibration scores, so that alarms are binomial."""
    rng = np.random.default_rng(count)
    draws, config = 4000, CalibrationConfig(rule=rule)
    thresholds = [image_threshold(config, rng.gumbel(size=count).astype(np.float32)) for _ in range(draws)]
    (rate,) = {threshold.false_alarm_rate for threshold in thresholds}
    assert rate is not None
    alarms = sum(
        threshold.is_exceeded_by(score)
        for threshold, score in zip(thresholds, rng.gumbel(size=draws), strict=True)
    )
    assert alarms <= binom.ppf(0.9999, draws, rate)
    parts = 1 if rule == "maximum" or count < 39 else 2  # one score may lie above it where that costs little
    assert rate == pytest.approx(parts / (count + 1))


@pytest.mark.parametrize(
    ("count", "factor", "above", "promised"),
    [
        (2, 1, 0, 1 / 3),
        (38, 1, 0, 1 / 39),  # 2 / 39 is more than 5 %
        (39, 1, 1, 2 / 40),
        (150, 1, 1, 2 / 151),
        (199, 1, 1, 0.01),
        (450, 1, 3, 0.01),
        (78, 2, 0, 2 / 79),
        (79, 2, 1, 4 / 80),
        (399, 2, 1, 0.01),
    ],
)
def test_without_a_rate_one_score_may_lie_above_where_that_costs_little(
    count: int, factor: int, above: int, promised: float
) -> None:
    scores = GoodScores.of(np.arange(count, dtype=np.float32), left_out=factor == 2)
    found = image_threshold(CalibrationConfig(), scores)
    assert found.false_alarm_rate == pytest.approx(promised)
    assert np.count_nonzero(scores.values > found.value) == above


def test_without_a_rate_the_tightest_that_the_images_support_is_promised() -> None:
    few = image_threshold(CalibrationConfig(), np.arange(9, dtype=np.float32))
    assert few.false_alarm_rate == pytest.approx(0.1)
    assert few.value == 8 * (1 + MARGIN)  # the highest, and the margin above it
    many = image_threshold(CalibrationConfig(), np.arange(1000, dtype=np.float32))
    assert many.false_alarm_rate == pytest.approx(0.01)
    assert tightest_rate(1, 0.01) == 0.5


def test_a_given_rate_is_kept_or_refused() -> None:
    with pytest.raises(CalibrationError, match="cannot support"):
        image_threshold(CalibrationConfig(false_alarm_rate=0.01), np.arange(9, dtype=np.float32))


def test_quantile_interpolates_and_promises_nothing() -> None:
    threshold = quantile(np.array([0.0, 1.0, 2.0, 3.0, 4.0]), 0.9)
    assert threshold.value == pytest.approx(3.6)
    assert threshold.false_alarm_rate is None
    assert "no guarantee" in threshold.describe()


def test_ng_is_strictly_above() -> None:
    threshold = conformal(np.ones(19, dtype=np.float32), 0.05)
    assert threshold.value == 1 + LEAST_MARGIN  # equal scores have no spread
    assert not threshold.is_exceeded_by(threshold.value)
    assert threshold.is_exceeded_by(np.nextafter(threshold.value, 2.0))


def f1_by_trying(scores: np.ndarray, defective: np.ndarray, cut: float) -> float:
    ng = scores > cut
    return 2 * np.sum(ng & defective) / (np.sum(ng) + np.sum(defective))


def test_f1_max_is_the_best_of_all_cuts() -> None:
    rng = np.random.default_rng(2)
    for _ in range(50):
        scores = rng.integers(0, 12, 30).astype(np.float32)
        defective = rng.random(30) < 0.3
        defective[:2] = [True, False]
        best = max(f1_by_trying(scores, defective, cut) for cut in np.arange(-1, 13) + 0.5)
        assert f1_by_trying(scores, defective, f1_max(scores, defective).value) == pytest.approx(best)


def test_of_equally_good_f1_the_highest_threshold_is_taken() -> None:
    scores, defective = np.array([1.0, 2.0, 3.0, 4.0]), np.array([True, False, False, True])
    assert (
        f1_by_trying(scores, defective, 0.5) == f1_by_trying(scores, defective, 3.5) == pytest.approx(2 / 3)
    )
    found = f1_max(scores, defective)
    assert (found.value, found.count, found.split) == (3.5, 4, Split.VALIDATION)


def test_f1_max_needs_both_kinds() -> None:
    with pytest.raises(CalibrationError, match="3 good and 0 defective"):
        f1_max(np.arange(3, dtype=np.float32), np.zeros(3, dtype=bool))
    with pytest.raises(CalibrationError, match="has none"):
        image_threshold(CalibrationConfig(rule="f1_max"), np.arange(3, dtype=np.float32))


def test_the_test_split_sets_nothing() -> None:
    with pytest.raises(LeakageError):
        Threshold(value=1.0, rule=Rule(name="f1_max"), split=Split.TEST, count=10)
    with pytest.raises(LeakageError):
        quantile(np.arange(5, dtype=np.float32), 0.5, split=Split.TEST)


@pytest.mark.parametrize("scores", [np.empty(0), np.array([1.0, np.nan])])
def test_no_scores_and_broken_scores_are_refused(scores: np.ndarray) -> None:
    with pytest.raises(CalibrationError):
        quantile(scores, 0.5)


def test_the_pixel_threshold_rests_on_peaks_or_on_pixels() -> None:
    peaks = np.arange(19, dtype=np.float32)
    pixels = np.linspace(0, 1, 1001, dtype=np.float32)
    assert pixel_threshold(CalibrationConfig(), peaks, pixels).value == 18 * (1 + MARGIN)
    by_quantile = pixel_threshold(CalibrationConfig(pixel_rule="quantile", pixel_quantile=0.9), peaks, pixels)
    assert by_quantile.value == pytest.approx(0.9)
    assert by_quantile.count == 19


def test_a_sample_of_pixels_is_bounded_and_drawn_from_each_image() -> None:
    maps = np.stack([np.full((100, 100), value, dtype=np.float32) for value in (1, 2, 3)])
    sample = sample_pixels(maps, np.random.default_rng(0))
    assert np.unique(sample, return_counts=True)[1].tolist() == [4096] * 3
    assert len(sample_pixels(maps[:, :5, :5], np.random.default_rng(0))) == 75


@pytest.mark.parametrize(("rate", "needed"), [(0.05, 59), (0.01, 299)])
def test_confidence_needs_as_many_images_as_the_binomial_says(rate: float, needed: int) -> None:
    rng = np.random.default_rng(0)
    threshold = conformal_confident(scores := rng.random(needed), rate)
    assert threshold.value == scores.max() * (1 + MARGIN)  # all are needed, so it lies above the highest
    assert (threshold.false_alarm_rate, threshold.confidence) == (rate, 0.95)
    assert "95% confidence" in threshold.describe()
    with pytest.raises(CalibrationError, match="cannot support") as refused:
        conformal_confident(scores[:-1], rate)
    assert str(needed) in (refused.value.hint or "")


def test_confidence_is_kept_over_many_draws_and_the_average_rule_does_not_promise_it() -> None:
    rng = np.random.default_rng(1)
    draws = rng.random((2000, 200))  # a uniform score's true rate above t is 1 - t
    confident = np.array([1 - conformal_confident(draw, 0.05).value for draw in draws])
    marginal = np.array([1 - conformal(draw, 0.05).value for draw in draws])
    assert np.mean(confident <= 0.05) >= 0.94
    assert np.mean(marginal <= 0.05) < 0.7
    assert marginal.mean() <= 0.051


def test_maximum_and_sigma_rules() -> None:
    scores = np.array([1.0, 2.0, 3.0, 6.0])
    assert maximum(scores).value == 6 * (1 + MARGIN)
    assert maximum(scores).false_alarm_rate == pytest.approx(0.2)
    assert mean_sigma(scores, 2).value == pytest.approx(3 + 2 * scores.std(ddof=1))
    assert mean_sigma(scores, 2).false_alarm_rate is None
    with pytest.raises(CalibrationError, match="no standard deviation"):
        mean_sigma(scores[:1], 3)
    assert mean_sigma(scores[:2], 3).value == pytest.approx(1.5 + 3 * math.sqrt(0.5))


@pytest.mark.parametrize(
    ("count", "rate", "above"), [(100, 0.01, 1), (99, 0.01, 0), (10, 0.25, 2), (1, 0.5, 0)]
)
def test_the_fpr_target_is_kept_on_the_images_it_was_set_on(count: int, rate: float, above: int) -> None:
    scores = np.random.default_rng(2).permutation(count).astype(float)
    threshold = fpr_target(scores, rate, split=Split.VALIDATION)
    assert (scores > threshold.value).sum() == above
    with pytest.raises(LeakageError):
        fpr_target(scores, rate, split=Split.TEST)


def cost_by_counting(
    scores: np.ndarray, defective: np.ndarray, threshold: float, escape: float, overkill: float, share: float
) -> float:
    """What a part costs on average, when `share` of all parts is defective."""
    escapes = np.mean(scores[defective] <= threshold)
    overkills = np.mean(scores[~defective] > threshold)
    return float(share * escape * escapes + (1 - share) * overkill * overkills)


@pytest.mark.parametrize("prevalence", [None, 0.02, 0.3, 0.9])
@pytest.mark.parametrize(("escape", "overkill"), [(10, 1), (1, 10), (1, 1), (0.5, 0.25), (1000, 1)])
def test_the_cost_rule_is_the_cheapest_of_all_thresholds_and_says_what_it_costs(
    escape: float, overkill: float, prevalence: float | None
) -> None:
    rng = np.random.default_rng(3)
    defective = rng.random(83) < 0.3
    scores = np.round(rng.normal(size=83) + 1.2 * defective, 1)
    share = defective.mean() if prevalence is None else prevalence
    found = least_cost(scores, defective, escape_cost=escape, overkill_cost=overkill, prevalence=prevalence)
    everywhere = [
        cost_by_counting(scores, defective, cut, escape, overkill, share) for cut in np.linspace(-9, 9, 4001)
    ]
    here = cost_by_counting(scores, defective, found.value, escape, overkill, share)
    assert here == pytest.approx(min(everywhere))
    rule = found.rule
    assert rule.expected_cost == pytest.approx(here)
    assert (rule.escape_cost, rule.overkill_cost) == (escape, overkill)
    assert rule.prevalence == pytest.approx(share)
    assert (found.count, found.split, found.false_alarm_rate) == (83, Split.VALIDATION, None)


def test_the_dearer_an_escape_the_lower_the_threshold() -> None:
    rng = np.random.default_rng(3)
    defective = rng.random(80) < 0.3
    scores = rng.normal(size=80) + 1.2 * defective
    values = [
        least_cost(scores, defective, escape_cost=price, overkill_cost=1).value for price in (100, 1, 0.01)
    ]
    assert values[0] < values[1] < values[2]


def test_of_equally_cheap_thresholds_the_highest_is_taken() -> None:
    scores, defective = np.array([1.0, 2.0, 3.0, 4.0]), np.array([False, True, False, True])
    found = least_cost(scores, defective, escape_cost=1, overkill_cost=1)  # 1.5 and 3.5 make one mistake each
    assert found.value == 3.5
    assert found.rule.expected_cost == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"escape_cost": 0}, "positive"),
        ({"overkill_cost": 0}, "positive"),
        ({"overkill_cost": -1}, "positive"),
        ({"prevalence": 0}, "prevalence of 0"),
        ({"prevalence": 1}, "prevalence of 1"),
    ],
)
def test_the_cost_rule_refuses_what_is_no_price_or_share(changes: dict[str, float], message: str) -> None:
    scores, defective = np.arange(4.0), np.array([False, True, False, True])
    with pytest.raises(CalibrationError, match=message):
        least_cost(scores, defective, **{"escape_cost": 1, "overkill_cost": 1, **changes})


def test_the_cost_rule_needs_both_kinds() -> None:
    scores, good = np.arange(4.0), np.zeros(4, bool)
    with pytest.raises(CalibrationError, match=r"the cost rule needs .* 4 good and 0 defective"):
        least_cost(scores, good, escape_cost=1, overkill_cost=1)
    with pytest.raises(CalibrationError, match="0 good and 4 defective"):
        least_cost(scores, ~good, escape_cost=1, overkill_cost=1)


def test_every_rule_of_the_settings_makes_a_threshold() -> None:
    rng = np.random.default_rng(4)
    good, pixels = rng.random(400).astype(np.float32), rng.random(5000).astype(np.float32)
    validation = (np.concatenate([good[:20], 2 + good[:5]]), np.array([False] * 20 + [True] * 5))
    for rule in get_args(ImageRule):
        assert np.isfinite(image_threshold(CalibrationConfig(rule=rule), good, validation=validation).value)
    for rule in get_args(PixelRule):
        threshold = pixel_threshold(CalibrationConfig(pixel_rule=rule), good, pixels)
        assert np.isfinite(threshold.value)
        assert threshold.count == 400


def test_a_refusal_says_what_would_do() -> None:
    five = np.arange(5.0)
    with pytest.raises(CalibrationError) as refused:
        conformal(five, 0.01)
    assert refused.value.hint == "use at least 99, or raise the rate to 0.167"
    conformal(five, 1 / 6)
    with pytest.raises(CalibrationError, match="with 75% confidence") as refused:
        conformal_confident(five[:1], 0.5, 0.75)
    assert (refused.value.hint or "").startswith("use at least 2,")  # 1 - 0.5 ** 2 is just enough
    assert conformal_confident(five[:2], 0.5, 0.75).count == 2
    assert conformal_confident(five[:1], 0.75, 0.75).count == 1
    with pytest.raises(CalibrationError, match=r"a confidence of 1\.5 is not between 0 and 1"):
        conformal_confident(five, 0.5, 1.5)
    with pytest.raises(CalibrationError, match="calibration score 3 is not finite"):
        maximum(np.array([1.0, 2.0, 3.0, np.nan, 5.0, np.inf]))


def test_where_any_rejection_costs_more_than_it_saves_nothing_is_rejected() -> None:
    scores, defective = np.array([4.0, 1.0, 3.0, 2.0]), np.array([False, True, False, True])
    threshold = least_cost(scores, defective, escape_cost=1, overkill_cost=100)
    assert 4.0 < threshold.value < 4.01
    assert threshold.rule.expected_cost == pytest.approx(0.5)  # every other part is an escape


def test_a_promise_is_told_with_its_rate_and_its_confidence() -> None:
    scores = np.arange(99.0)
    assert (
        "false alarms at most 0.05 of good parts like these on average)" in conformal(scores, 0.05).describe()
    )
    told = conformal_confident(scores, 0.05).describe()
    assert "false alarms at most 0.05 of good parts like these with 95% confidence)" in told
