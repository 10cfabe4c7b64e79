"""Comparisons say what they rest on, count what they say they count, and refuse what they cannot compare."""

import numpy as np
import pytest

from kizu.core.errors import ConfigError, DataError
from kizu.metrics.auroc_interval import auroc_evidence, correlation
from kizu.metrics.compare import delong, exchange_test, holm, wilcoxon_over_categories
from kizu.metrics.ranking import RankingMetric, auprc, auroc
from kizu.metrics.undefined import Undefined

LABELS = np.arange(40) % 2 == 0


def scores(seed: int, shift: float) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=LABELS.size) + shift * LABELS


FIRST, SECOND = scores(0, 1.0), scores(1, 0.8)


def exchanged_by_hand(metric: RankingMetric, exchanges: int, seed: int) -> float:
    """The p-value, image by image."""
    rng = np.random.default_rng(seed)
    ranks = [[sorted(scores).index(s) for s in scores] for scores in (FIRST.tolist(), SECOND.tolist())]
    apart = abs(metric(LABELS, FIRST) - metric(LABELS, SECOND))
    as_large = 1
    for _ in range(exchanges):
        one, other = [], []
        for mine, its, change in zip(*ranks, rng.random(LABELS.size) < 0.5, strict=True):
            one.append(float(mine if change else its))
            other.append(float(its if change else mine))
        as_large += abs(metric(LABELS, np.array(one)) - metric(LABELS, np.array(other))) >= apart - 1e-12
    return as_large / (exchanges + 1)


@pytest.mark.parametrize("metric", [auroc, auprc])
def test_exchanging_is_putting_each_images_ranks_in_the_others_place(metric: RankingMetric) -> None:
    found = exchange_test(LABELS, FIRST, SECOND, metric, rng=np.random.default_rng(5), exchanges=150)
    assert found.value == metric(LABELS, FIRST) - metric(LABELS, SECOND)
    assert found.p_value == exchanged_by_hand(metric, 150, 5)
    assert 2 / 151 < found.p_value < 1
    assert (found.low, found.high) == (None, None)
    assert found.method == "ranks exchanged, 150 times"


def test_exchanging_knows_no_p_below_what_it_tried_and_no_scale() -> None:
    clear = exchange_test(
        LABELS, 9.0 * LABELS, -9.0 * LABELS, auprc, rng=np.random.default_rng(5), exchanges=99
    )
    assert clear.p_value == 1 / 100
    same = exchange_test(LABELS, FIRST, 97 + 3 * FIRST, auprc, rng=np.random.default_rng(5), exchanges=99)
    assert (same.value, same.p_value) == (0, 1)
    with pytest.raises(ConfigError, match="got 0"):
        exchange_test(LABELS, FIRST, SECOND, auprc, rng=np.random.default_rng(5), exchanges=0)


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_limits_of_a_difference_are_those_of_its_parts_joined(level: float) -> None:
    found = delong(LABELS, FIRST, SECOND, level=level)
    one, other = auroc_evidence(LABELS, FIRST), auroc_evidence(LABELS, SECOND)
    together = correlation(one, other)
    (low, high), (other_low, other_high) = one.worth.limits(level), other.worth.limits(level)
    down = np.array([one.value - low, other_high - other.value])
    up = np.array([high - one.value, other.value - other_low])
    joined = np.array([[1, -together], [-together, 1]])
    assert found.value == pytest.approx(auroc(LABELS, FIRST) - auroc(LABELS, SECOND))
    assert found.low == pytest.approx(found.value - np.sqrt(down @ joined @ down))
    assert found.high == pytest.approx(found.value + np.sqrt(up @ joined @ up))
    assert found.method == "DeLong, limits joined"
    with pytest.raises(ConfigError, match=r"got 1\.5"):
        delong(LABELS, FIRST, SECOND, level=1.5)


def test_the_other_way_round_is_the_mirror() -> None:
    found, turned = delong(LABELS, FIRST, SECOND), delong(LABELS, SECOND, FIRST)
    assert turned.p_value == pytest.approx(found.p_value)
    assert (turned.value, turned.low, turned.high) == pytest.approx((-found.value, -found.high, -found.low))


def test_no_p_value_is_below_one_less_the_level_at_which_the_limits_reach_nothing() -> None:
    rng = np.random.default_rng(0)
    touched = 0
    for _ in range(40):
        one, other = (rng.normal(size=LABELS.size) + shift * LABELS for shift in (2.0, 1.0))
        found = delong(LABELS, one, other)
        at = delong(LABELS, one, other, level=1 - found.p_value * 0.99)
        nearest = at.low if found.value > 0 else -at.high
        assert nearest < 0.05
        touched += abs(nearest) < 0.002
    assert touched > 5


def test_perfect_against_perfectly_wrong_is_neither_certain_nor_without_width() -> None:
    for count, least in ((6, 2 / 2**6), (12, 2 / 2**12), (40, 0.0)):
        labels = np.arange(count) % 2 == 0
        found = delong(labels, labels + 0.0, ~labels + 0.0)
        assert (found.value, found.high) == (1, 1)
        assert 0 < found.low < 1
        assert max(least, 1e-12) <= found.p_value < 0.05
    labels = np.arange(5) < 2
    with pytest.raises(Undefined, match="5 images: 6 are needed"):
        delong(labels, labels + 0.0, ~labels + 0.0)


def test_two_perfect_methods_may_still_differ_on_other_images() -> None:
    scores = np.random.default_rng(0).random(40)
    found = delong(LABELS, LABELS + 0.5 * scores, LABELS - 0.5 * scores)
    assert (found.value, found.p_value) == (0, 1)
    assert found.low == pytest.approx(-found.high)
    assert 0.02 < found.high < 0.2


def test_equal_methods_are_seldom_told_apart() -> None:
    rng = np.random.default_rng(1)
    labels = np.arange(46) < 36
    found = []
    for _ in range(400):
        shared = rng.normal(size=46) + 1.8 * labels
        one, other = (shared + 0.7 * rng.normal(size=46) for _ in range(2))
        found.append(delong(labels, one, other))
    assert np.mean([d.p_value <= 0.05 for d in found]) <= 0.07
    assert np.mean([d.low <= 0 <= d.high for d in found]) >= 0.93


def test_categories_that_do_not_pair_are_counted() -> None:
    with pytest.raises(DataError, match="3 and 2 categories cannot be paired"):
        wilcoxon_over_categories([0.1, 0.2, 0.3], [0.1, 0.2])


def test_corrected_p_values_keep_the_order_they_were_given_in_and_never_fall() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        given = {f"{i}": float(p) for i, p in enumerate(rng.random(7) ** 3)}
        found = holm(given)
        assert list(found) == list(given)
        assert all(given[name] <= found[name] <= 1 for name in given)
        ranked = sorted(given, key=lambda name: given[name])
        assert [found[name] for name in ranked] == sorted(found.values())
        assert found[ranked[0]] == pytest.approx(min(1, 7 * given[ranked[0]]))
