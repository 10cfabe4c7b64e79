"""The main job on real photographs, with the real backbone: train, evaluate, inspect, unchanged from set to set."""

import json
from pathlib import Path

import pytest

from kizu.core.work import Work
from kizu.data.layouts.mvtec_ad import scan
from kizu.data.listing import list_images
from kizu.data.scan import DataConfig
from kizu.inspection.folder import FolderRunner
from kizu.inspection.inspector import Inspector
from kizu.lab.evaluate import evaluate_run
from kizu.lab.train import RunConfig, train_run
from kizu.pipeline.config import PipelineConfig
from kizu.protocol.freeze import Origin, freeze
from kizu.protocol.frozen import evaluate_frozen

# What the same features reach in anomalib 2.7 (image AUROC, AU-PRO@0.30), less what one seed moves.
FLOORS = {
    ("patchcore", "mvtec_ad/hazelnut"): (1.0, 0.92),
    ("padim", "mvtec_ad/hazelnut"): (1.0, 0.946),
    ("patchcore", "deeppcb/board_92000"): (0.99, 0.935),
    ("padim", "deeppcb/board_92000"): (0.909, 0.889),
}


@pytest.mark.parametrize(("model", "name"), FLOORS)
def test_real_sets_reach_their_floor(shared_data: Path, tmp_path: Path, model: str, name: str) -> None:
    dataset, category = name.split("/")
    config = RunConfig(data=DataConfig(root=shared_data / dataset, category=category)).with_detector(
        model, {}
    )
    run = train_run(config, tmp_path)
    metrics = evaluate_run(run.folder).metrics
    auroc, aupro = FLOORS[model, name]
    assert (metrics["image_auroc"] or 0) >= auroc
    assert (metrics["aupro_030"] or 0) >= aupro

    flaws = list_images(next(path for path in (shared_data / name / "test").iterdir() if path.name != "good"))
    result = FolderRunner(Inspector.open(run.folder.path), tmp_path / "out").run(flaws)
    assert result.report.num_images == len(flaws)
    measured = {Path(row["id"]).parts[-2:]: row["pred_score"] for row in _lines(run.folder.predictions)}
    for row in _lines(tmp_path / "out" / "preds.jsonl"):
        assert row["pred_score"] == pytest.approx(measured[Path(row["image_path"]).parts[-2:]], rel=1e-4)


def _lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_both_runtimes_measure_the_same(shared_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="openvino is not installed")
    manifest = scan(shared_data / "mvtec_ad", "hazelnut")
    pipelines = {
        kind: PipelineConfig().with_detector(kind, {}) for kind in ("patchcore", "padim", "mahalanobis")
    }
    frozen = freeze(pipelines, Origin(how="defaults", dev=()), seeds=(0,))
    found = [
        [r.metrics for r in evaluate_frozen(frozen, [manifest], tmp_path / runtime, work=Work(runtime))]
        for runtime in ("onnxruntime", "openvino")
    ]
    for one, other in zip(*found, strict=True):
        for key, value in one["mean"].items():
            # What PaDiM would say without one of 28 pictures is a thousand times as noisy as what it says of new
            # ones (3e-4 of a peak, not 2e-7), and pixels are cut by it.
            within = 1e-3 if key.startswith(("pixel_", "seg_")) else 1e-4
            assert other["mean"][key] == pytest.approx(value, abs=within), (one["method"], key)
