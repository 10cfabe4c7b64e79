import numpy as np
import pytest
from scipy.stats import ttest_1samp

from kizu.core.errors import ConfigError
from kizu.metrics import intervals
from kizu.metrics.intervals import bootstrap_interval, mean_interval
from kizu.metrics.ranking import RankingMetric, auprc, auroc, fpr_at_tpr
from kizu.metrics.undefined import Undefined


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    labels = rng.random(120) < 0.3
    return labels, (rng.standard_normal(120) + 1.5 * labels).astype(np.float32)


def test_same_seed_same_interval(case):
    first, second = (bootstrap_interval(*case, auroc, rng=np.random.default_rng(4)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("metric", [auroc, auprc, fpr_at_tpr(0.95)])
def test_the_interval_surrounds_the_value_and_widens_with_the_level(case, metric):
    narrow, wide = (
        bootstrap_interval(*case, metric, rng=np.random.default_rng(1), level=level) for level in (0.5, 0.99)
    )
    assert wide.low <= narrow.low <= metric(*case) <= narrow.high <= wide.high
    assert (wide.level, wide.method) == (0.99, "stratified percentile bootstrap, 1000 resamples")


def test_a_perfect_order_stays_perfect_in_every_resample():
    labels = np.array([False, False, True, True])
    got = bootstrap_interval(labels, np.arange(4.0), auprc, rng=np.random.default_rng(0))
    assert (got.low, got.high) == (1, 1)


def test_blocks_bound_the_memory_and_keep_the_number_of_resamples(case, monkeypatch):
    seen = []
    monkeypatch.setattr(intervals, "COUNTS_AT_ONCE", 2000)
    counted = RankingMetric(lambda ranking: seen.append(ranking.hits.shape) or auroc.compute(ranking))
    bootstrap_interval(*case, counted, rng=np.random.default_rng(0), resamples=101)
    assert sum(rows for rows, _ in seen) == 101
    assert len(seen) > 1
    assert all(rows * (2 * columns + 1) <= 2000 for rows, columns in seen)


def test_one_kind_alone_is_undefined():
    with pytest.raises(Undefined, match="no defective images"):
        bootstrap_interval(np.zeros(3, bool), np.arange(3.0), auroc, rng=np.random.default_rng(0))


@pytest.mark.parametrize("setting", [{"resamples": 0}, {"level": 0.0}, {"level": 1.0}])
def test_settings_outside_their_range_are_refused(case, setting):
    (value,) = setting.values()
    with pytest.raises(ConfigError, match=rf"got .*\b{value}\b"):
        bootstrap_interval(*case, auroc, rng=np.random.default_rng(0), **setting)


def test_one_resample_is_enough_to_ask_for(case):
    got = bootstrap_interval(*case, auroc, rng=np.random.default_rng(0), resamples=1)
    assert got.low == got.high
    assert 0.5 < got.low < 1


@pytest.mark.parametrize("level", [0.5, 0.8, 0.95])
def test_as_many_resamples_lie_below_the_interval_as_above_it(case, level):
    """Drawn again one by one, as the text book has it, and cut where the two tails are equal."""
    labels, scores = case
    rng = np.random.default_rng(2)
    sides = np.flatnonzero(labels), np.flatnonzero(~labels)
    values = []
    for _ in range(4000):
        drawn = np.concatenate([rng.choice(side, side.size) for side in sides])
        values.append(auroc(labels[drawn], scores[drawn]))
    got = bootstrap_interval(labels, scores, auroc, rng=np.random.default_rng(3), resamples=4000, level=level)
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    assert (got.low, got.high) == pytest.approx((low, high), abs=0.006)
    assert got.level == level


def test_the_interval_over_repetitions_is_students():
    values = [0.91, 0.94, 0.92]
    low, high = ttest_1samp(values, 0).confidence_interval(0.95)
    interval = mean_interval(values)
    assert (interval.low, interval.high) == pytest.approx((low, high))
    assert (interval.level, interval.method) == (0.95, "Student's t over 3 repetitions")
    two = mean_interval(values[:2], level=0.8)
    assert (two.low, two.high) == pytest.approx(ttest_1samp(values[:2], 0).confidence_interval(0.8))
    with pytest.raises(Undefined, match=r"1 repetition\(s\): two are needed"):
        mean_interval([0.9])
