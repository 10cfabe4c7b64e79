"""Two methods on the same images: only what both have scored is compared, and many tests are corrected for."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.support import BASE, category, run_config

from kizu.core.errors import DataError
from kizu.lab.evaluate import evaluate_run
from kizu.lab.train import RunConfig, train_run
from kizu.metrics.compare import delong
from kizu.metrics.ranking import auroc
from kizu.metrics.suite import METRICS, Row
from kizu.protocol.compare import (
    MetricRow,
    between_methods,
    compare_runs,
    differences,
    pair_scores,
)
from kizu.protocol.frozen import MethodResult
from kizu.report.comparison import write_comparison
from kizu.runs.contents import PredictionRow
from kizu.runs.folder import RunFolder, write_predictions
from kizu.tasks.predict import predict_run


def predictions(path: Path, labels: np.ndarray, scores: np.ndarray, *, first: int = 0) -> Path:
    kinds = ["defect" if label else "good" for label in labels]
    write_predictions(
        path,
        [
            PredictionRow(id=f"{i}", defect=kind, gt_label=kind, pred_score=score, is_anomaly=score > 0)
            for i, (kind, score) in enumerate(zip(kinds, scores, strict=True), start=first)
        ],
    )
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
    pair = pair_scores(one, one)
    assert len(pair.ids) == 70
    with pytest.raises(DataError, match=r"is defect in .*a\.jsonl and not in"):
        pair_scores(one, other)
    with pytest.raises(DataError, match="no image in common"):
        pair_scores(one, predictions(tmp_path / "c.jsonl", labels, dull, first=1000))
    with pytest.raises(DataError, match="is missing"):
        pair_scores(one, tmp_path / "none.jsonl")


def test_a_clear_difference_is_significant_and_none_is_not(tmp_path: Path) -> None:
    labels, clear, dull = drawn(1)
    files = [predictions(tmp_path / f"{i}.jsonl", labels, s) for i, s in enumerate((clear, dull))]
    found = differences(pair_scores(*files))
    assert set(found) == {"image_auroc", "image_auprc"}
    assert found["image_auroc"].value == pytest.approx(auroc(labels, clear) - auroc(labels, dull))
    assert found["image_auroc"].low > 0
    assert all(d.p_value < 0.01 for d in found.values())
    alone = delong(labels, clear, dull).p_value
    assert found["image_auroc"].p_value == pytest.approx(2 * alone)  # the smaller of two
    assert found["image_auprc"].low is None
    same = differences(pair_scores(files[0], files[0]))
    assert all(d.value == 0 and d.p_value == 1 for d in same.values())


def test_images_of_one_kind_cannot_be_compared(tmp_path: Path) -> None:
    path = predictions(tmp_path / "a.jsonl", np.zeros(5, bool), np.arange(5.0))
    assert differences(pair_scores(path, path)) == {}


@pytest.mark.parametrize("categories", [1, 5, 6])
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
    assert len(found) == categories + (categories >= 6)
    assert all(f.corrected_p >= f.difference.p_value for f in found)
    if categories >= 6:
        over = found[-1]
        assert over.category == "over 6 or more categories"
        assert over.difference.p_value == pytest.approx(2 / 2**6)  # the least that six can give
        assert (over.difference.low, over.difference.method) == (None, "Wilcoxon over categories")


@pytest.fixture
def two_runs(tmp_path: Path) -> list[RunFolder]:
    category(tmp_path / "data", "plate", 0)
    values = {**BASE.model_dump(mode="json"), "data": {"root": str(tmp_path / "data"), "category": "plate"}}
    return [
        train_run(
            RunConfig.parse({**values, "seed": seed}, where="test"), tmp_path / "runs", run_id=f"{seed}"
        ).folder
        for seed in (0, 1)
    ]


def test_runs_of_one_model_are_told_apart_and_what_is_missing_is_said(
    two_runs: list[RunFolder], tmp_path: Path
) -> None:
    found = compare_runs(*two_runs)
    assert found.names == ("patchcore-a", "patchcore-b")
    assert found.rows == ()
    assert len(found.missing) == 4
    assert write_comparison(tmp_path / "out", found) is None
    assert "kizu evaluate" in (tmp_path / "out/comparison_table.md").read_text()
    for run in two_runs:
        evaluate_run(run)
        predict_run(run)
    found = compare_runs(*two_runs)
    assert found.missing == ()
    assert found.shared == 8
    chosen = write_comparison(tmp_path / "out", found)
    assert chosen is not None
    assert [len(samples) for samples in chosen.groups.values()] == [3, 2, 1, 1]
    assert len(list((tmp_path / "out/comparison_samples/patchcore-b").iterdir())) == 7


@pytest.mark.parametrize(
    ("first", "second", "lower_is_better", "better"),
    [
        (0.9, 0.8, False, "a"),
        (0.8, 0.9, False, "b"),
        (0.1, 0.2, True, "a"),
        (0.2, 0.1, True, "b"),
        (0.9, 0.9, False, ""),
        (0.9, 0.9, True, ""),
        (0.9, None, True, ""),
        (None, 0.9, False, ""),
    ],
)
def test_less_is_better_for_what_should_be_low(
    first: float | None, second: float | None, lower_is_better: bool, better: str
) -> None:
    assert MetricRow("any", first, second, lower_is_better).better == better


def test_which_run_is_better_is_said_by_the_metric_also_by_one_that_is_new(
    two_runs: list[RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    new = Row("ms_per_image", "time for an image, ms", lambda _: 0.0, lower_is_better=True)
    monkeypatch.setattr("kizu.protocol.compare.METRICS", (*METRICS, new))
    for run, value in zip(two_runs, (3.0, 7.0), strict=True):
        evaluate_run(run)
        told = json.loads(run.metrics.read_text())
        told |= {new.key: value, "image_escape_rate": value / 10, "image_f1": value / 10}
        run.metrics.write_text(json.dumps(told))
    better = {row.name: row.better for row in compare_runs(*two_runs).rows}
    assert (better[new.key], better["image_escape_rate"], better["image_f1"]) == ("a", "a", "b")


def test_runs_of_different_parts_are_not_compared(two_runs: list[RunFolder], tmp_path: Path) -> None:
    category(tmp_path / "data", "disc", 300)
    other = train_run(run_config(tmp_path / "data", "disc"), tmp_path / "runs").folder
    with pytest.raises(DataError, match="plate cannot be compared with disc"):
        compare_runs(two_runs[0], other)
