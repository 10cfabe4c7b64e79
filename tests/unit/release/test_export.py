"""A run as a file: whole, told what it is, opened alone, and not kept where it would decide otherwise."""

import contextlib
import json
import shutil
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image
from tests.support import category, part_picture, run_config

import kizu.release.export as module
from kizu.bundles.store import load
from kizu.core.errors import BundleError, ConfigError
from kizu.core.work import Runtime, Work
from kizu.decision.calibration import CalibrationConfig
from kizu.inspection.inspector import Inspector
from kizu.lab.held_out import read_sides
from kizu.lab.train import train_run
from kizu.lab.tune import compute_thresholds
from kizu.release.export import export_run
from kizu.release.verify import verify_run
from kizu.runs.folder import RunFolder
from kizu.runtimes.model import read_model


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    root = tmp_path_factory.mktemp("set")
    category(root, "plate", 0)
    return train_run(run_config(root, "plate"), root / "runs").folder


@pytest.fixture(scope="module")
def exported(run: RunFolder) -> Path:
    return export_run(run).path


def test_the_file_is_told_beside_it(run: RunFolder, exported: Path) -> None:
    assert exported == run.path / "export/model.onnx"
    meta = json.loads((run.path / "export/export_meta.json").read_text())
    told = meta["models"]["model.onnx"]
    assert told["precision"] == "f32"
    assert told["files"]["model.onnx"]["bytes"] == exported.stat().st_size
    assert told["outputs"] == {"pred_score": ["N"], "anomaly_map": ["N", 64, 64]}
    assert meta["bundle_sha256"] == load(run.bundle).bundle_sha256
    assert meta["thresholds"]["image"]["rule"]["name"] == "conformal"


@pytest.mark.parametrize("hw", [(64, 64), (63, 101), (17, 9), (500, 333)])
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_training_and_serving_see_the_same_picture(
    run: RunFolder, exported: Path, tmp_path: Path, hw: tuple[int, int], runtime: str
) -> None:
    shutil.copy(exported, tmp_path / "alone.onnx")
    path = tmp_path / "picture.png"
    Image.fromarray(part_picture(77, 600)[: hw[0], : hw[1]]).save(path)
    expected = Inspector.open(run.path).inspect(path)
    found = Inspector.open(tmp_path / "alone.onnx", work=Work(runtime)).inspect(path)
    assert found.score == pytest.approx(expected.score, rel=1e-4)
    assert (found.label, found.threshold) == (expected.label, expected.threshold)
    assert found.map.shape == hw
    np.testing.assert_allclose(found.map, expected.map, rtol=1e-3, atol=1e-3)


def test_the_file_and_the_run_agree_in_every_runtime(run: RunFolder, exported: Path) -> None:
    found = verify_run(run, random_images=3)
    assert {a.name for a in found} >= {"model.onnx, onnxruntime", "model.onnx, openvino"}
    assert all(a.failures() == [] for a in found)
    assert {a.images for a in found if "check pictures" not in a.name} == {8 + 3}
    told = json.loads((run.path / "consistency.json").read_text())
    assert told["agrees"] is True
    assert len(verify_run(run, images=3)) == len(found)


def test_a_picture_that_set_the_threshold_passes_wherever_it_is_judged(
    run: RunFolder, exported: Path
) -> None:
    model, (_, held) = read_model(exported), read_sides(run)
    by_run = Inspector.open(run.path)
    scores = [by_run.inspect(sample.path).score for sample in held]
    assert by_run.policy.thresholds.image.value > max(scores)
    for runtime in get_args(Runtime):
        inspector = Inspector(model, work=Work(runtime=runtime))
        assert all(inspector.inspect(sample.path).label == "OK" for sample in held)
        slack = inspector.policy.thresholds.image.value - max(
            inspector.inspect(sample.path).score for sample in held
        )
        assert slack > 1e-6 * max(scores)  # some last bits, not one


def test_half_precision_and_an_ir_keep_the_decisions(run: RunFolder, exported: Path) -> None:
    half = export_run(run, precision="f16")
    assert half.agreement is not None
    assert half.agreement.flips == []
    assert half.path.stat().st_size < 0.8 * exported.stat().st_size
    assert read_model(half.path).precision == "f16"
    ir = export_run(run, to="openvino").path
    assert ir.with_suffix(".bin").exists()
    found = {a.name: a for a in verify_run(run)}
    assert {"model.xml, openvino", "model-f16.onnx, onnxruntime", "model.onnx, openvino"} <= set(found)
    assert all(a.failures() == [] for a in found.values())
    with pytest.raises(ConfigError, match="is for OpenVINO"):
        Inspector.open(ir)
    ir.with_name("export_meta.json").rename(ir.with_name("moved"))
    with pytest.raises(BundleError, match=r"export_meta\.json is missing"):
        read_model(ir)
    ir.with_name("moved").rename(ir.with_name("export_meta.json"))


def test_what_decides_otherwise_is_not_kept(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from onnx import numpy_helper

    def spoilt(model):
        for tensor in model.graph.initializer:
            values = numpy_helper.to_array(tensor)
            if values.ndim == 2 and values.dtype == np.float32:
                tensor.CopyFrom(numpy_helper.from_array(values * np.float32(1.7), tensor.name))
        return model

    monkeypatch.setattr(module, "to_half", spoilt)
    with pytest.raises(ConfigError, match="does not decide as the run does"):
        export_run(run, precision="f16", output_dir=tmp_path / "out")
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True


def test_int8_is_kept_or_refused_by_its_decisions(run: RunFolder, tmp_path: Path) -> None:
    kept = None
    with contextlib.suppress(ConfigError):
        kept = export_run(run, precision="int8", output_dir=tmp_path)
    if kept is None:
        assert not list(tmp_path.iterdir())
    else:
        assert kept.agreement is not None
        assert kept.agreement.failures() == []
        assert read_model(kept.path).precision == "int8"
    with pytest.raises(ConfigError, match="int8 is written as ONNX only"):
        export_run(run, to="openvino", precision="int8")


def test_files_of_other_thresholds_and_of_others_are_refused(
    run: RunFolder, exported: Path, tmp_path: Path
) -> None:
    shutil.copytree(run.path, tmp_path / "copy")
    copy = RunFolder(tmp_path / "copy")
    compute_thresholds(copy, CalibrationConfig(rule="mean_sigma"))
    for models in ([exported], ()):  # named, or found in its export folder
        found = verify_run(copy, models=models)
        assert {a.failures()[0][:36] for a in found} == {"stale: made from another bundle than"}
        assert json.loads(copy.consistency.read_text())["agrees"] is False
    shutil.rmtree(copy.path / "export")
    found = verify_run(copy)
    assert all(a.failures() == [] and a.name.startswith("not exported") for a in found)
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(exported.read_bytes()[:2000])
    with pytest.raises(BundleError, match=r"broken\.onnx"):
        read_model(broken)
    foreign = tmp_path / "foreign.onnx"
    foreign.write_bytes((run.bundle / "graph.onnx").read_bytes())
    with pytest.raises(BundleError, match="was not exported by kizu"):
        read_model(foreign)
    with pytest.raises(BundleError, match="is missing"):
        read_model(tmp_path / "none.onnx")
