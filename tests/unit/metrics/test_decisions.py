import numpy as np
import pytest

from kizu.core.errors import DataError, ScoreError
from kizu.metrics.decisions import Confusion, confusion
from kizu.metrics.undefined import Undefined

RATES = ["precision", "recall", "f1", "iou", "accuracy", "specificity", "escape_rate", "overkill_rate"]


def test_a_score_equal_to_the_threshold_is_ok():
    labels = np.array([True, True, False, False])
    scores = np.array([2, 3, 2, 3], np.float32)
    assert confusion(labels, scores, 2.0) == Confusion(tp=1, fp=1, tn=1, fn=1)


def test_the_threshold_is_not_rounded_to_the_scores_width():
    score = np.array([0.1], np.float32)  # slightly more than 0.1
    assert confusion(np.array([True]), score, 0.1).tp == 1
    assert confusion(np.array([True]), score, float(score[0])).tp == 0


def test_rates_are_fractions_of_the_counts():
    counts = Confusion(tp=6, fp=1, tn=3, fn=2)
    got = {name: getattr(counts, name) for name in RATES}
    assert got == pytest.approx(
        {
            "precision": 6 / 7,
            "recall": 6 / 8,
            "f1": 12 / 15,
            "iou": 6 / 9,
            "accuracy": 9 / 12,
            "specificity": 3 / 4,
            "escape_rate": 2 / 8,
            "overkill_rate": 1 / 4,
        }
    )


MIXED = {"precision", "f1", "iou"}


@pytest.mark.parametrize(
    ("counts", "undefined", "reason"),
    [
        (Confusion(0, 1, 3, 0, "images"), MIXED | {"recall", "escape_rate"}, "no defective images"),
        (Confusion(3, 0, 0, 1), MIXED | {"specificity", "overkill_rate"}, "no good samples"),
        (Confusion(0, 0, 3, 2), {"precision"}, "no rejected samples"),
        (Confusion(0, 0, 0, 0), set(RATES), "no .*samples"),
    ],
)
def test_a_rate_of_nothing_is_undefined(counts, undefined, reason):
    for name in RATES:
        if name in undefined:
            with pytest.raises(Undefined, match=reason):
                getattr(counts, name)
        else:
            assert 0 <= getattr(counts, name) <= 1


def test_f1_is_zero_when_defects_exist_and_nothing_was_rejected():
    assert Confusion(0, 0, 3, 2).f1 == 0


def test_counts_add_up():
    assert Confusion(1, 2, 3, 4, "pixels") + Confusion(10, 20, 30, 40) == Confusion(11, 22, 33, 44, "pixels")


def test_nan_is_refused():
    with pytest.raises(ScoreError, match=r"^the threshold is nan") as refused:
        confusion(np.array([True]), np.array([1.0]), float("nan"))
    assert refused.value.hint == "nan would silently pass every part"
    with pytest.raises(ScoreError, match="score 0"):
        confusion(np.array([True]), np.array([np.nan]), 1.0)
    with pytest.raises(DataError):
        confusion(np.array([True]), np.array([1.0, 2.0]), 1.0)


def test_each_sample_may_have_a_threshold_of_its_own():
    labels, scores = np.array([True, True, False, False]), np.array([1, 1, 1, 1], np.float32)
    assert confusion(labels, scores, np.array([0, 2, 0, 2], np.float32)) == Confusion(tp=1, fp=1, tn=1, fn=1)
    exact = np.full(4, 0.1, np.float32)
    assert confusion(labels, exact, exact.copy()) == Confusion(tp=0, fp=0, tn=2, fn=2)
