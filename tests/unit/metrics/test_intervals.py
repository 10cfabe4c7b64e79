import numpy as np
import pytest
from scipy.stats import ttest_1samp

from kizu.core.errors import ConfigError
from kizu.metrics import intervals
from kizu.metrics.intervals import bootstrap_interval, mean_interval
from kizu.metrics.ranking import auprc, auroc, fpr_at_tpr
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
    resampled = intervals._resampled
    monkeypatch.setattr(intervals, "_resampled", lambda *args: seen.append(args[1]) or resampled(*args))
    bootstrap_interval(*case, auroc, rng=np.random.default_rng(0), resamples=101)
    assert sum(seen) == 101
    assert len(seen) > 1


def test_one_kind_alone_is_undefined():
    with pytest.raises(Undefined, match="no defective images"):
        bootstrap_interval(np.zeros(3, bool), np.arange(3.0), auroc, rng=np.random.default_rng(0))


@pytest.mark.parametrize("setting", [{"resamples": 0}, {"level": 0.0}, {"level": 1.0}])
def test_settings_outside_their_range_are_refused(case, setting):
    with pytest.raises(ConfigError):
        bootstrap_interval(*case, auroc, rng=np.random.default_rng(0), **setting)


def test_the_interval_over_repetitions_is_students():
    values = [0.91, 0.94, 0.92]
    low, high = ttest_1samp(values, 0).confidence_interval(0.95)
    interval = mean_interval(values)
    assert (interval.low, interval.high) == pytest.approx((low, high))
    with pytest.raises(Undefined):
        mean_interval([0.9])
