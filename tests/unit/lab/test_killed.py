"""A command that was killed at any moment is made again; and two at once never both say done for one."""

import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.support import category, part_picture, run_config

from kizu.bundles.store import load
from kizu.core import locks
from kizu.core.errors import DataError, KizuError, OutputError
from kizu.core.parts import file_part
from kizu.core.work import Work
from kizu.decision.calibration import CalibrationConfig
from kizu.imaging.codec import encode_png
from kizu.lab import update as lab_update
from kizu.lab.evaluate import evaluate_run
from kizu.lab.train import RunConfig, train_run
from kizu.lab.tune import compute_thresholds
from kizu.lab.update import update_run
from kizu.release import export as release
from kizu.runs.folder import RunFolder
from kizu.runs.versions import NEW, read_history
from kizu.tasks.evaluate import evaluate
from kizu.tasks.line_options import UpdateOptions
from kizu.tasks.options import DataOptions
from kizu.tasks.update import update

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

KILLED = """
import os, signal, sys
from pathlib import Path
import kizu.core.files as files, kizu.lab.train as train
from kizu.report.model_card import write_model_card
where, config, output_dir = sys.argv[1:]
def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)
setattr(files if where == "sync_folder" else train, where, die)
written = die if where == "on_written" else write_model_card
train.train_run(train.RunConfig.read(Path(config)), Path(output_dir), run_id="r", on_written=written)
"""


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    category(tmp_path / "sets", "plate", 0)
    return run_config(tmp_path / "sets", "plate")


@pytest.fixture
def run(config: RunConfig, tmp_path: Path) -> RunFolder:
    return train_run(config, tmp_path / "runs", run_id="r").folder


@pytest.fixture
def new(tmp_path: Path) -> Path:
    for number in range(3):
        encode_png(tmp_path / "new" / f"{number}.png", part_picture(500 + number))
    return tmp_path / "new"


def hidden(folder: Path) -> list[Path]:
    return list(folder.rglob(".*"))


@posix
@pytest.mark.parametrize("where", ["save", "write_stored", "on_written", "sync_folder"])
def test_a_killed_training_is_made_by_the_same_call_and_leaves_nothing(
    config: RunConfig, tmp_path: Path, where: str
) -> None:
    (tmp_path / "config.yaml").write_text(config.to_yaml())
    arguments = [where, str(tmp_path / "config.yaml"), str(tmp_path / "runs")]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert hidden(tmp_path / "runs")
    assert not list((tmp_path / "runs").glob("*/*/r"))
    run = train_run(config, tmp_path / "runs", run_id="r").folder
    assert hidden(tmp_path / "runs") == []
    assert load(run.bundle).bundle_sha256 == run.read_meta().bundle_sha256


def test_a_training_that_is_done_is_found_by_the_same_call_only(config: RunConfig, tmp_path: Path) -> None:
    first = train_run(config, tmp_path / "runs", run_id="r")
    again = train_run(config, tmp_path / "runs", run_id="r")
    assert (again.folder, again.fitted) == (first.folder, None)
    assert again.bundle.manifest == first.bundle.manifest
    assert again.seconds["fit"] > 0
    others = {
        "other settings": lambda: train_run(
            config.changed({}, seed=1, where="test"), tmp_path / "runs", run_id="r"
        ),
        "other images": lambda: train_run(config, tmp_path / "runs", run_id="r"),
        "other thresholds": lambda: train_run(config, tmp_path / "runs", run_id="r"),
        "a broken run": lambda: train_run(config, tmp_path / "runs", run_id="r"),
    }
    picture = tmp_path / "sets/plate/train/good/0.png"
    for name, call in others.items():
        kept = picture.read_bytes()
        if name == "other images":
            encode_png(picture, part_picture(999))
        if name == "other thresholds":
            compute_thresholds(first.folder, CalibrationConfig(rule="maximum", fraction=0.4))
        if name == "a broken run":
            first.folder.meta.write_bytes(b"")
        with pytest.raises(OutputError, match="r exists, and is not what this would make"):
            call()
        picture.write_bytes(kept)


def test_two_trainings_of_one_name_at_once_make_one_run_and_one_says_so(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "PATIENCE_S", 0.05)

    def second(_: object) -> None:
        with (
            ThreadPoolExecutor(1) as pool,
            pytest.raises(OutputError, match="r is in use by another command"),
        ):
            pool.submit(train_run, config, tmp_path / "runs", run_id="r").result()

    train_run(config, tmp_path / "runs", run_id="r", on_written=second)
    assert [path.name for path in (tmp_path / "runs/patchcore/plate").iterdir()] == ["r"]


def test_an_output_folder_that_is_removed_under_a_training_is_never_done(
    config: RunConfig, tmp_path: Path
) -> None:
    with pytest.raises(OutputError, match="runs"):
        train_run(
            config, tmp_path / "runs", run_id="r", on_written=lambda _: shutil.rmtree(tmp_path / "runs")
        )
    assert not list((tmp_path / "runs").rglob("r"))


def test_a_killed_update_that_had_come_into_force_is_found_by_the_same_call(
    run: RunFolder, new: Path
) -> None:
    done = update_run(run, new, reason="why")
    again = update_run(run, new, reason="why")
    assert again.was_there
    assert (again.version, again.added, again.before, again.thresholds) == (
        2, done.added, done.before, done.thresholds,
    )  # fmt: skip
    assert read_history(run.path).lineage() == (1, 2)
    for images, reason in ((new, "another reason"), (new / "0.png", "why")):
        with pytest.raises(DataError, match="is new to this run"):
            update_run(run, images, reason=reason)
    encode_png(new / "3.png", part_picture(600))
    assert update_run(run, new, reason="why").added == ("3.png",)


def test_the_card_of_an_update_that_was_killed_before_it_follows(run: RunFolder, new: Path) -> None:
    update_run(run, new, reason="why")
    assert not (run.path / "model_card.md").exists()
    changed = update(run.path, UpdateOptions(images=new, reason="why"), Work())
    assert changed.done.was_there
    assert str(load(run.bundle).stored_sha256)[:16] in (run.path / "model_card.md").read_text()


def test_an_update_from_a_version_that_is_no_longer_in_force_is_refused(
    run: RunFolder, new: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where locks do not hold, as on a share without them, what came meanwhile is not lost."""
    described = lab_update._described

    def meanwhile(*arguments: object) -> object:
        monkeypatch.setattr(lab_update, "_described", described)
        monkeypatch.setattr(RunFolder, "locked", lambda self: locks.locked(self.path / "no such share"))
        encode_png(new.parent / "more" / "a.png", part_picture(900))
        update_run(run, new.parent / "more", reason="meanwhile")
        return described(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(lab_update, "_described", meanwhile)
    with pytest.raises(OutputError, match="has another version in force"):
        update_run(run, new, reason="slow")
    [step] = read_history(run.path).steps
    assert step.reason == "meanwhile"
    assert [path.name for path in (run.path / "versions").iterdir()] == ["2"]
    assert not list(run.path.rglob(NEW))


def test_a_run_that_is_removed_under_an_update_is_never_done(
    run: RunFolder, new: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = lab_update._described

    def remove(*arguments: object) -> object:
        shutil.rmtree(run.path)
        return described(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(lab_update, "_described", remove)
    with pytest.raises(KizuError):
        update_run(run, new, reason="why")
    assert not run.path.exists()


def test_all_that_an_evaluation_writes_is_written_by_one_at_a_time(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[str] = []

    def in_use(name: str) -> None:
        def enter() -> None:
            with locks.locked(run.path, name=locks.RESULTS_LOCK, patience_s=0):
                pass

        with ThreadPoolExecutor(1) as pool, pytest.raises(OutputError, match="in use"):
            pool.submit(enter).result()
        held.append(name)

    for name in ("write_case_page", "write_model_card", "write_figures"):
        monkeypatch.setattr(f"kizu.tasks.evaluate.{name}", lambda *_, name=name: in_use(name))
    evaluate(run.path, DataOptions(), Work())
    assert held[:2] == ["write_case_page", "write_model_card"]


def test_thresholds_that_were_in_force_are_kept_though_a_kill_comes_between(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = run.open_bundle().manifest.thresholds.image
    first, second = (CalibrationConfig(rule=rule, fraction=0.4) for rule in ("maximum", "mean_sigma"))
    for killed, config in ((True, first), (False, first), (True, second), (False, second)):
        with monkeypatch.context() as patched:
            if killed:
                patched.setattr("kizu.lab.versions.write_thresholds", lambda *_: 1 / 0)
                with pytest.raises(ZeroDivisionError):
                    compute_thresholds(run, config)
            else:
                compute_thresholds(run, config)
    told = run.read_thresholds()
    assert told is not None
    assert told.bundle_sha256 == run.open_bundle().bundle_sha256
    assert [one.image.rule.name for one in told.before] == [trained.rule.name, "maximum"]
    assert told.before[0].image.value == trained.value


def test_a_run_that_is_removed_under_an_export_is_not_made_anew(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = release.build_model

    def remove(*arguments: object, **named: object) -> object:
        shutil.rmtree(run.path)
        return build(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(release, "build_model", remove)
    with pytest.raises(DataError, match="is not a finished run"):
        release.export_run(run)
    assert not run.path.exists()


def test_an_export_folder_that_is_removed_under_an_export_is_never_done(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = release._write_meta

    def lose(place: Path, *more: object) -> None:
        shutil.rmtree(place)
        keep(place, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(release, "_write_meta", lose)
    with pytest.raises(OutputError, match="export was removed or replaced"):
        release.export_run(run)


def test_half_files_of_a_killed_evaluation_are_removed_by_the_next(run: RunFolder) -> None:
    halves = [
        file_part(path) for path in (run.metrics, run.figures / "a", run.path / "evaluations" / "x" / "b")
    ]
    for half in halves:
        half.parent.mkdir(parents=True, exist_ok=True)
        half.write_bytes(b"half")
    evaluate_run(run)
    assert hidden(run.path) == []
