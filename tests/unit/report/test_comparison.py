"""Two runs beside each other in words: which is better at what, by how much, and what chance alone would give."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.support import category, part_picture, run_config

import kizu.report.comparison as module
from kizu.core.files import write_stored
from kizu.data.manifest import Sample
from kizu.imaging.codec import decode, encode_png
from kizu.imaging.overlay import TRUE
from kizu.lab.evaluate import evaluate_run
from kizu.lab.train import train_run
from kizu.metrics.compare import Difference
from kizu.protocol.compare import MetricRow, RunComparison, compare_runs
from kizu.report.comparison import TILE_PX, write_comparison
from kizu.runs.folder import RunFolder
from kizu.tasks.predict import predict_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, RunFolder]:
    root = tmp_path_factory.mktemp("set")
    category(root, "plate", 0)
    first, second = (
        train_run(run_config(root, "plate").with_detector(kind, {}), root / "runs").folder
        for kind in ("patchcore", "mahalanobis")
    )
    for run in (first, second):
        evaluate_run(run)
        predict_run(run)
    return first, second


@pytest.fixture(scope="module")
def compared(runs: tuple[RunFolder, RunFolder]) -> RunComparison:
    return compare_runs(*runs)


def table(folder: Path) -> list[list[str]]:
    lines = (folder / "comparison_table.md").read_text().splitlines()
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| ")]


def test_each_metric_says_by_how_much_and_which_is_better(compared: RunComparison, tmp_path: Path) -> None:
    rows = (
        MetricRow("image_auroc", 0.9, 0.75, False),
        MetricRow("image_escape_rate", 0.2, 0.05, True),
        MetricRow("pixel_auroc", 0.5, 0.5, False),
        MetricRow("aupimo", None, 0.5, False),
    )
    write_comparison(tmp_path, replace(compared, rows=rows, differences={}))
    assert table(tmp_path) == [
        ["metric", "patchcore", "mahalanobis", "difference", "better"],
        ["image_auroc", "0.9000", "0.7500", "+0.1500", "patchcore"],
        ["image_escape_rate", "0.2000", "0.0500", "+0.1500", "mahalanobis"],
        ["pixel_auroc", "0.5000", "0.5000", "+0.0000", ""],
        ["aupimo", "-", "0.5000", "-", ""],
    ]


def test_a_difference_is_told_with_its_interval_and_its_chance(
    compared: RunComparison, tmp_path: Path
) -> None:
    found = {
        "image_auroc": Difference(0.15, 0.05, 0.25, 0.0123, "DeLong"),
        "image_auprc": Difference(-0.25, None, None, 0.5, "ranks exchanged"),
    }
    write_comparison(tmp_path, replace(compared, rows=(), shared=8, differences=found, disagree=("a", "b")))
    text = (tmp_path / "comparison_table.md").read_text()
    assert "|---|---|---|---|---|" in text.splitlines()
    assert "On the 8 images that both have scored (patchcore minus mahalanobis;" in text
    assert table(tmp_path)[1:] == [
        ["image_auroc", "+0.1500", "+0.0500 to +0.2500", "0.0123", "DeLong"],
        ["image_auprc", "-0.2500", "-", "0.5", "ranks exchanged"],
    ]
    assert "Verdicts differ on 2 of them." in text


def test_what_a_fit_took_is_told_or_not_known(compared: RunComparison, tmp_path: Path) -> None:
    folders = []
    for name, folder in zip(("first", "second"), compared.folders, strict=True):
        shutil.copytree(folder.path, tmp_path / name)
        folders.append(RunFolder(tmp_path / name))
    meta = folders[0].read_meta().model_copy(update={"seconds": {"total": 12.34}})
    write_stored(folders[0].meta, meta)
    folders[1].meta.unlink()
    write_comparison(tmp_path / "out", replace(compared, folders=(folders[0], folders[1])))
    told = (tmp_path / "out/comparison_table.md").read_text()
    assert "Fit and calibration: patchcore 12.3 s, mahalanobis not known." in told


def test_the_report_holds_what_the_table_says(compared: RunComparison, tmp_path: Path) -> None:
    write_comparison(tmp_path, compared)
    report = json.loads((tmp_path / "comparison_report.json").read_text())
    assert report["runs"] == {
        name: str(folder.path) for name, folder in zip(compared.names, compared.folders, strict=True)
    }
    for row in compared.rows:
        assert report["metrics"][row.name] == {
            "patchcore": row.first, "mahalanobis": row.second, "better": row.better,
        }  # fmt: skip
    assert report["shared_images"] == 8
    assert report["differences"].keys() == compared.differences.keys()
    assert report["verdicts_differ"] == list(compared.disagree)
    assert report["missing"] == []
    assert report["created_at"].endswith("Z")
    missing = replace(compared, missing=("mahalanobis has no overlays",))
    write_comparison(tmp_path / "less", missing)
    report_of_less = json.loads((tmp_path / "less/comparison_report.json").read_text())
    assert report_of_less["missing"] == ["mahalanobis has no overlays"]
    assert "- mahalanobis has no overlays" in (tmp_path / "less/comparison_table.md").read_text()
    low, high = report["severity_borders"]
    assert 0 < low <= high < 1


def test_the_pictures_are_of_both_runs_with_the_true_flaw(compared: RunComparison, tmp_path: Path) -> None:
    chosen = write_comparison(tmp_path, compared)
    assert chosen is not None
    shown = {
        f"{group}-{s.id.replace('/', '_')[:-4]}.jpg" for group, all_ in chosen.groups.items() for s in all_
    }
    for name in compared.names:
        assert {path.name for path in (tmp_path / "comparison_samples" / name).iterdir()} == shown
    grids = tmp_path / "comparison_grids"
    assert {path.name for path in grids.iterdir()} == shown
    flawed = decode(next(path for path in grids.iterdir() if not path.name.startswith("good")))
    first_tile = flawed[:, : flawed.shape[1] // 3].astype(int)
    greenish = np.abs(first_tile - np.array(TRUE)).sum(axis=2) < 90
    assert greenish.any()
    assert flawed.shape[1] > 3 * TILE_PX


def test_every_picture_is_named_with_both_verdicts(compared: RunComparison, tmp_path: Path) -> None:
    write_comparison(tmp_path, compared)
    text = (tmp_path / "sample_visualizations.md").read_text()
    for run, name in zip(compared.folders, compared.names, strict=True):
        lines = [json.loads(line) for line in (run.predictions_dir / "preds.jsonl").read_text().splitlines()]
        told = [f"{name}: {line['label']} {line['pred_score']:.4g}" for line in lines]
        assert sum(one in text for one in told) >= 7
    assert "Mild: up to " in text
    verdict = r"(OK|NG) [\d.e+-]+"
    captions = re.findall(rf"^patchcore: {verdict}; mahalanobis: {verdict}$", text, re.MULTILINE)
    assert len(captions) == 7
    assert text.count("](comparison_grids/") == 7


def test_a_defect_that_nobody_drew_is_shown_as_it_is(tmp_path: Path) -> None:
    encode_png(tmp_path / "a.png", part_picture(0))
    sample = Sample("a.png", tmp_path / "a.png", "defect")
    np.testing.assert_array_equal(module._original(sample), part_picture(0))
