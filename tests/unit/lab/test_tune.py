"""A finished run can get other thresholds; the bundle carries them, and what they were chosen on is not measured."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support import BASE, category, run_config

from kizu.bundles import store
from kizu.bundles.store import load
from kizu.core import locks
from kizu.core.errors import CalibrationError, DataError, OutputError
from kizu.core.split import Split
from kizu.core.work import Work
from kizu.data.manifest import read_manifest
from kizu.data.study import read_study
from kizu.decision.calibration import CalibrationConfig, Thresholds
from kizu.decision.cuts import MARGIN
from kizu.decision.rules import Rule
from kizu.imaging.placement import map_back
from kizu.inspection.inspector import Inspector
from kizu.lab import tune
from kizu.lab.evaluate import evaluate_run
from kizu.lab.rules import read_rules
from kizu.lab.train import RunConfig, train_run
from kizu.lab.tune import compute_thresholds, tune_on_validation
from kizu.lab.versions import roll_back
from kizu.runs.folder import RunFolder
from kizu.runs.versions import read_history, version_folder


def test_the_same_rule_gives_the_same_thresholds(run: RunFolder) -> None:
    before = load(run.bundle).manifest.thresholds
    again = compute_thresholds(run, CalibrationConfig(fraction=0.4))
    assert again.image.value == pytest.approx(before.image.value, rel=1e-6)
    assert again.pixel.value == pytest.approx(before.pixel.value, rel=1e-6)


def test_another_rule_is_in_force_and_what_was_before_is_kept(run: RunFolder) -> None:
    before, digest = load(run.bundle).manifest.thresholds, load(run.bundle).bundle_sha256
    found = compute_thresholds(run, CalibrationConfig(rule="mean_sigma", sigmas=5))
    assert load(run.bundle).manifest.thresholds == found
    assert found.image.rule == Rule(name="mean_sigma", sigmas=5)
    told = json.loads(run.thresholds.read_text())
    assert told["before"][0]["image"]["value"] == before.image.value
    assert told["bundle_sha256"] == load(run.bundle).bundle_sha256 != digest
    rows = [json.loads(line) for line in run.train_predictions.read_text().splitlines()]
    meta = run.read_meta()
    assert [row["id"] for row in rows] == [*meta.fit, *meta.calibration]


def test_a_rule_that_wants_more_images_changes_nothing(run: RunFolder) -> None:
    digest = load(run.bundle).bundle_sha256
    with pytest.raises(CalibrationError, match="cannot support"):
        compute_thresholds(run, CalibrationConfig(rule="conformal_confident", false_alarm_rate=0.01))
    assert load(run.bundle).bundle_sha256 == digest


@pytest.mark.parametrize("metric", ["f1", "iou"])
def test_what_thresholds_were_chosen_on_is_not_measured(run: RunFolder, metric: str) -> None:
    assert evaluate_run(run).as_json()["counts"] == {"good": 4, "defect": 4}
    found = tune_on_validation(run, pixel_metric=metric)
    assert found.image.split is found.pixel.split is Split.VALIDATION
    assert found.image.count == 5 + 1  # the good images held out, and one of four defects
    assert found.pixel.rule.name == f"pixel_{metric}_max"
    evaluation = evaluate_run(run)
    assert evaluation.as_json()["counts"] == {"good": 4, "defect": 3}
    assert evaluation.metrics["image_f1"] == 1.0
    assert evaluation.metrics["pixel_iou"] is not None
    tune_on_validation(run)
    assert evaluate_run(run).as_json()["counts"] == {"good": 4, "defect": 3}


def test_a_shown_probability_is_learned_on_validation_and_measured_apart(run: RunFolder) -> None:
    assert evaluate_run(run).shown is None
    tune_on_validation(run)
    told = json.loads(run.probability.read_text())
    assert told["slope"] > 0
    assert (told["split"], told["count"]) == ("validation", 6)
    evaluation = evaluate_run(run)
    assert evaluation.shown is not None
    assert sum(evaluation.shown.reliability.count) == 7
    assert 0 <= evaluation.shown.brier < 0.25  # better than saying one half to all
    measured = json.loads(run.metrics.read_text())
    assert measured["probability"]["ece"] == evaluation.shown.ece
    assert measured["image_auroc"] == 1.0


def test_zones_are_in_force_from_files_to_regions(run: RunFolder) -> None:
    plain = evaluate_run(run)
    found = compute_thresholds(run, CalibrationConfig(fraction=0.4, zones=(2, 2)))
    assert found.zones is not None
    assert json.loads(run.thresholds.read_text())["zones"]["grid"] == [2, 2]
    inspector = Inspector.open(run.path)
    assert inspector.manifest.thresholds.zones == found.zones
    sample = next(s for s in read_manifest(run.manifest).test() if s.label == "defect")
    seen = inspector.inspect(sample.path)
    field = map_back(found.zones.field(BASE.placement.image_size), seen.map.shape, BASE.placement)
    np.testing.assert_array_equal(seen.mask, seen.map > field)
    zoned = evaluate_run(run)
    assert zoned.metrics["pixel_auroc"] == plain.metrics["pixel_auroc"]
    assert zoned.metrics["pixel_f1"] != plain.metrics["pixel_f1"]


def test_without_drawn_flaws_the_pixel_threshold_stays_as_it_was(tmp_path: Path) -> None:
    category(tmp_path / "data", "plate", 0)
    shutil.rmtree(tmp_path / "data/plate/ground_truth")
    run = train_run(run_config(tmp_path / "data", "plate"), tmp_path / "runs").folder
    before = load(run.bundle).manifest.thresholds
    found = tune_on_validation(run)
    assert found.image.rule.name == "f1_max"
    assert found.pixel == before.pixel


def test_how_far_it_is_is_told_stage_by_stage(run: RunFolder) -> None:
    for change, stages in (
        (
            lambda work: compute_thresholds(run, BASE.calibration, work=work),
            [("calibration", 5), ("train", 12)],
        ),
        (lambda work: tune_on_validation(run, work=work), [("validation", 6), ("train", 12)]),
    ):
        told: list[tuple[str, int, int]] = []
        change(Work(on_progress=lambda *step, told=told: told.append(step)))
        assert [(stage, total) for stage, done, total in told if done == total] == stages


def test_a_changed_file_is_refused(run: RunFolder, tmp_path: Path) -> None:
    tune_on_validation(run)
    (tmp_path / "data/plate/test/checks/0.png").unlink()
    lines = [line for line in run.manifest.read_text().splitlines() if "test/checks/0.png" not in line]
    run.manifest.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match="is gone"):
        evaluate_run(run)


def test_folds_set_thresholds_on_all_good_images_and_promise_nothing(tmp_path: Path) -> None:
    category(tmp_path / "data", "plate", 0)
    values = BASE.model_dump(mode="json") | {"calibration": {"folds": 4}}
    values["data"] = {"root": str(tmp_path / "data"), "category": "plate"}
    trained = train_run(RunConfig.parse(values, where="test"), tmp_path / "runs")
    manifest = trained.fitted.bundle.manifest
    assert manifest.fitted_on.fit_count == manifest.fitted_on.calibration_count == 12
    image = manifest.thresholds.image
    assert (image.count, image.false_alarm_rate) == (12, None)
    assert image.rule.folds == 4
    highest = trained.fitted.calibration.scores.max()
    assert 0 < highest < image.value <= highest * (1 + MARGIN)
    assert evaluate_run(trained.folder).metrics["image_auroc"] == 1.0
    with pytest.raises(CalibrationError, match="every good image was fitted on") as refused:
        compute_thresholds(trained.folder, CalibrationConfig())
    assert "train anew" in (refused.value.hint or "")


def test_the_bundle_is_opened_and_hashed_once(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[Path] = []
    original = store.hash_file

    def counted(path: Path) -> str:
        hashed.append(path)
        return original(path)

    monkeypatch.setattr(store, "hash_file", counted)
    files = [path for path in run.bundle.rglob("*") if path.is_file() and path.name != store.INDEX]
    for change in (lambda: compute_thresholds(run, BASE.calibration), lambda: tune_on_validation(run)):
        hashed.clear()
        change()
        assert sorted(hashed) == sorted(files)


def test_the_bundle_says_by_which_rules_its_thresholds_were_set(run: RunFolder) -> None:
    assert read_rules(run, load(run.bundle)) == (BASE.calibration, None)
    zoned = CalibrationConfig(rule="mean_sigma", sigmas=5, zones=(2, 2))
    compute_thresholds(run, zoned)
    assert read_rules(run, load(run.bundle)) == (zoned, None)
    tune_on_validation(run, pixel_metric="iou")
    assert read_rules(run, load(run.bundle)) == (zoned, "iou")
    compute_thresholds(run, BASE.calibration)
    assert read_rules(run, load(run.bundle)) == (BASE.calibration, None)


def test_thresholds_are_not_set_while_another_command_changes_the_run(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = load(run.bundle).bundle_sha256
    monkeypatch.setattr(locks, "PATIENCE_S", 0.1)
    evaluate_run(run)
    with ThreadPoolExecutor(1) as pool, run.locked():
        for change in (lambda: compute_thresholds(run, BASE.calibration), lambda: tune_on_validation(run)):
            with pytest.raises(OutputError, match=f"{run.path.name} is in use"):
                pool.submit(change).result()
        assert pool.submit(evaluate_run, run).result().bundle_sha256 == digest  # what only measures goes on
    assert load(run.bundle).bundle_sha256 == digest


def test_a_version_that_came_meanwhile_is_not_lost(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where locks do not hold, as on a share without them."""
    calibrate = tune.set_held_out_thresholds

    def meanwhile(*arguments: Any, **named: Any) -> Thresholds:
        monkeypatch.setattr(tune, "set_held_out_thresholds", calibrate)
        monkeypatch.setattr(RunFolder, "locked", lambda self: locks.locked(self.path / "no such share"))
        compute_thresholds(run, CalibrationConfig(rule="maximum"), reason="meanwhile")
        return calibrate(*arguments, **named)

    monkeypatch.setattr(tune, "set_held_out_thresholds", meanwhile)
    with pytest.raises(OutputError, match="has another version in force"):
        compute_thresholds(run, CalibrationConfig(rule="mean_sigma"), reason="slow")
    [step] = read_history(run.path).steps
    assert (step.action, step.reason) == ("thresholds", "meanwhile")
    assert [path.name for path in (run.path / "versions").iterdir()] == ["2"]


def test_other_thresholds_are_a_version_that_says_why_and_can_be_taken_back(run: RunFolder) -> None:
    before = load(run.bundle)
    first = {path: path.read_bytes() for path in run.bundle.rglob("*") if path.is_file()}
    found = compute_thresholds(run, CalibrationConfig(rule="maximum"), reason="fewer false alarms")
    tuned = tune_on_validation(run)
    assert [(s.action, s.before, s.version) for s in read_history(run.path).steps] == [
        ("thresholds", 1, 2), ("thresholds", 2, 3),
    ]  # fmt: skip
    assert load(version_folder(run.path, 2)).manifest.reason == "fewer false alarms"
    assert load(run.bundle).manifest.parent == load(version_folder(run.path, 2)).bundle_sha256
    assert all(path.read_bytes() == content for path, content in first.items())
    assert load(run.bundle).manifest.thresholds == tuned
    roll_back(run)
    assert load(run.bundle).manifest.thresholds == found
    told = run.read_thresholds()
    assert told is not None
    assert (told.image.value, told.bundle_sha256) == (found.image.value, load(run.bundle).bundle_sha256)
    roll_back(run)
    assert load(run.bundle).bundle_sha256 == before.bundle_sha256


def test_a_tuned_probability_holds_for_the_same_model_whatever_its_thresholds(run: RunFolder) -> None:
    tune_on_validation(run)
    compute_thresholds(run, CalibrationConfig(rule="maximum"))
    assert evaluate_run(run).shown is not None
    roll_back(run, 1)
    assert evaluate_run(run).shown is not None


def test_what_is_left_out_of_a_measurement_is_told_by_name(run: RunFolder) -> None:
    notes: list[str] = []
    evaluate_run(run, work=Work(on_note=notes.append))
    assert notes == []
    tune_on_validation(run)
    (chosen,) = (
        s for s in read_study(run.study).apply(read_manifest(run.manifest)).validation() if s.mask_path
    )
    evaluation = evaluate_run(run, work=Work(on_note=notes.append))
    assert notes == [
        "1 of 8 test images are left out, for thresholds of this run were chosen on them: " + chosen.id
    ]
    assert evaluation.data is not None
    assert (evaluation.data.left_out, evaluation.data.left_out_ids) == (1, (chosen.id,))
    assert chosen.id not in [p.sample.id for p in evaluation.predictions]
