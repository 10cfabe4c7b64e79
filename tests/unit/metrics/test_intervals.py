"""Limits stay within their range, widen with the level, have width where nothing went wrong, and cover."""

from math import sqrt

import numpy as np
import pytest
from scipy.stats import binom, ttest_1samp

from kizu.core.errors import ConfigError
from kizu.metrics.intervals import mean_interval, rate_interval, score_limits
from kizu.metrics.undefined import Undefined


@pytest.mark.parametrize(("hits", "count"), [(0, 6), (1, 6), (6, 6), (3, 7), (40, 500), (0, 1)])
def test_a_rate_lies_within_its_limits_and_these_within_its_range(hits: int, count: int) -> None:
    narrow, wide = (rate_interval(hits, count, level=level) for level in (0.5, 0.99))
    assert 0 <= wide.low <= narrow.low <= hits / count <= narrow.high <= wide.high <= 1
    assert wide.high - wide.low > narrow.high - narrow.low > 0
    assert (wide.level, wide.method) == (0.99, f"Wilson's score, {count} images")


def test_limits_are_where_the_score_is_the_quantile() -> None:
    for value, images in ((0.2, 7.5), (0.9, 31.0), (0.5, 2.0)):
        for limit in score_limits(value, images, 1.7):
            assert abs(value - limit) == pytest.approx(1.7 * sqrt(limit * (1 - limit) / images))


def test_nothing_wrong_of_few_is_far_from_certain() -> None:
    assert rate_interval(0, 6).high == pytest.approx(0.39, abs=0.005)
    assert rate_interval(0, 6).low == 0
    assert rate_interval(6, 6).low == pytest.approx(1 - rate_interval(0, 6).high)


@pytest.mark.parametrize("count", [6, 20, 100])
def test_a_rate_is_held_as_often_as_is_said_on_average(count: int) -> None:
    """Exactly, by the binomial distribution, over true rates up to .2."""
    rates = np.linspace(0.0005, 0.2, 400)
    limits = [rate_interval(hits, count) for hits in range(count + 1)]
    held = sum(
        binom.pmf(hits, count, rates) * ((found.low <= rates) & (rates <= found.high))
        for hits, found in enumerate(limits)
    )
    assert 0.94 < held.mean() < 0.96


def test_what_is_no_rate_is_refused() -> None:
    with pytest.raises(Undefined, match="nothing was counted"):
        rate_interval(0, 0)
    for hits, count in ((3, 2), (-1, 2), (1, 0)):
        with pytest.raises(ConfigError, match=f"{hits} of {count}"):
            rate_interval(hits, count)
    for level in (0.0, 1.0):
        with pytest.raises(ConfigError, match=f"got {level}"):
            rate_interval(1, 2, level=level)


def test_the_interval_over_repetitions_is_students() -> None:
    values = [0.91, 0.94, 0.92]
    low, high = ttest_1samp(values, 0).confidence_interval(0.95)
    interval = mean_interval(values)
    assert (interval.low, interval.high) == pytest.approx((low, high))
    assert (interval.level, interval.method) == (0.95, "Student's t over 3 repetitions")
    two = mean_interval(values[:2], level=0.8)
    assert (two.low, two.high) == pytest.approx(ttest_1samp(values[:2], 0).confidence_interval(0.8))
    with pytest.raises(Undefined, match=r"1 repetition\(s\): two are needed"):
        mean_interval([0.9])


def test_equal_repetitions_give_no_interval_and_none_leaves_the_range() -> None:
    with pytest.raises(Undefined, match="3 equal repetitions do not show"):
        mean_interval([1.0, 1.0, 1.0])
    found = mean_interval([0.9, 1.0, 0.99], bounds=(0, 1))
    assert found.high == 1
    assert found.low == mean_interval([0.9, 1.0, 0.99]).low
    assert mean_interval([0.0, 0.02], bounds=(0, 1)).low == 0
