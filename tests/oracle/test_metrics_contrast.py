"""Verdicts exchanged, and contrasts of AUROCs, against slow and obvious versions."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from kizu.core.errors import DataError
from kizu.metrics.compare import contrast_aurocs, delong, exchange_verdicts
from kizu.metrics.undefined import Undefined


def drawn(seed: int, count: int = 60) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    labels = rng.random(count) < 0.5
    labels[:2] = True, False
    return labels, rng.random(count) < 0.3 + 0.4 * labels, rng.random(count) < 0.4 + 0.2 * labels


@pytest.mark.parametrize("seed", range(5))
def test_the_difference_is_that_of_f1(seed: int) -> None:
    labels, first, second = drawn(seed)
    found = exchange_verdicts(labels, first, second)
    assert found.value == pytest.approx(f1_score(labels, first) - f1_score(labels, second))
    assert found.low is None


def test_the_p_value_is_that_of_all_exchanges_where_these_are_few() -> None:
    labels = np.array([True] * 6 + [False] * 6)
    first, second = labels.copy(), labels.copy()
    second[[0, 1, 7, 8]] ^= True
    value = abs(f1_score(labels, first) - f1_score(labels, second))
    as_large = 0
    for bits in range(16):
        change = np.zeros(12, bool)
        change[[0, 1, 7, 8]] = [bits >> i & 1 for i in range(4)]
        one, other = np.where(change, second, first), np.where(change, first, second)
        as_large += abs(f1_score(labels, one) - f1_score(labels, other)) >= value - 1e-12
    found = exchange_verdicts(labels, first, second)
    assert found.p_value == pytest.approx(as_large / 16)


def test_verdicts_that_agree_do_not_differ() -> None:
    labels, first, _ = drawn(0)
    found = exchange_verdicts(labels, first, first)
    assert (found.value, found.p_value) == (0, 1)


def test_verdicts_that_are_alike_are_told_apart_one_time_in_twenty() -> None:
    rng = np.random.default_rng(3)
    p_values = []
    for _ in range(400):
        labels = np.arange(80) < 40
        one, other = (rng.random(80) < 0.2 + 0.5 * labels for _ in range(2))
        p_values.append(exchange_verdicts(labels, one, other).p_value)
    assert np.mean(np.array(p_values) < 0.05) <= 0.08


def test_verdicts_of_one_kind_or_another_length_are_refused() -> None:
    yes = np.ones(5, bool)
    with pytest.raises(Undefined):
        exchange_verdicts(yes, yes, yes)
    with pytest.raises(DataError):
        exchange_verdicts(yes, yes[:4], yes)


def scores(seed: int, count: int = 80) -> tuple[np.ndarray, list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    labels = np.arange(count) < count // 2
    part = rng.normal(0, 0.6, count)
    return labels, [labels * shift + part + rng.normal(0, 0.6, count) for shift in (1.5, 1.0, 1.4, 0.5)]


def test_a_contrast_is_the_weighted_sum_of_aurocs() -> None:
    labels, four = scores(0)
    found = contrast_aurocs(labels, four, (1, -1, -1, 1))
    aurocs = [roc_auc_score(labels, one) for one in four]
    assert found.value == pytest.approx(aurocs[0] - aurocs[1] - aurocs[2] + aurocs[3])
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high


def test_its_variance_is_that_of_redrawn_images() -> None:
    labels, four = scores(1, 300)
    found = contrast_aurocs(labels, four, (1, -1, -1, 1))
    rng = np.random.default_rng(0)
    values = []
    for _ in range(400):
        at = np.concatenate([rng.choice(np.flatnonzero(labels == kind), 150) for kind in (True, False)])
        a, b, c, d = (roc_auc_score(labels[at], one[at]) for one in four)
        values.append(a - b - c + d)
    assert found.high is not None
    assert (found.high - found.value) / 1.96 == pytest.approx(np.std(values), rel=0.15)


def test_a_contrast_of_two_is_delongs_own_test() -> None:
    labels, four = scores(2)
    two = contrast_aurocs(labels, four[:2], (1, -1))
    assert two.value == pytest.approx(delong(labels, four[0], four[1]).value)


def test_a_contrast_of_the_same_scores_is_nothing_and_of_perfect_ones_is_not_known() -> None:
    labels, four = scores(3)
    assert contrast_aurocs(labels, [four[0], four[0]], (1, -1)).p_value == 1
    best = labels.astype(float)
    with pytest.raises(Undefined, match="how far chance reaches"):
        contrast_aurocs(labels, [best, -best], (1, -1))
