"""A run's threshold by rule, by value, by labelled scores: always a version with a reason, promising no more."""

import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tests.support import category, part_picture, run_config

from kizu.bundles.store import load
from kizu.core import locks
from kizu.core.errors import CalibrationError, ConfigError, DataError, OutputError
from kizu.core.split import Split
from kizu.core.work import Work
from kizu.data.manifest import Sample, read_manifest
from kizu.imaging.codec import encode_png
from kizu.inspection.inspector import Inspector
from kizu.lab import kept_scores
from kizu.lab.evaluate import evaluate_run
from kizu.lab.labelled_file import LabelledScores
from kizu.lab.threshold import look_at_thresholds, set_by_labels, set_by_rule, set_by_value
from kizu.lab.train import RunConfig, train_run
from kizu.lab.tune import compute_thresholds, tune_on_validation
from kizu.lab.update import update_run
from kizu.lab.versions import roll_back
from kizu.release.export import export_run
from kizu.runs.folder import RunFolder
from kizu.runs.scores import CALIBRATION, LabelledScore, list_labelled, read_calibration
from kizu.runs.versions import NEW, read_history
from kizu.runtimes.model import read_model

RULES = [
    {"rule": "maximum"},
    {"rule": "quantile", "quantile": 0.5},
    {"rule": "mean_sigma", "sigmas": 2},
    {"rule": "conformal", "false_alarm_rate": 0.25},
    {"rule": "conformal_confident", "false_alarm_rate": 0.5, "confidence": 0.9},
]


@pytest.fixture
def no_scoring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_scores, "open_pipeline", lambda *_: pytest.fail("something was scored"))


def labelled(scores: list[float], split: int) -> LabelledScores:
    rows = (
        LabelledScore(
            id=f"line/{i}.png", sha256=f"{i:064}", label="defect" if i >= split else "good", score=s
        )
        for i, s in enumerate(scores)
    )
    return LabelledScores(tuple(rows), 0)


@pytest.mark.parametrize("settings", RULES)
def test_by_rule_it_is_what_scoring_again_gives(run: RunFolder, settings: dict[str, object]) -> None:
    base = load(run.bundle).manifest.calibration
    assert base is not None
    done = set_by_rule(run, settings)
    compute_thresholds(run, base.model_validate({**base.model_dump(), **settings}))
    again = load(run.bundle).manifest.thresholds
    assert done.thresholds.image.value == pytest.approx(again.image.value, rel=1e-6)
    assert done.thresholds.pixel.value == pytest.approx(again.pixel.value, rel=1e-6)
    assert done.thresholds.image.rule == again.image.rule
    assert done.thresholds.image.false_alarm_rate == again.image.false_alarm_rate


def test_kept_scores_are_enough_and_nothing_else_is_changed(run: RunFolder, no_scoring: None) -> None:
    before = load(run.bundle)
    done = set_by_rule(run, {"rule": "maximum"}, reason="as tight as it goes")
    manifest = load(run.bundle).manifest
    assert (done.version, manifest.version, manifest.reason) == (2, 2, "as tight as it goes")
    assert manifest.thresholds.pixel == before.manifest.thresholds.pixel
    assert manifest.calibration == before.manifest.calibration.model_copy(update={"rule": "maximum"})
    changed = {k for k in type(manifest).model_fields if getattr(manifest, k) != getattr(before.manifest, k)}
    assert changed <= {"thresholds", "calibration", "version", "reason", "parent", "created_at"}
    [step] = read_history(run.path).steps
    assert (step.action, step.reason) == ("thresholds", "as tight as it goes")
    assert step.bundle_sha256 == load(run.bundle).bundle_sha256
    told = run.read_thresholds()
    assert told is not None
    assert told.before[0].image.value == before.manifest.thresholds.image.value


def test_a_rate_is_kept_or_refused_and_nothing_changes_then(run: RunFolder) -> None:
    with pytest.raises(CalibrationError, match="cannot support a false-alarm rate") as refused:
        set_by_rule(run, {"rule": "conformal", "false_alarm_rate": 0.01})
    assert "at least 99" in (refused.value.hint or "")
    with pytest.raises(ConfigError, match="rule"):
        set_by_rule(run, {"rule": "conformale"})
    assert read_history(run.path).steps == ()
    assert not (run.path / "versions").exists()
    assert not run.thresholds.exists()


def test_what_was_not_kept_is_scored_again_and_kept_then(run: RunFolder) -> None:
    kept = read_calibration(run.path, 1)
    (run.path / CALIBRATION).unlink()
    notes: list[str] = []
    seen = look_at_thresholds(run, work=Work(on_note=notes.append))
    assert "5 held-out images were scored again" in notes[0]
    assert not (run.path / CALIBRATION).exists()  # who only looks writes nothing
    set_by_rule(run, {"rule": "maximum"})
    again = read_calibration(run.path, 2)
    assert kept is not None
    assert again is not None
    assert (again.ids, seen.calibration.ids) == (kept.ids, kept.ids)
    np.testing.assert_allclose(again.scores, kept.scores, rtol=1e-6)
    np.testing.assert_allclose(again.peaks, kept.peaks, rtol=1e-6)


def test_after_an_update_the_scores_are_of_the_new_model(run: RunFolder, tmp_path: Path) -> None:
    for number in range(3):
        encode_png(tmp_path / "new" / f"{number}.png", part_picture(500 + number))
    update_run(run, tmp_path / "new", reason="test")
    assert read_calibration(run.path, 2) is None  # those of the training are another model's
    done = set_by_rule(run, {"rule": "maximum"})
    kept, first = read_calibration(run.path, done.version), read_calibration(run.path, 1)
    assert kept is not None
    assert first is not None
    assert (kept.fit_sha256, kept.peaks) != (first.fit_sha256, first.peaks)
    inspector = Inspector.open(run.path)
    highest = max(inspector.inspect(s.path).score for s in run_samples(run, kept.ids))
    assert max(kept.scores) == pytest.approx(highest, rel=1e-5)
    assert kept.scores[0] < done.thresholds.image.value


def run_samples(run: RunFolder, ids: tuple[str, ...]) -> list[Sample]:
    return [sample for sample in read_manifest(run.manifest).samples if sample.id in ids]


def test_a_value_is_in_force_everywhere_and_promises_nothing(run: RunFolder) -> None:
    pixel = load(run.bundle).manifest.thresholds.pixel
    done = set_by_value(run, image=3.25)
    image = load(run.bundle).manifest.thresholds.image
    assert done.thresholds.image == image
    assert (image.value, image.false_alarm_rate, image.count) == (3.25, None, 0)
    assert "no guarantee" in image.describe()
    assert load(run.bundle).manifest.thresholds.pixel == pixel
    assert load(run.bundle).manifest.by_hand == ("image",)
    assert evaluate_run(run).bundle_sha256 == load(run.bundle).bundle_sha256
    assert Inspector.open(run.path).threshold.value == 3.25
    assert read_model(export_run(run).path).manifest.thresholds.image.value == 3.25
    set_by_value(run, pixel=9.5, reason="flaws are larger")
    manifest = load(run.bundle).manifest
    assert (manifest.thresholds.image.value, manifest.thresholds.pixel.value) == (3.25, 9.5)
    assert manifest.by_hand == ("image", "pixel")
    with pytest.raises(CalibrationError, match="no number"):
        set_by_value(run, image=float("nan"))
    with pytest.raises(ConfigError, match="no value"):
        set_by_value(run)
    with pytest.raises(ConfigError, match="need a reason"):
        set_by_value(run, image=1, reason=" ")
    assert read_history(run.path).in_force == 3


def test_a_rule_for_one_of_both_leaves_the_other_by_hand(run: RunFolder) -> None:
    set_by_value(run, image=3.25, pixel=9.5)
    set_by_rule(run, {"rule": "maximum"})
    manifest = load(run.bundle).manifest
    assert (manifest.thresholds.image.rule.name, manifest.thresholds.pixel.value) == ("maximum", 9.5)
    assert manifest.by_hand == ("pixel",)
    set_by_value(run, image=3.25)
    set_by_rule(run, {"pixel_rule": "maximum"})
    manifest = load(run.bundle).manifest
    assert (manifest.thresholds.image.value, manifest.thresholds.pixel.rule.name) == (3.25, "maximum")
    assert manifest.by_hand == ("image",)


def test_what_no_rule_set_is_not_lost_by_an_update(run: RunFolder, tmp_path: Path) -> None:
    encode_png(tmp_path / "new/a.png", part_picture(500))
    for change in (
        lambda: set_by_value(run, image=3.25),
        lambda: set_by_labels(run, labelled([1, 2, 3, 9], 3), {"rule": "f1_max"}),
    ):
        change()
        with pytest.raises(CalibrationError, match="the image threshold") as refused:
            update_run(run, tmp_path / "new", reason="test")
        assert f"kizu threshold {run.path} --rule conformal" in (refused.value.hint or "")
    set_by_rule(run, {"rule": "conformal"})
    assert update_run(run, tmp_path / "new", reason="test").thresholds.image.rule.name == "conformal"


def test_labelled_scores_set_it_and_are_not_measured(run: RunFolder, tmp_path: Path) -> None:
    pixel = load(run.bundle).manifest.thresholds.pixel
    rows = labelled([1, 2, 3, 8, 9], 3)
    done = set_by_labels(run, rows, {"rule": "cost", "escape_cost": 50})
    image = done.thresholds.image
    assert 3 < image.value < 8
    assert (image.split, image.count, image.rule.escape_cost) == (Split.VALIDATION, 5, 50)
    assert image.false_alarm_rate is None
    assert done.thresholds.pixel == pixel
    assert list_labelled(run.path) == list(rows.rows)
    with pytest.raises(ConfigError, match="not at labelled scores"):
        set_by_labels(run, rows, {"rule": "maximum"})
    with pytest.raises(CalibrationError, match="needs good and defective"):
        set_by_labels(run, labelled([1, 2], 2), {"rule": "f1_max"})
    seen = look_at_thresholds(run)
    assert seen.labelled is not None
    assert seen.labelled.scores.tolist() == [1, 2, 3, 8, 9]
    roll_back(run)
    assert list_labelled(run.path) == list(rows.rows)  # known ever after


def test_a_run_of_several_categories_keeps_its_thresholds(tmp_path: Path) -> None:
    for name, seed in (("plate", 0), ("disc", 700)):
        category(tmp_path / "data", name, seed)
    run = train_run(run_config(tmp_path / "data", "plate,disc"), tmp_path / "runs").folder
    for change in (
        lambda: look_at_thresholds(run),
        lambda: set_by_value(run, image=1),
        lambda: set_by_rule(run, {"rule": "maximum"}),
        lambda: set_by_labels(run, labelled([1, 2], 1), {"rule": "f1_max"}),
    ):
        with pytest.raises(ConfigError, match="is of several categories"):
            change()
    assert read_history(run.path).steps == ()


def test_rules_on_labelled_images_want_a_validation_split_or_a_file(run: RunFolder) -> None:
    with pytest.raises(ConfigError, match="no validation split") as refused:
        set_by_rule(run, {"rule": "f1_max"})
    assert "--from" in (refused.value.hint or "")


def test_the_same_again_changes_nothing(run: RunFolder) -> None:
    """As after a call that was killed when it had come into force."""
    for change in (
        lambda: set_by_value(run, image=3.25),
        lambda: set_by_rule(run, {"rule": "maximum"}),
        lambda: set_by_labels(run, labelled([1, 2, 3, 9], 3), {"rule": "f1_max"}),
    ):
        first, second = change(), change()
        assert (first.was_there, second.was_there) == (False, True)
        assert (first.version, first.thresholds) == (second.version, second.thresholds)
    assert len(read_history(run.path).steps) == 3
    other = set_by_labels(run, labelled([1, 2, 3.0001, 9], 3), {"rule": "f1_max"})
    assert not other.was_there  # other images: they are noted, whatever the threshold


def test_out_of_folds_kept_scores_set_it_and_pixels_of_maps_cannot(tmp_path: Path) -> None:
    category(tmp_path / "data", "plate", 0)
    values = run_config(tmp_path / "data", "plate").model_dump(mode="json")
    config = RunConfig.parse({**values, "calibration": {"folds": 3}}, where="test")
    run = train_run(config, tmp_path / "runs").folder
    done = set_by_rule(run, {"rule": "conformal", "false_alarm_rate": 0.2})
    assert (done.thresholds.image.rule.folds, done.thresholds.image.count) == (3, 12)
    assert done.thresholds.image.false_alarm_rate is None
    with pytest.raises(CalibrationError, match="every good image was fitted on"):
        set_by_rule(run, {"pixel_rule": "quantile"})
    (run.path / CALIBRATION).unlink()
    with pytest.raises(CalibrationError, match="every good image was fitted on"):
        look_at_thresholds(run)


def test_test_scores_are_shown_for_this_model_only(run: RunFolder, tmp_path: Path) -> None:
    assert look_at_thresholds(run).test is None
    evaluate_run(run)
    rows = [json.loads(line) for line in run.predictions.read_text().splitlines()]
    set_by_value(run, image=3.25)  # the same scores
    test = look_at_thresholds(run).test
    assert test is not None
    np.testing.assert_allclose(test.scores, [row["pred_score"] for row in rows])
    assert test.defective.tolist() == [row["gt_label"] == "defect" for row in rows]
    set_by_rule(run, {"rule": "conformal"})
    encode_png(tmp_path / "new/a.png", part_picture(500))
    update_run(run, tmp_path / "new", reason="test")
    assert look_at_thresholds(run).test is None


def test_tuned_thresholds_and_rules_follow_each_other(run: RunFolder) -> None:
    tune_on_validation(run)
    assert load(run.bundle).manifest.tuned_for == "f1"
    done = set_by_rule(run, {"rule": "maximum"})
    assert (done.thresholds.image.split, done.thresholds.pixel.split) == (Split.CALIBRATION,) * 2
    assert load(run.bundle).manifest.tuned_for is None
    set_by_value(run, pixel=4)
    tune_on_validation(run)
    assert load(run.bundle).manifest.by_hand == ()


KILLED = """
import os, signal, sys
from pathlib import Path
import kizu.lab.threshold as threshold, kizu.lab.versions as versions
from kizu.runs.folder import open_run

def stop(*_args, **_named):
    os.kill(os.getpid(), signal.SIGKILL)

def save_and_stop(*arguments):
    SAVE(*arguments)
    stop()

SAVE = versions.save_beside
setattr(versions, sys.argv[1], {"save_beside": save_and_stop}.get(sys.argv[1], stop))
threshold.set_by_value(open_run(Path(sys.argv[2])), image=3.25, reason="killed")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("where", ["mark_new", "save_beside", "put_in_force", "write_thresholds"])
def test_a_change_that_is_killed_is_made_by_the_same_call(run: RunFolder, where: str) -> None:
    digest = load(run.bundle).bundle_sha256
    killed = subprocess.run([sys.executable, "-c", KILLED, where, str(run.path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    came_into_force = where == "write_thresholds"
    assert (load(run.bundle).bundle_sha256 != digest) == came_into_force
    assert len(read_history(run.path).steps) == came_into_force
    done = set_by_value(run, image=3.25, reason="killed")
    assert (done.was_there, done.version) == (came_into_force, 2)
    assert load(run.bundle).manifest.thresholds.image.value == 3.25
    assert [path.name for path in (run.path / "versions").iterdir()] == ["2"]
    assert not [path for path in run.path.rglob(".*") if path.name == NEW or path.name.startswith(".kizu")]
    told = run.read_thresholds()
    assert told is not None
    assert (told.image.value, len(told.before)) == (3.25, 1)
    assert roll_back(run).version == 1
    assert load(run.bundle).bundle_sha256 == digest


def test_a_broken_file_beside_them_is_told_before_anything_changes(run: RunFolder) -> None:
    set_by_value(run, image=3.25)
    run.thresholds.write_text("{")
    for change in (lambda: set_by_value(run, image=4), lambda: roll_back(run)):
        with pytest.raises(DataError, match=r"thresholds\.json"):
            change()
    assert read_history(run.path).in_force == 2
    assert [path.name for path in (run.path / "versions").iterdir()] == ["2"]


def test_two_at_once_do_not_lose_each_other(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "PATIENCE_S", 60.0)
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(set_by_value, run, image=value, reason="test") for value in (3.25, 4.5)]
        assert {job.result().version for job in jobs} == {2, 3}
    assert read_history(run.path).lineage() == (1, 2, 3)
    monkeypatch.setattr(locks, "PATIENCE_S", 0.1)
    with ThreadPoolExecutor(1) as pool, run.locked(), pytest.raises(OutputError, match="is in use"):
        pool.submit(set_by_value, run, image=1.0).result()
