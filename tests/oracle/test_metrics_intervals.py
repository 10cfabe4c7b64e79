"""Wilson's score, DeLong's variance and the influence on an AUPRC against other programs and slow versions."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import binomtest, t

from kizu.metrics.auroc_interval import PRIOR_RATIO, auroc_interval
from kizu.metrics.intervals import rate_interval
from kizu.metrics.worth import PRIOR_IMAGES


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_rates_are_those_of_scipy(level: float) -> None:
    for hits, count in ((0, 6), (1, 1), (3, 20), (20, 20), (77, 500)):
        found = rate_interval(hits, count, level=level)
        theirs = binomtest(hits, count).proportion_ci(level, method="wilson")
        assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def limits_by_solving(labels: np.ndarray, scores: np.ndarray, level: float) -> tuple[float, float]:
    """By pairs of images, and by searching for the values that the data just do not contradict."""
    pairs = (scores[labels][:, None] > scores[~labels]) + 0.5 * (scores[labels][:, None] == scores[~labels])
    value = pairs.mean()
    share = weight_of = 0.0
    for axis in (1, 0):
        part = pairs.mean(axis=axis)
        lost = 1 - part if value >= 0.5 else part
        images = lost.sum() ** 2 / (lost**2).sum() if lost.any() else 0.0
        own = np.var(part, ddof=1) / (value * (1 - value)) if 0 < value < 1 else 0.0
        mine = np.average([own, PRIOR_RATIO], weights=[images, PRIOR_IMAGES]) / part.size
        share += mine
        weight_of += mine**2 / (images + PRIOR_IMAGES)
    quantile = t(share**2 / weight_of).ppf(level if value in (0, 1) else (1 + level) / 2)

    def beyond(p: float) -> float:
        return (value - p) ** 2 - quantile**2 * p * (1 - p) * share

    low = 0.0 if value == 0 else brentq(beyond, 0, value if value < 1 else 1 - 1e-12)
    high = 1.0 if value == 1 else brentq(beyond, value if value > 0 else 1e-12, 1)
    return low, high


@pytest.mark.parametrize("shift", [-3.0, 0.5, 2.0, 3.5, 40.0, -40.0])
@pytest.mark.parametrize("steps", [1, 1000])
def test_an_aurocs_limits_are_their_definition(shift: float, steps: int) -> None:
    rng = np.random.default_rng(5)
    labels = np.arange(45) % 3 == 0
    scores = np.round((rng.normal(size=45) + shift * labels) * steps)
    found = auroc_interval(labels, scores, level=0.9)
    assert (found.low, found.high) == pytest.approx(limits_by_solving(labels, scores, 0.9), abs=1e-8)
