"""An AUPRC near 1 is not told more surely than its images allow."""

import numpy as np
import pytest

from kizu.metrics.auprc_interval import auprc_interval
from kizu.metrics.ranking import auprc
from kizu.metrics.undefined import Undefined


def test_a_perfect_order_has_a_bound_that_nears_one_with_the_images() -> None:
    lows = []
    for good, defective in ((6, 17), (20, 20), (500, 500)):
        labels = np.arange(good + defective) < defective
        found = auprc_interval(labels, labels + 0.0)
        assert (found.high, found.method) == (1, "variance by influence in Wilson's score, one-sided")
        lows.append(found.low)
    assert 0.7 < lows[0] < lows[2] < 1
    assert lows[1] < lows[2]


def test_the_value_lies_within_and_a_higher_level_is_wider() -> None:
    rng = np.random.default_rng(0)
    for shift in (-1.0, 0.5, 2.5):
        labels = np.arange(50) < 20
        scores = rng.normal(size=50) + shift * labels
        narrow, wide = (auprc_interval(labels, scores, level=level) for level in (0.5, 0.99))
        assert 0 <= wide.low < narrow.low < auprc(labels, scores) < narrow.high < wide.high <= 1
        assert (wide.level, wide.method) == (0.99, "variance by influence in Wilson's score")
        assert auprc_interval(labels, np.exp(scores)) == auprc_interval(labels, scores)


def test_it_holds_the_true_value_nineteen_times_in_twenty() -> None:
    """Of which the percentile bootstrap holds a third less."""
    rng = np.random.default_rng(1)
    labels = np.arange(30) < 20
    many = np.arange(300_000) < 200_000
    true = auprc(many, rng.normal(size=300_000) + 2.6 * many)
    held = 0
    for _ in range(600):
        found = auprc_interval(labels, rng.normal(size=30) + 2.6 * labels)
        held += found.low <= true <= found.high
    assert 0.93 < held / 600 < 0.995


def test_too_few_are_refused() -> None:
    with pytest.raises(Undefined, match="3 defective and 1 good images: two of each"):
        auprc_interval(np.arange(4) < 3, np.arange(4.0))
