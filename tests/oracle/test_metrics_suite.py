"""Every number of the suite against scikit-learn on all pixels at once."""

import numpy as np
import pytest
from sklearn import metrics as sk

from kizu.metrics.overlap import aupro
from kizu.metrics.suite import METRICS, evaluate


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(3)
    labels = np.arange(12) % 3 == 0
    shapes = [(8, 9), (16, 5), (7, 7)] * 4
    masks = [(rng.random(shape) < 0.2) & bad for shape, bad in zip(shapes, labels, strict=True)]
    maps = [(rng.integers(0, 40, mask.shape) / 8 + mask).astype(np.float32) for mask in masks]
    scores = np.array([scores.max() for scores in maps]) + rng.standard_normal(12).astype(np.float32)
    return labels, scores, maps, masks


def expected(labels, scores, threshold):
    ng = scores > threshold
    return {
        "auroc": sk.roc_auc_score(labels, scores),
        "auprc": sk.average_precision_score(labels, scores),
        "f1": sk.f1_score(labels, ng),
        "iou": sk.jaccard_score(labels, ng),
        "precision": sk.precision_score(labels, ng),
        "recall": sk.recall_score(labels, ng),
        "accuracy": sk.accuracy_score(labels, ng),
        "specificity": sk.recall_score(~labels, ~ng),
        "escape_rate": 1 - sk.recall_score(labels, ng),
        "overkill_rate": 1 - sk.recall_score(~labels, ~ng),
        "oracle_f1_max": max(sk.f1_score(labels, scores >= level) for level in np.unique(scores)),
        "fpr_at_95_tpr": np.mean(scores[~labels] >= scores[labels].min()),  # 95 % of 4 defects are all 4
    }


def test_the_suite_agrees_with_scikit_learn(case):
    labels, scores, maps, masks = case
    result = evaluate(labels, scores, image_threshold=5.5, maps=maps, masks=masks, pixel_threshold=3.125)
    flat = [np.concatenate([image.ravel() for image in images]) for images in (masks, maps)]
    want = {f"image_{key}": value for key, value in expected(labels, scores, 5.5).items()}
    want |= {f"pixel_{key}": value for key, value in expected(*flat, 3.125).items()}
    want |= {"aupro_030": aupro(maps, masks, 0.30), "aupro_005": aupro(maps, masks, 0.05)}
    assert list(result.values) == [row.key for row in METRICS]
    assert result.values.pop("aupimo") is None  # so few pixels cannot tell it
    marked = np.concatenate([(m > 3.125).ravel() & (s > 5.5) for m, s in zip(maps, scores, strict=True)])
    want |= {"pixel_dice": want["pixel_f1"], "seg_f1": sk.f1_score(flat[0], marked)}
    assert result.values == pytest.approx({key: want[key] for key in result.values}, abs=1e-9)
