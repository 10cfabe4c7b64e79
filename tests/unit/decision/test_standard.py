"""A threshold that was found on one category, in force on another with scores of another scale."""

import numpy as np
import pytest

from kizu.core.errors import CalibrationError
from kizu.decision.standard import StandardThreshold, carry_threshold, centre_and_spread, standardise


def test_a_carried_threshold_follows_the_scale_of_the_scores() -> None:
    held_out = np.array([1.0, 2.0, 3.0, 4.0, 9.0])
    threshold = StandardThreshold(value=2.0, rule="fpr@0.01", count=9)
    assert centre_and_spread(held_out) == pytest.approx((3.0, 1.4826))
    for gain, offset in ((1, 0), (3, 97)):
        value = carry_threshold(threshold, offset + gain * held_out)
        assert value == pytest.approx(offset + gain * (3 + 2 * 1.4826))
    assert standardise(held_out, held_out)[1] == pytest.approx(-1 / 1.4826)
    with pytest.raises(CalibrationError, match="no spread"):
        centre_and_spread(np.ones(3))


def test_where_more_than_half_of_the_scores_are_equal_the_standard_deviation_is_the_spread() -> None:
    held_out = np.array([1.0, 1.0, 1.0, 5.0])
    assert centre_and_spread(held_out) == (1.0, held_out.std())


def test_scores_of_a_runtime_are_carried_in_double_precision() -> None:
    """Their sums and medians would round in float32, and the threshold with them."""
    held_out = np.random.default_rng(0).random(40, np.float32) + np.float32(1000)
    assert centre_and_spread(held_out) == centre_and_spread(held_out.astype(np.float64))
    exact = standardise(held_out.astype(np.float64), held_out)
    np.testing.assert_array_equal(standardise(held_out, held_out), exact)
    assert standardise(held_out, held_out).dtype == np.float64
