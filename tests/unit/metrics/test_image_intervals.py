"""A metric of images has an interval, or a reason why not."""

import numpy as np

from kizu.metrics.auroc_interval import auroc_interval
from kizu.metrics.decision_intervals import decision_intervals
from kizu.metrics.decisions import confusion
from kizu.metrics.image_intervals import NO_AUPRC, image_intervals
from kizu.metrics.suite import ROWS

LABELS = np.arange(30) < 12
SCORES = np.random.default_rng(0).normal(size=30) + 2 * LABELS


def test_each_stands_by_the_key_of_its_metric() -> None:
    found = image_intervals(LABELS, SCORES, 1.0, level=0.9)
    assert found.intervals.keys() | found.missing.keys() <= ROWS.keys()
    assert found.intervals.keys().isdisjoint(found.missing)
    assert found.intervals["image_auroc"] == auroc_interval(LABELS, SCORES, level=0.9)
    counts = confusion(LABELS, SCORES, 1.0)
    decided = {f"image_{name}": found for name, found in decision_intervals(counts, level=0.9).items()}
    assert decided.items() <= found.intervals.items()
    assert found.missing == {"image_auprc": NO_AUPRC}
    assert len(found.intervals) == 1 + len(decided)


def test_without_a_threshold_nothing_is_decided() -> None:
    assert image_intervals(LABELS, SCORES, None).intervals.keys() == {"image_auroc"}


def test_one_kind_alone_says_what_is_missing() -> None:
    found = image_intervals(LABELS & False, SCORES, 1.0)
    assert found.intervals.keys() == {"image_specificity", "image_overkill_rate", "image_accuracy"}
    why = "0 defective and 30 good images: two of each are needed"
    assert found.missing == {"image_auroc": why, "image_auprc": NO_AUPRC}
