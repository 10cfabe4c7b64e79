"""Nothing passes that is not the file of the bundle in force, and a healthy one always does."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
from tests.support import category, part_picture, run_config

from kizu.bundles.exported import MANIFEST, META, SHA256, read_export_meta
from kizu.bundles.store import load
from kizu.core.errors import BundleError, ConfigError, ImageError, OutputError
from kizu.core.hashing import hash_bytes
from kizu.core.work import Work
from kizu.data.listing import list_images
from kizu.decision.calibration import CalibrationConfig
from kizu.imaging.codec import decode, encode_png
from kizu.imaging.placement import PlacementConfig, place
from kizu.inspection.folder import FolderRunner
from kizu.inspection.inspector import Inspector
from kizu.lab.train import train_run
from kizu.lab.tune import compute_thresholds
from kizu.lab.update import update_run
from kizu.release.check_pictures import draw_check_picture
from kizu.release.export import export_run
from kizu.release.verify import verify_run
from kizu.runs.folder import RunFolder
from kizu.runtimes.model import read_model
from kizu.runtimes.signing import signer


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    root = tmp_path_factory.mktemp("set")
    category(root, "plate", 0)
    run = train_run(run_config(root, "plate"), root / "runs").folder
    export_run(run)
    return run


@pytest.fixture
def run(trained: RunFolder, tmp_path: Path) -> RunFolder:
    shutil.copytree(trained.path, tmp_path / "run")
    return RunFolder(tmp_path / "run")


def failures(run: RunFolder, **options: object) -> dict[str, list[str]]:
    return {a.name: a.failures() for a in verify_run(run, **options)}  # type: ignore[arg-type]


def test_after_an_update_the_old_file_is_named_and_does_not_pass(run: RunFolder, tmp_path: Path) -> None:
    assert not any(failures(run).values())
    encode_png(tmp_path / "new" / "a.png", part_picture(900))
    update_run(run, tmp_path / "new", reason="more")
    (told,) = failures(run)["model.onnx"]
    assert "stale" in told
    assert "version 1, in force is 2" in told
    assert json.loads(run.consistency.read_text())["agrees"] is False
    export_run(run, precision="f16")  # beside the old one, which no list names any more
    assert list(read_export_meta(run.path / "export" / META).models) == ["model-f16.onnx"]
    found = failures(run)
    assert "stale" in found.pop("model.onnx")[0]
    assert found
    assert not any(found.values())
    export_run(run)
    assert not any(failures(run).values())


def test_a_file_of_before_with_another_threshold_does_not_pass(run: RunFolder) -> None:
    """It carries no hash, and names the right bundle: what it says is compared all the same."""
    path = run.path / "export" / "model.onnx"
    model = onnx.load(path)
    kept = [(prop.key, prop.value) for prop in model.metadata_props if prop.key in (MANIFEST, SHA256)]
    onnx.helper.set_model_props(model, dict(kept))
    onnx.save(model, path)
    assert not any(failures(run).values())
    told = json.loads(dict(kept)[MANIFEST])
    told["thresholds"]["image"]["value"] = 1e9
    onnx.helper.set_model_props(model, {**dict(kept), MANIFEST: json.dumps(told)})
    onnx.save(model, path)
    assert "its manifest was changed" in failures(run)["model.onnx"][0]


def test_a_run_that_was_not_exported_is_said_to_be_so(run: RunFolder) -> None:
    shutil.rmtree(run.path / "export")
    assert all(name.startswith("not exported (drawn for this check)") for name in failures(run))


def test_two_files_of_one_name_are_both_compared(run: RunFolder, tmp_path: Path) -> None:
    other = tmp_path / "line" / "model.onnx"
    other.parent.mkdir()
    shutil.copy(run.path / "export" / "model.onnx", other)
    compute_thresholds(run, CalibrationConfig(rule="mean_sigma"))
    export_run(run)
    found = failures(run, models=[run.path / "export" / "model.onnx", other])
    assert "stale" in found.pop(str(other))[0]
    assert len(found) >= 2
    assert not any(found.values())


def test_whole_pictures_are_resized_inside_the_file(run: RunFolder, tmp_path: Path) -> None:
    path = export_run(run, picture_hw=(150, 222)).path
    assert path.name == "model-150x222.onnx"
    assert read_model(path).picture_hw == (150, 222)
    found = {a.name: a for a in verify_run(run)}
    inside = found["model-150x222.onnx, onnxruntime"]
    assert (inside.images, inside.of_another_size, inside.failures()) == (2, 8, [])
    assert found["model-150x222.onnx, check pictures"].images == 1
    assert not any(a.failures() for a in found.values())
    picture = np.tile(part_picture(5), (3, 4, 1))[:150, :222]
    by_run, by_file = Inspector.open(run.path), Inspector.open(path)
    assert by_file.inspect(picture).score == pytest.approx(by_run.inspect(picture).score, rel=1e-5)
    np.testing.assert_allclose(
        by_file.inspect(picture).map, by_run.inspect(picture).map, rtol=1e-3, atol=1e-3
    )
    with pytest.raises(ImageError, match="takes only 150 x 222"):
        by_file.inspect(picture[:100])
    encode_png(tmp_path / "in" / "fits.png", picture)
    encode_png(tmp_path / "in" / "small.png", picture[:100])
    report = FolderRunner(by_file, tmp_path / "out").run(list_images(tmp_path / "in")).report
    assert (report.num_images, report.num_errors) == (1, 1)


def test_check_pictures_tell_what_another_program_must_get(run: RunFolder) -> None:
    folder = run.path / "export" / "check"
    told = json.loads((folder / "check.json").read_text())
    by_run, placement = Inspector.open(run.path), PlacementConfig(image_size=(64, 64))
    assert len(told["pictures"]) == 2
    for picture in told["pictures"]:
        pixels = decode(folder / picture["file"])
        np.testing.assert_array_equal(pixels, draw_check_picture(tuple(picture["size"])))
        assert hash_bytes(place(pixels, placement).tobytes()) == picture["seen_sha256"]
        found = by_run.inspect(folder / picture["file"])
        assert (picture["pred_score"], picture["label"]) == (found.score, found.label)
        crude = pixels[:: pixels.shape[0] // 64, :: pixels.shape[1] // 64][:64, :64]  # no antialiasing
        assert abs(by_run.inspect(crude).score - found.score) > 0.05 * found.score
    told["pictures"][0]["pred_score"] *= 1.01
    (folder / "check.json").write_text(json.dumps(told))
    assert "score error" in failures(run)["model.onnx, check pictures"][0]
    told["pictures"][0]["seen_sha256"] = "0" * 64
    (folder / "check.json").write_text(json.dumps(told))
    assert "sees" in failures(run)["model.onnx, check pictures"][0]
    (folder / "check.json").write_text("{")
    with pytest.raises(BundleError, match=r"check\.json"):
        verify_run(run)


def test_verify_says_who_signed(run: RunFolder, tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    private, public = tmp_path / "key.pem", tmp_path / "public.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    assert {a.signed for a in verify_run(run)} == {"no"}
    with pytest.raises(BundleError, match="is not signed"):
        verify_run(run, signed_by=public)
    for to in ("onnx", "openvino"):
        path = export_run(run, to=to, sign=signer(private)).path  # type: ignore[arg-type]
        key = read_model(path, signed_by=public).signed_by
        assert key is not None
    assert {a.signed for a in verify_run(run, signed_by=public)} == {f"by {key[:16]}"}
    export_run(run, precision="f16")  # a list of several, of which one is not signed
    assert read_model(path, signed_by=public).signed_by == key
    assert read_model(path.with_name("model-f16.onnx")).signed_by is None


def test_nothing_is_written_into_a_bundle(run: RunFolder) -> None:
    with pytest.raises(OutputError, match="is inside the bundle"):
        export_run(run, output_dir=run.bundle / "out")
    assert load(run.bundle).manifest.model == "patchcore"


def test_a_model_that_would_be_refused_on_the_line_is_not_written(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import kizu.release.export as module

    def odd(*args: object, **named: object) -> onnx.ModelProto:
        model = build(*args, **named)  # type: ignore[arg-type]
        model.graph.node.insert(0, onnx.helper.make_node("RandomNormal", [], ["noise"], shape=[2]))
        return model

    build = module.build_model
    monkeypatch.setattr(module, "build_model", odd)
    with pytest.raises((BundleError, ConfigError), match="RandomNormal"):
        export_run(run, output_dir=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_runtimes_are_asked_one_image_at_a_time(run: RunFolder) -> None:
    model = read_model(run.path / "export" / "model.onnx")
    images = np.stack([part_picture(seed) for seed in range(3)])
    together = model.scorer(Work(cores=2)).score(images)
    alone = [model.scorer(Work(cores=1)).score(image[None]).image[0] for image in images]
    np.testing.assert_allclose(together.image, alone, rtol=1e-5)
