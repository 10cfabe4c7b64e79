"""The bootstrap by counts against redrawing images one by one."""

import numpy as np
import pytest

from kizu.metrics.intervals import bootstrap_interval
from kizu.metrics.ranking import auprc, auroc, fpr_at_tpr


def interval_by_redrawing(labels, scores, metric, rng, resamples):
    bad, good = np.flatnonzero(labels), np.flatnonzero(~labels)
    values = []
    for _ in range(resamples):
        drawn = np.concatenate([rng.choice(bad, bad.size), rng.choice(good, good.size)])
        values.append(metric(labels[drawn], scores[drawn]))
    return np.quantile(values, [0.025, 0.975])


@pytest.mark.parametrize("metric", [auroc, auprc, fpr_at_tpr(0.95)], ids=["auroc", "auprc", "fpr"])
@pytest.mark.parametrize("levels", [6, 10_000])
def test_redrawing_counts_is_redrawing_images(metric, levels):
    rng = np.random.default_rng(5)
    labels = np.arange(90) % 3 == 0
    scores = np.round((rng.standard_normal(90) + labels) * levels / 6)
    slow = interval_by_redrawing(labels, scores, metric, np.random.default_rng(6), 3000)
    fast = bootstrap_interval(labels, scores, metric, rng=np.random.default_rng(7), resamples=20_000)
    assert [fast.low, fast.high] == pytest.approx(slow, abs=0.02 if metric in (auroc, auprc) else 0.05)
