"""Every rate of a threshold gets limits, those that are made of two rates too."""

import numpy as np
import pytest

from kizu.metrics.decision_intervals import Estimate, decision_intervals, ratio
from kizu.metrics.decisions import Confusion
from kizu.metrics.intervals import rate_interval

ALL = {"recall", "escape_rate", "specificity", "overkill_rate", "precision", "f1", "accuracy"}


@pytest.mark.parametrize(
    "counts",
    [
        Confusion(17, 0, 6, 0), Confusion(0, 6, 0, 17), Confusion(0, 1, 5, 17), Confusion(3, 0, 20, 7),
        Confusion(10, 400, 100, 0), Confusion(1, 1, 1, 1), Confusion(300, 9, 126, 88),
    ],
)  # fmt: skip
def test_each_rate_lies_within_its_limits(counts: Confusion) -> None:
    found = decision_intervals(counts)
    assert found.keys() == ALL
    for name, interval in found.items():
        assert 0 <= interval.low <= getattr(counts, name) <= interval.high <= 1, name
        assert interval.low < interval.high, name
        assert interval.level == 0.95


def test_single_rates_are_wilsons_of_their_own_images() -> None:
    found = decision_intervals(Confusion(tp=14, fp=2, tn=8, fn=6), level=0.9)
    assert found["recall"] == rate_interval(14, 20, level=0.9)
    assert found["escape_rate"] == rate_interval(6, 20, level=0.9)
    assert found["specificity"] == rate_interval(8, 10, level=0.9)
    assert found["overkill_rate"] == rate_interval(2, 10, level=0.9)
    assert found["f1"].method == "from Wilson's scores of two rates"


def test_what_is_not_defined_has_no_limits() -> None:
    assert decision_intervals(Confusion(0, 0, 0, 0)) == {}
    good = decision_intervals(Confusion(0, 2, 8, 0))
    assert good.keys() == {"specificity", "overkill_rate", "accuracy"}
    assert good["accuracy"] == good["specificity"]
    nothing_found = decision_intervals(Confusion(0, 0, 9, 5))
    assert nothing_found.keys() == ALL - {"precision"}


def test_limits_of_a_ratio_are_those_of_its_parts_where_one_is_known() -> None:
    known = Estimate(0.5, 0.5, 0.5)
    assert ratio(Estimate(0.2, 0.1, 0.4), known) == pytest.approx((0.2, 0.8))
    assert ratio(known, Estimate(0.4, 0.25, 0.8)) == pytest.approx((0.625, 2.0))
    assert ratio(known, Estimate(0.4, 0.0, 0.8))[1] == np.inf
    assert ratio(Estimate(0.0, 0.0, 0.3), known) == pytest.approx((0, 0.6))


@pytest.mark.parametrize(
    ("good", "defective", "recalls", "overkills"),
    [(6, 17, (0.5, 1.0), (0.0, 0.1)), (36, 36, (0.9, 1.0), (0.0, 0.5)), (500, 10, (0.2, 0.7), (0.0, 0.05))],
)
def test_what_is_made_of_two_rates_is_held_nineteen_times_in_twenty(
    good: int, defective: int, recalls: tuple[float, float], overkills: tuple[float, float]
) -> None:
    rng = np.random.default_rng(0)
    held = {"precision": [], "f1": [], "accuracy": []}
    for _ in range(1000):
        recall, overkill = rng.uniform(*recalls), rng.uniform(*overkills)
        tp, fp = rng.binomial(defective, recall), rng.binomial(good, overkill)
        found = decision_intervals(Confusion(int(tp), int(fp), int(good - fp), int(defective - tp)))
        hits, alarms = defective * recall, good * overkill
        truth = {
            "precision": hits / (hits + alarms),
            "f1": 2 * hits / (hits + alarms + defective),
            "accuracy": (hits + good - alarms) / (good + defective),
        }
        for name, value in truth.items():
            if name in found:
                held[name].append(found[name].low <= value <= found[name].high)
    for name, each in held.items():
        assert 0.925 < np.mean(each) < 0.975, name
