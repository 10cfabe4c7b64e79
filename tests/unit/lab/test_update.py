"""A run learns more good images as a new version, says so, and can go back; half of an update is none."""

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tests.support import BASE, category, part_picture, run_config, with_flaw

from kizu.bundles.store import INDEX, load
from kizu.core import locks
from kizu.core.errors import BundleError, CalibrationError, ConfigError, DataError, ImageError, OutputError
from kizu.core.hashing import hash_value
from kizu.core.split import Split
from kizu.data.manifest import read_manifest
from kizu.data.study import read_study
from kizu.decision.calibration import CalibrationConfig, PixelMetric
from kizu.decision.cuts import MARGIN
from kizu.imaging.codec import decode, encode_png
from kizu.inspection.inspector import Inspector
from kizu.lab.evaluate import evaluate_run
from kizu.lab.held_out import read_sides
from kizu.lab.train import RunConfig, train_run
from kizu.lab.tune import compute_thresholds, tune_on_validation
from kizu.lab.update import update_run
from kizu.lab.versions import roll_back
from kizu.runs.folder import RunFolder
from kizu.runs.versions import HISTORY, bundle_in_force, read_history


def trained(tmp_path: Path, **sections: dict[str, object]) -> RunFolder:
    category(tmp_path / "data", "plate", 0)
    data = {"root": str(tmp_path / "data"), "category": "plate"}
    values = {**BASE.model_dump(mode="json"), "data": data, **sections}
    return train_run(RunConfig.parse(values, where="test"), tmp_path / "runs").folder


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """Three good images that look as none before: with a mark."""
    folder = tmp_path / "new"
    for number in range(3):
        encode_png(folder / "lot" / f"{number}.png", with_flaw(part_picture(500 + number), 40, 8))
    return folder


def digests(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_an_update_is_a_new_version_that_says_why(run: RunFolder, new: Path) -> None:
    first = digests(run.path)
    before, digest = load(run.bundle), load(run.bundle).bundle_sha256
    marked = decode(new / "lot" / "0.png")
    score = Inspector.open(run.path).inspect(marked).score
    done = update_run(run, new, reason="the mark is allowed since May")
    assert (done.version, done.added, done.skipped) == (2, ("lot/0.png", "lot/1.png", "lot/2.png"), {})
    bundle = load(run.bundle)
    manifest = bundle.manifest
    assert (manifest.version, manifest.parent) == (2, digest)
    assert manifest.reason == "the mark is allowed since May"
    assert manifest.fitted_on.fit_count == before.manifest.fitted_on.fit_count + 3
    assert bundle.graph == before.graph
    assert Inspector.open(run.path).inspect(marked).score < score / 2
    assert first.items() <= digests(run.path).items()  # what was there is as it was
    [step] = read_history(run.path).steps
    assert (step.action, step.before, step.version, step.images_added) == ("update", 1, 2, 3)
    assert step.bundle_sha256 == load(run.bundle).bundle_sha256


def test_thresholds_rest_on_the_same_images_scored_anew(run: RunFolder, new: Path) -> None:
    held = read_sides(run)[1]
    done = update_run(run, new, reason="test")
    scores = [Inspector.open(run.path).inspect(sample.path).score for sample in held]
    assert done.thresholds.image.value == pytest.approx(max(scores) * (1 + MARGIN), rel=1e-5)
    assert done.thresholds.image.count == len(held)
    assert load(run.bundle).manifest.thresholds == done.thresholds
    fit, held_after = read_sides(run)
    assert [sample.id for sample in fit[-3:]] == list(done.added)
    assert held_after == held
    assert {sample.sha256 for sample in fit}.isdisjoint(sample.sha256 for sample in held)


def test_images_that_the_run_knows_are_left_out_and_named(run: RunFolder, new: Path) -> None:
    fit, held = read_sides(run)
    test = next((run.path.parents[3] / "data" / "plate" / "test" / "good").iterdir())
    for name, path in (
        ("fit", fit[0].path),
        ("held", held[0].path),
        ("test", test),
        ("copy", new / "lot" / "0.png"),
    ):
        shutil.copy(path, new / f"{name}.png")
    done = update_run(run, new, reason="test")
    assert set(done.added) == {"copy.png", "lot/1.png", "lot/2.png"}
    assert done.skipped == {
        "fit.png": "it is learned already",
        "held.png": "it is held out to set the thresholds",
        "test.png": "it is in the run's data set, split test",
        "lot/0.png": "it is a copy of copy.png",
    }
    with pytest.raises(DataError, match="is new to this run") as refused:
        update_run(run, new, reason="again")
    assert "learned already" in str(refused.value)
    assert read_history(run.path).in_force == 2


def test_updates_follow_each_other_and_any_version_can_be_put_in_force(
    run: RunFolder, new: Path, tmp_path: Path
) -> None:
    update_run(run, new, reason="one")
    encode_png(tmp_path / "more" / "a.png", part_picture(900))
    update_run(run, tmp_path / "more", reason="two")
    assert load(run.bundle).manifest.version == 3
    assert len(read_sides(run)[0]) == load(run.bundle).manifest.fitted_on.fit_count
    assert (roll_back(run).version, load(run.bundle).manifest.version) == (2, 2)
    assert roll_back(run, reason="too many slipped through").version == 1
    assert load(run.bundle).manifest.reason is None
    with pytest.raises(ConfigError, match="none before it"):
        roll_back(run)
    with pytest.raises(ConfigError, match="is in force already"):
        roll_back(run, 1)
    with pytest.raises(ConfigError, match="no version 7"):
        roll_back(run, 7)
    assert roll_back(run, 3).before == 1
    assert [step.version for step in read_history(run.path).steps] == [2, 3, 2, 1, 3]


def test_after_a_rollback_the_images_may_be_learned_again(run: RunFolder, new: Path) -> None:
    update_run(run, new, reason="one")
    roll_back(run)
    done = update_run(run, new, reason="after all")
    assert (done.version, len(done.added)) == (3, 3)
    assert read_history(run.path).lineage() == (1, 3)
    assert (load(run.bundle).manifest.thresholds) == load(
        run.path / "versions" / "2" / "bundle"
    ).manifest.thresholds


def test_evaluation_and_other_thresholds_are_of_the_version_in_force(run: RunFolder, new: Path) -> None:
    first = load(run.path / "bundle").bundle_sha256
    update_run(run, new, reason="one")
    evaluation = evaluate_run(run)
    assert evaluation.metrics["image_specificity"] is not None
    compute_thresholds(run, BASE.calibration.model_copy(update={"rule": "maximum"}))
    assert load(run.bundle).manifest.thresholds.image.rule.name == "maximum"
    assert load(run.path / "bundle").bundle_sha256 == first
    rows = [json.loads(line) for line in run.train_predictions.read_text().splitlines()]
    assert len(rows) == 12 + 3


KILLED = """
import os, signal, sys
from pathlib import Path
import kizu.lab.update as update
from kizu.runs.folder import open_run

def stop(*_args, **_named):
    os.kill(os.getpid(), signal.SIGKILL)

def save_and_stop(bundle, folder):
    SAVE(bundle, folder)
    stop()

SAVE = update.save
setattr(update, sys.argv[1], {"save": save_and_stop}.get(sys.argv[1], stop))
update.update_run(open_run(Path(sys.argv[2])), Path(sys.argv[3]), reason="killed")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("where", ["set_held_out_thresholds", "save", "put_in_force"])
def test_a_killed_update_leaves_the_version_in_force_that_was(run: RunFolder, new: Path, where: str) -> None:
    digest = load(run.bundle).bundle_sha256
    killed = subprocess.run([sys.executable, "-c", KILLED, where, str(run.path), str(new)], check=False)
    assert killed.returncode == -9
    assert load(bundle_in_force(run.path)).bundle_sha256 == digest
    assert read_history(run.path).steps == ()
    done = update_run(run, new, reason="again")  # goes on as if nothing had been
    assert len(done.added) == 3
    assert load(run.bundle).manifest.version == done.version == 2  # one that was never in force is gone
    left = {str(path.relative_to(run.path)) for path in run.path.rglob("*") if path.name.startswith(".")}
    assert left == set()
    assert read_history(run.path).lineage() == (1, done.version)


def test_a_damaged_version_does_not_come_into_force(run: RunFolder, new: Path) -> None:
    update_run(run, new, reason="one")
    (run.path / "bundle" / "graph.onnx").write_bytes(b"spoilt")
    with pytest.raises(BundleError, match=r"graph\.onnx has changed"):
        roll_back(run)
    assert read_history(run.path).in_force == 2
    (run.path / HISTORY).write_text("{")
    with pytest.raises(BundleError, match=r"versions\.json cannot be read"):
        Inspector.open(run.path)


def test_a_broken_image_stops_the_update_or_is_skipped(run: RunFolder, new: Path) -> None:
    (new / "broken.png").write_bytes(b"not an image")
    with pytest.raises(ImageError, match="broken"):
        update_run(run, new, reason="test")
    assert read_history(run.path).in_force == 1
    done = update_run(run, new, reason="test", skip_broken=True)
    assert "cannot be read" in done.skipped["broken.png"]
    assert len(done.added) == 3


def test_held_out_images_must_be_what_they_were(run: RunFolder, new: Path) -> None:
    path = read_sides(run)[1][0].path
    encode_png(path, np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(DataError, match="has changed since the run was trained"):
        update_run(run, new, reason="test")
    path.unlink()
    with pytest.raises(DataError, match="is gone"):
        update_run(run, new, reason="test")


@pytest.mark.parametrize(
    ("detector", "words"),
    [({"kind": "subspace"}, "cannot learn more images"), ({"kind": "padim"}, "kept no moments")],
)
def test_what_cannot_be_updated_is_refused(
    tmp_path: Path, new: Path, detector: dict[str, object], words: str
) -> None:
    run = trained(tmp_path, detector=detector)
    with pytest.raises(ConfigError, match=words) as refused:
        update_run(run, new, reason="test")
    assert "train anew" in (refused.value.hint or "")
    assert not (run.path / "versions").exists()


@pytest.mark.parametrize(
    "detector",
    [{"kind": "mahalanobis"}, {"kind": "patch_knn"}, {"kind": "padim", "keep_moments": True}],
)
def test_other_methods_learn_later_as_if_they_had_learned_at_once(
    tmp_path: Path, new: Path, detector: dict[str, object]
) -> None:
    run = trained(tmp_path, detector=detector)
    update_run(run, new, reason="test")
    picture = decode(new / "lot" / "0.png")
    found = Inspector.open(run.path).inspect(picture)
    assert found.score < Inspector.open(run.path / "bundle").inspect(picture).score


def test_folds_hold_nothing_out(tmp_path: Path, new: Path) -> None:
    run = trained(tmp_path, calibration={"folds": 3})
    with pytest.raises(CalibrationError, match="every good image was fitted on"):
        update_run(run, new, reason="test")


def test_an_update_without_a_reason_is_refused(run: RunFolder, new: Path) -> None:
    with pytest.raises(ConfigError, match="needs a reason"):
        update_run(run, new, reason="  ")


def test_an_update_keeps_the_rules_that_were_set_later(run: RunFolder, new: Path) -> None:
    zoned = CalibrationConfig(rule="mean_sigma", sigmas=5, pixel_rule="maximum", zones=(2, 2))
    compute_thresholds(run, zoned)
    done = update_run(run, new, reason="test")
    manifest = load(run.bundle).manifest
    assert (manifest.version, manifest.calibration) == (3, zoned)
    assert (done.thresholds.image.rule.name, done.thresholds.image.rule.sigmas) == ("mean_sigma", 5)
    assert done.thresholds.pixel.rule.name == "maximum"
    assert done.thresholds.zones is not None
    assert done.thresholds.zones.grid == (2, 2)
    again = compute_thresholds(run, zoned)  # the same images, scored anew
    assert again == done.thresholds


@pytest.mark.parametrize("metric", ["f1", "iou"])
def test_thresholds_tuned_on_labelled_images_are_tuned_anew_on_them(
    run: RunFolder, new: Path, metric: PixelMetric
) -> None:
    tuned = tune_on_validation(run, pixel_metric=metric)
    done = update_run(run, new, reason="test")
    assert done.thresholds.image.split is done.thresholds.pixel.split is Split.VALIDATION
    assert done.thresholds.pixel.rule == tuned.pixel.rule
    assert done.thresholds.image.count == tuned.image.count
    assert done.thresholds.image.value != tuned.image.value
    evaluation = evaluate_run(run)
    assert evaluation.as_json()["counts"] == {
        "good": 4,
        "defect": 3,
    }  # what they were chosen on stays unmeasured
    assert evaluation.shown is not None
    probability = run.read_probability()
    assert probability is not None
    assert probability.version == 3
    assert tune_on_validation(run, pixel_metric=metric) == done.thresholds
    assert run.read_probability() == probability


def test_without_drawn_flaws_the_pixels_keep_their_rule_and_zones(tmp_path: Path, new: Path) -> None:
    category(tmp_path / "data", "plate", 0)
    shutil.rmtree(tmp_path / "data" / "plate" / "ground_truth")
    run = train_run(run_config(tmp_path / "data", "plate"), tmp_path / "runs").folder
    zoned = CalibrationConfig(rule="maximum", pixel_rule="maximum", zones=(2, 2))
    computed = compute_thresholds(run, zoned)
    tuned = tune_on_validation(run)
    assert (tuned.pixel, tuned.zones) == (computed.pixel, computed.zones)
    done = update_run(run, new, reason="test")
    assert done.thresholds.image.split is Split.VALIDATION
    assert done.thresholds.pixel.split is Split.CALIBRATION
    roll = compute_thresholds(run, zoned)
    assert (done.thresholds.pixel, done.thresholds.zones) == (roll.pixel, roll.zones)


def test_a_probability_is_not_shown_for_another_version_than_it_was_learned_with(
    run: RunFolder, new: Path
) -> None:
    tune_on_validation(run)
    update_run(run, new, reason="test")
    assert evaluate_run(run).shown is not None
    roll_back(run)
    assert evaluate_run(run).shown is None
    tune_on_validation(run)
    compute_thresholds(run, BASE.calibration)
    update_run(run, new, reason="not tuned now")
    assert evaluate_run(run).shown is None


def test_tuned_thresholds_whose_images_cannot_be_told_are_not_replaced_by_others(
    run: RunFolder, new: Path
) -> None:
    tune_on_validation(run)
    digest, kept = load(run.bundle).bundle_sha256, run.study.read_bytes()
    run.study.unlink()
    with pytest.raises(CalibrationError, match=r"study\.json is missing") as refused:
        update_run(run, new, reason="test")
    assert "--compute-thresholds" in (refused.value.hint or "")
    assert not run.study.exists()
    assert load(run.bundle).bundle_sha256 == digest
    versions = sorted((run.path / "versions").iterdir())
    run.study.write_bytes(kept)
    chosen = next(
        s for s in read_study(run.study).apply(read_manifest(run.manifest)).validation() if s.mask_path
    )
    encode_png(chosen.path, part_picture(1))
    with pytest.raises(DataError, match="has changed since the run was trained"):
        update_run(run, new, reason="test")
    assert sorted((run.path / "versions").iterdir()) == versions


def as_of_before(run: RunFolder) -> None:
    """The bundle in force as it was written when bundles did not say by which rules."""
    path = run.bundle / INDEX
    index = json.loads(path.read_text())
    del index["manifest"]["calibration"], index["manifest"]["tuned_for"]
    index["sha256"] = hash_value({key: index[key] for key in ("manifest", "files")})
    path.write_text(json.dumps(index))
    if run.thresholds.exists():
        told = json.loads(run.thresholds.read_text())
        run.thresholds.write_text(json.dumps({**told, "bundle_sha256": index["sha256"]}))


def test_a_bundle_of_before_is_updated_by_the_rules_of_its_training(tmp_path: Path, new: Path) -> None:
    run = trained(tmp_path, calibration={"fraction": 0.4, "rule": "maximum", "zones": [2, 2]})
    as_of_before(run)
    assert load(run.bundle).manifest.calibration is None
    done = update_run(run, new, reason="test")
    assert done.thresholds.image.rule.name == "maximum"
    assert done.thresholds.zones is not None
    assert load(run.bundle).manifest.calibration == CalibrationConfig(
        fraction=0.4, rule="maximum", zones=(2, 2)
    )


def test_a_bundle_of_before_that_was_tuned_tells_so_by_its_thresholds(run: RunFolder, new: Path) -> None:
    tune_on_validation(run, pixel_metric="iou")
    as_of_before(run)
    done = update_run(run, new, reason="test")
    assert done.thresholds.image.split is Split.VALIDATION
    assert load(run.bundle).manifest.tuned_for == "iou"


def test_a_bundle_of_before_with_rules_that_nothing_tells_is_not_updated_by_others(
    run: RunFolder, new: Path
) -> None:
    compute_thresholds(run, CalibrationConfig(rule="mean_sigma", zones=(2, 2)))
    as_of_before(run)
    with pytest.raises(CalibrationError, match="does not say by which rules") as refused:
        update_run(run, new, reason="test")
    assert "--compute-thresholds" in (refused.value.hint or "")
    compute_thresholds(run, CalibrationConfig(rule="mean_sigma", zones=(2, 2)))
    assert update_run(run, new, reason="test").thresholds.zones is not None


def test_two_updates_at_once_do_not_lose_each_other(
    run: RunFolder, new: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode_png(tmp_path / "more" / "a.png", part_picture(900))
    monkeypatch.setattr(locks, "PATIENCE_S", 60.0)
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(update_run, run, images, reason="test") for images in (new, tmp_path / "more")]
        assert {job.result().version for job in jobs} == {2, 3}
    assert read_history(run.path).lineage() == (1, 2, 3)
    assert load(run.bundle).manifest.fitted_on.fit_count == 12 - 5 + 3 + 1
    monkeypatch.setattr(locks, "PATIENCE_S", 0.1)
    with ThreadPoolExecutor(1) as pool, run.locked():
        for change in (lambda: update_run(run, new, reason="test"), lambda: roll_back(run)):
            with pytest.raises(OutputError, match="is in use"):
                pool.submit(change).result()
