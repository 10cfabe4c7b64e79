"""The whole way through the command line on real photographs: from a folder of good parts to a file on the line."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from kizu.imaging.codec import decode
from kizu.inspection.records import schema


def kizu(*arguments: object, ok: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "kizu", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == ok, done.stderr
    return done.stdout


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def way(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Path]]:
    """Train, tune, predict, export and verify two methods; each is a step that the next needs."""
    root = tmp_path_factory.mktemp("line")
    runs = {}
    for model in ("patchcore", "padim"):
        out = kizu(
            "train", "--model", model, "--data-root", shared_data / "mvtec_ad", "--category", "hazelnut",
            "--output-dir", root / "runs", "--run-id", "r",
        )  # fmt: skip
        run = runs[model] = Path(out.strip().splitlines()[-1])
        kizu("evaluate", "--run-dir", run, "--tune-on-validation", "--pixel-metric", "iou")
        kizu("predict", "--run-dir", run, "--csv")
        kizu("export", "--run-dir", run)
        kizu("verify", "--run-dir", run)
    return root, runs


def test_what_was_measured_is_on_disk(way: tuple[Path, dict[str, Path]]) -> None:
    for run in way[1].values():
        metrics = json.loads((run / "metrics.json").read_text())
        assert metrics["image_auroc"] == 1.0
        assert metrics["counts"]["defect"] == 12  # five of 17 were chosen on
        assert "probability" in metrics
        for name in (
            "thresholds.json",
            "preds_train.jsonl",
            "preds_test.jsonl",
            "model_card.md",
            "report.html",
        ):
            assert (run / name).stat().st_size > 100
        assert json.loads((run / "consistency.json").read_text())["agrees"] is True
        assert (run / "figs/reliability.png").exists()


def test_predictions_carry_the_truth_and_fit_their_schema(way: tuple[Path, dict[str, Path]]) -> None:
    for run in way[1].values():
        found = lines(run / "predictions/preds.jsonl")
        assert {line["gt_label"] for line in found} == {"good", "defect"}
        assert len(found) == 6 + 12
        for line in found:
            Draft202012Validator(schema("preds")).validate(line)
            assert decode(Path(line["mask_path"])).shape[:2] == tuple(line["image_size"])
            for defect in line["defects"]:
                x_min, y_min, x_max, y_max = defect["bbox"]
                assert 0 <= x_min < x_max <= line["image_size"][1]
                assert 0 <= y_min < y_max <= line["image_size"][0]
        assert (run / "predictions/preds.csv").read_text().count("\n") == 1 + 18


def test_the_file_alone_says_what_the_run_says(
    way: tuple[Path, dict[str, Path]], shared_data: Path, tmp_path: Path
) -> None:
    pictures = shared_data / "mvtec_ad/hazelnut/test"
    for model, run in way[1].items():
        alone = tmp_path / f"{model}.onnx"
        alone.write_bytes((run / "export/model.onnx").read_bytes())
        said = []
        for number, source in enumerate(
            (
                ("--run-dir", run),
                ("--model", alone),
                ("--model", alone, "--runtime", "openvino"),
            )
        ):
            out = tmp_path / f"{model}-{number}"
            kizu("inspect", *source, pictures, "--output-dir", out)
            said.append({line["image_path"]: line for line in lines(out / "preds.jsonl")})
        first, *others = said
        assert len(first) == 23
        for other in others:
            for path, line in first.items():
                assert other[path]["label"] == line["label"]
                assert other[path]["pred_score"] == pytest.approx(line["pred_score"], rel=1e-4)
                assert other[path]["bundle_sha256"] == line["bundle_sha256"]


def test_two_runs_are_laid_side_by_side(way: tuple[Path, dict[str, Path]], tmp_path: Path) -> None:
    runs = way[1]
    out = tmp_path / "compared"
    kizu("compare", "--run-dir-a", runs["patchcore"], "--run-dir-b", runs["padim"], "--output-dir", out)
    report = json.loads((out / "comparison_report.json").read_text())
    assert report["missing"] == []
    assert report["shared_images"] == 18
    assert set(report["samples"]) == {"good", "mild", "medium", "severe"}
    grids = list((out / "comparison_grids").iterdir())
    assert len(grids) == sum(map(len, report["samples"].values())) == 12
    assert decode(grids[0]).shape[1] > 900
    assert "p-values" in (out / "comparison_table.md").read_text()
    assert (out / "sample_visualizations.md").read_text().count("![") == 12
