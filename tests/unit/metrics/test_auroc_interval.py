"""An AUROC near 1 is not told more surely than its images allow."""

import numpy as np
import pytest
from scipy.stats import norm

from kizu.core.errors import ConfigError, ScoreError
from kizu.metrics.auroc_interval import auroc_evidence, auroc_interval, correlation
from kizu.metrics.ranking import auroc
from kizu.metrics.undefined import Undefined


def drawn(good: int, defective: int, shift: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(good + defective) < defective
    return labels, rng.normal(size=labels.size) + shift * labels


def test_a_perfect_separation_of_few_has_a_bound_and_of_many_a_closer_one() -> None:
    lows = []
    for good, defective in ((6, 17), (20, 20), (500, 500)):
        labels, scores = drawn(good, defective, 100.0, np.random.default_rng(0))
        found = auroc_interval(labels, scores)
        assert (found.high, found.method) == (1, "DeLong's variance in Wilson's score, one-sided")
        lows.append(found.low)
        turned = auroc_interval(labels, -scores)
        assert (turned.low, turned.high) == pytest.approx((0, 1 - found.low))
    assert 0.7 < lows[0] < 0.9 < lows[1] < lows[2] < 1


def test_the_value_lies_within_and_a_higher_level_is_wider() -> None:
    rng = np.random.default_rng(1)
    for shift in (-1.0, 0.0, 0.7, 2.5):
        labels, scores = drawn(12, 31, shift, rng)
        narrow, wide = (auroc_interval(labels, scores, level=level) for level in (0.5, 0.99))
        assert 0 <= wide.low < narrow.low < auroc(labels, scores) < narrow.high < wide.high <= 1
        assert (wide.level, wide.method) == (0.99, "DeLong's variance in Wilson's score")


def test_only_the_order_counts_and_the_other_side_is_the_mirror() -> None:
    labels, scores = drawn(20, 30, 1.5, np.random.default_rng(2))
    found = auroc_interval(labels, scores)
    assert auroc_interval(labels, 97 + np.exp(scores)) == found
    turned = auroc_interval(labels, -scores)
    assert (turned.low, turned.high) == pytest.approx((1 - found.high, 1 - found.low))


@pytest.mark.parametrize(
    ("good", "defective", "true"), [(6, 17, 0.98), (10, 20, 0.98), (36, 36, 0.9), (100, 12, 0.9)]
)
def test_it_holds_the_true_value_nineteen_times_in_twenty(good: int, defective: int, true: float) -> None:
    """The percentile bootstrap holds it 14 times in twenty at 10 + 20 and .98: this must not fall back to that."""
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(600):
        found = auroc_interval(*drawn(good, defective, float(np.sqrt(2) * norm.ppf(true)), rng))
        held += found.low <= true <= found.high
    assert 0.92 < held / 600 < 0.995


def test_what_cannot_be_told_is_refused() -> None:
    with pytest.raises(Undefined, match="1 defective and 3 good images: two of each"):
        auroc_interval(np.array([True, False, False, False]), np.arange(4.0))
    with pytest.raises(ScoreError):
        auroc_interval(np.array([True, True, False, False]), np.array([1.0, np.nan, 0.0, 0.0]))
    with pytest.raises(ConfigError, match=r"got 1\.0"):
        auroc_interval(np.arange(6) < 3, np.arange(6.0), level=1.0)


def test_correlation_is_one_with_itself_and_unknown_of_the_perfect() -> None:
    rng = np.random.default_rng(4)
    labels, scores = drawn(20, 20, 1.0, rng)
    mine = auroc_evidence(labels, scores)
    assert correlation(mine, mine) == pytest.approx(1)
    assert correlation(mine, auroc_evidence(labels, -scores)) == pytest.approx(-1)
    assert abs(correlation(mine, auroc_evidence(labels, drawn(20, 20, 1.0, rng)[1]))) < 0.6
    assert correlation(mine, auroc_evidence(labels, labels + 0.0)) == 0


@pytest.mark.parametrize(
    ("good", "defective", "needed"), [(100, 11, 12), (11, 300, 37), (36, 300, 37), (4000, 499, 500)]
)
def test_few_of_one_kind_beside_very_many_of_the_other_have_none(
    good: int, defective: int, needed: int
) -> None:
    labels = np.arange(good + defective) < defective
    scores = np.random.default_rng(0).normal(size=labels.size) + 2 * labels
    few, many = sorted((good, defective))
    with pytest.raises(
        Undefined, match=f"{few} images of one kind beside {many} of the other: {needed} are needed"
    ):
        auroc_interval(labels, scores)
