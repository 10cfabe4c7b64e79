"""Ranking metrics against counting by hand and against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from kizu.metrics.ranking import auprc, auroc, fpr_at_tpr, oracle_f1_max, pr_curve, roc_curve

quick = settings(max_examples=60, deadline=None, derandomize=True, database=None)


@st.composite
def labelled_scores(draw):
    """Labels of both kinds; scores on a coarse grid (many ties) or a fine one, both exact under 97 + 3 s."""
    size = draw(st.integers(2, 80))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    labels = rng.random(size) < draw(st.floats(0.05, 0.95))
    labels[:2] = [True, False]
    levels = draw(st.sampled_from([1, 2, 5, 4096]))
    scores = (rng.integers(-levels, levels, size) + (levels // 3) * labels) / 64
    return labels, scores.astype(draw(st.sampled_from([np.float32, np.float64])))


def auroc_by_counting(labels, scores):
    pairs = np.sign(scores[labels][:, None] - scores[~labels][None, :].astype(float))
    return (pairs + 1).mean() / 2


def fpr_by_trying(labels, scores, tpr):
    rates = [
        (np.mean(scores[~labels] >= level), np.mean(scores[labels] >= level)) for level in np.unique(scores)
    ]
    return min(fpr for fpr, reached in rates if reached >= tpr - 1e-12)


def f1_by_trying(labels, scores):
    return max(sk.f1_score(labels, scores >= level) for level in np.unique(scores))


@quick
@given(labelled_scores())
def test_auroc_is_the_share_of_pairs_in_order(case):
    assert auroc(*case) == pytest.approx(auroc_by_counting(*case), abs=1e-12)
    assert auroc(*case) == pytest.approx(sk.roc_auc_score(*case), abs=1e-9)


@quick
@given(labelled_scores())
def test_auprc_is_scikit_learns_average_precision(case):
    assert auprc(*case) == pytest.approx(sk.average_precision_score(*case), abs=1e-12)


@quick
@given(labelled_scores(), st.sampled_from([0.5, 0.95, 1.0]))
def test_fpr_at_tpr_is_the_lowest_of_all_thresholds(case, tpr):
    assert fpr_at_tpr(tpr)(*case) == pytest.approx(fpr_by_trying(*case, tpr), abs=1e-12)


@quick
@given(labelled_scores())
def test_the_oracle_threshold_reaches_the_best_f1_of_all_thresholds(case):
    labels, scores = case
    best = oracle_f1_max(labels, scores)
    assert best.value == pytest.approx(f1_by_trying(labels, scores), abs=1e-12)
    assert best.value == pytest.approx(sk.f1_score(labels, scores > best.threshold), abs=1e-12)


@quick
@given(labelled_scores())
def test_raw_distances_do_not_saturate(case):
    labels, scores = case
    moved = (97 + 3 * scores).astype(scores.dtype)
    assert moved.dtype == scores.dtype
    for metric in (auroc, auprc, fpr_at_tpr(0.95)):
        assert metric(labels, scores) == metric(labels, moved)
    assert oracle_f1_max(labels, scores).value == oracle_f1_max(labels, moved).value


@quick
@given(labelled_scores())
def test_roc_curve_is_scikit_learns_line(case):
    curve = roc_curve(*case)
    fpr, tpr, _ = sk.roc_curve(*case, drop_intermediate=False)
    assert set(zip(curve.x, curve.y, strict=True)) <= set(zip(fpr, tpr, strict=True))
    assert np.trapezoid(curve.y, curve.x) == pytest.approx(auroc(*case), abs=1e-12)
    assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0, 0, 1, 1)


@quick
@given(labelled_scores())
def test_pr_curve_is_a_part_of_scikit_learns_points(case):
    curve = pr_curve(*case)
    precision, recall, _ = sk.precision_recall_curve(*case)
    assert set(zip(curve.x, curve.y, strict=True)) <= set(zip(recall, precision, strict=True))
    assert np.sum(np.diff(curve.x, prepend=0) * curve.y) == pytest.approx(auprc(*case), abs=1e-12)
