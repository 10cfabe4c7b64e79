import numpy as np
import pytest

from kizu.core.errors import ConfigError, DataError, ScoreError
from kizu.metrics.ranking import auprc, auroc, fpr_at_tpr, oracle_f1_max, pr_curve, rank, roc_curve
from kizu.metrics.undefined import Undefined

LABELS = np.array([False, False, True, False, True])
ALL = [auroc, auprc, fpr_at_tpr(0.95), oracle_f1_max, roc_curve, pr_curve]


def test_a_perfect_order_scores_one():
    scores = np.array([1, 2, 4, 3, 5], np.float32)
    assert (auroc(LABELS, scores), auprc(LABELS, scores), fpr_at_tpr(0.95)(LABELS, scores)) == (1, 1, 0)
    value, threshold = oracle_f1_max(LABELS, scores)
    assert value == 1
    assert 3 <= threshold < 4


def test_equal_scores_count_half():
    same = np.zeros(5, np.float32)
    assert auroc(LABELS, same) == 0.5
    assert auprc(LABELS, same) == pytest.approx(2 / 5)
    assert fpr_at_tpr(0.95)(LABELS, same) == 1


def test_scores_may_be_whole_numbers():
    assert auroc(LABELS, np.array([1, 2, 4, 3, 5])) == 1


def test_scores_that_differ_in_float64_only_are_not_merged():
    assert auroc(LABELS, 1 + 1e-12 * np.array([1, 2, 4, 3, 5])) == 1


@pytest.mark.parametrize(("labels", "reason"), [(True, "no good samples"), (False, "no defective samples")])
@pytest.mark.parametrize("metric", ALL)
def test_one_kind_alone_is_undefined(metric, labels, reason):
    with pytest.raises(Undefined, match=reason):
        metric(np.full(4, labels), np.arange(4.0))


@pytest.mark.parametrize("metric", ALL)
def test_nothing_at_all_is_undefined(metric):
    with pytest.raises(Undefined):
        metric(np.zeros(0, bool), np.zeros(0))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("metric", ALL)
def test_a_score_that_is_not_finite_is_named(metric, value):
    scores = np.array([1, 2, 3, value, 5])
    with pytest.raises(ScoreError, match=f"score 3 is {value}") as refused:
        metric(LABELS, scores)
    assert refused.value.hint == "metrics need finite scores"


@pytest.mark.parametrize(
    ("labels", "scores", "said"),
    [
        (LABELS, np.zeros(4), r"labels have shape \(5,\) and scores \(4,\)"),
        (LABELS[None], np.zeros((1, 5)), r"both must be \(N,\)"),
        (LABELS.astype(int), np.zeros(5), "labels must be boolean .*, got int64"),
    ],
)
def test_arrays_that_do_not_match_are_refused(labels, scores, said):
    with pytest.raises(DataError, match=said):
        rank(labels, scores)


@pytest.mark.parametrize("tpr", [0.0, 1.5])
def test_a_rate_outside_its_range_is_refused(tpr):
    with pytest.raises(ConfigError, match=f"got {tpr}"):
        fpr_at_tpr(tpr)


def test_ranking_leaves_the_scores_as_they_were():
    scores = np.array([3, 1, 2, 5, 4], np.float32)
    auroc(LABELS, scores)
    assert scores.tolist() == [3, 1, 2, 5, 4]


def test_a_curve_turns_only_where_it_turns():
    """From (0, 0) up over one defect, level over both good ones, and up over the other defect."""
    labels = np.array([True, False, False, True, False])
    curve = roc_curve(labels, np.array([9.0, 7.0, 6.0, 5.0, 1.0]))
    assert list(zip(curve.x, curve.y, strict=True)) == [
        (0, 0),
        (0, 0.5),
        (pytest.approx(2 / 3), 0.5),
        (pytest.approx(2 / 3), 1),
        (1, 1),
    ]
