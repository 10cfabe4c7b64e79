"""SegF1 counts the binary maps that are handed in, all pixels of all images together."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score

from kizu.metrics.suite import evaluate


def test_it_is_scikit_learns_f1_of_the_maps_of_rejected_images() -> None:
    rng = np.random.default_rng(0)
    masks = [np.zeros((20, 30), dtype=bool) for _ in range(6)]
    for mask in masks[3:]:
        mask[5:12, 8:20] = True
    maps = [rng.normal(size=mask.shape) + 1.5 * mask for mask in masks]
    labels = np.array([mask.any() for mask in masks] + [True])
    scores = np.array([0.1, 0.9, 0.2, 0.8, 0.3, 0.7, 0.6])
    values = evaluate(
        labels, scores, image_threshold=0.5, maps=maps, masks=masks, pixel_threshold=1.0, mapped=np.arange(6)
    ).values
    marked = np.concatenate([(m > 1.0).ravel() & (s > 0.5) for m, s in zip(maps, scores[:6], strict=True)])
    above = np.concatenate([(m > 1.0).ravel() for m in maps])
    truth = np.concatenate([mask.ravel() for mask in masks])
    assert values["seg_f1"] == pytest.approx(f1_score(truth, marked))
    assert values["pixel_dice"] == values["pixel_f1"] == pytest.approx(f1_score(truth, above))
    assert values["pixel_precision"] == pytest.approx(precision_score(truth, above))
    assert values["pixel_recall"] == pytest.approx(recall_score(truth, above))
    candidates = [f1_score(truth, np.concatenate([m.ravel() for m in maps]) >= t) for t in np.unique(maps[3])]
    assert values["pixel_oracle_f1_max"] >= max(candidates) - 1e-12


def test_it_is_not_known_without_knowing_which_images_the_maps_are_of() -> None:
    mask = np.eye(4, dtype=bool)
    result = evaluate(
        np.array([True, False, True]),
        np.array([3.0, 1.0, 2.0]),
        image_threshold=1.5,
        maps=[mask.astype(float)],
        masks=[mask],
        pixel_threshold=0.5,
    )
    assert result.values["seg_f1"] is None
    assert "which images" in result.reasons["seg_f1"]
