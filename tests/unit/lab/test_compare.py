"""Two methods on the same images: only what both have scored is compared, and many tests are corrected for."""

import json
from pathlib import Path

import numpy as np
import pytest

from kizu.core.errors import DataError
from kizu.lab.compare import between_methods, differences, paired_scores
from kizu.lab.frozen import MethodResult
from kizu.metrics.compare import delong
from kizu.metrics.ranking import auroc


def predictions(path: Path, labels: np.ndarray, scores: np.ndarray, *, first: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {"id": f"{i}", "gt_label": "defect" if label else "good", "pred_score": float(score)}
        for i, (label, score) in enumerate(zip(labels, scores, strict=True), start=first)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def drawn(seed: int, count: int = 80) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(count) < count // 2
    clear, dull = rng.normal(size=(2, count)) + np.array([[3.0], [0.3]]) * labels
    return labels, clear, dull


def test_only_shared_images_are_paired_by_their_ids(tmp_path: Path) -> None:
    labels, clear, dull = drawn(0)
    one = predictions(tmp_path / "a.jsonl", labels[10:], clear[10:], first=10)
    other = predictions(tmp_path / "b.jsonl", labels[:70][::-1], dull[:70][::-1])
    pair = paired_scores(one, one)
    assert len(pair.ids) == 70
    with pytest.raises(DataError, match=r"is defect in .*a\.jsonl and not in"):
        paired_scores(one, other)
    with pytest.raises(DataError, match="no image in common"):
        paired_scores(one, predictions(tmp_path / "c.jsonl", labels, dull, first=1000))
    with pytest.raises(DataError, match="is missing"):
        paired_scores(one, tmp_path / "none.jsonl")


def test_a_clear_difference_is_significant_and_none_is_not(tmp_path: Path) -> None:
    labels, clear, dull = drawn(1)
    files = [predictions(tmp_path / f"{i}.jsonl", labels, s) for i, s in enumerate((clear, dull))]
    found = differences(paired_scores(*files))
    assert set(found) == {"image_auroc, DeLong", "image_auroc", "image_auprc"}
    assert found["image_auroc"].value == pytest.approx(auroc(labels, clear) - auroc(labels, dull))
    assert all(d.low > 0 and d.p_value < 0.01 for d in found.values())
    alone = delong(labels, clear, dull).p_value
    assert found["image_auroc, DeLong"].p_value == pytest.approx(3 * alone)  # the smallest of three
    same = differences(paired_scores(files[0], files[0]))
    assert all(d.value == 0 and d.p_value == 1 for d in same.values())


def test_images_of_one_kind_cannot_be_compared(tmp_path: Path) -> None:
    path = predictions(tmp_path / "a.jsonl", np.zeros(5, bool), np.arange(5.0))
    assert differences(paired_scores(path, path)) == {}


@pytest.mark.parametrize("categories", [1, 5])
def test_methods_of_a_frozen_evaluation_are_compared_together(tmp_path: Path, categories: int) -> None:
    results = []
    for number in range(categories):
        labels, *scores = drawn(number)
        for method, s in zip(("clear", "dull"), scores, strict=True):
            folder = tmp_path / f"c{number}" / method
            predictions(folder / "seed-3/preds_test.jsonl", labels, s)
            metrics = {"mean": {"image_auroc": auroc(labels, s)}, "per_seed": {"3": {}}}
            results.append(MethodResult(f"c{number}", method, False, folder, metrics, 0))
    found = between_methods(results)
    assert len(found) == categories + (categories >= 5)
    assert all(f.corrected_p >= f.difference.p_value for f in found)
    if categories >= 5:
        over = found[-1]
        assert over.category == "over 5 or more categories"
        assert over.difference.p_value == pytest.approx(2 / 2**5)  # the least that five can give
        assert over.difference.low > 0
