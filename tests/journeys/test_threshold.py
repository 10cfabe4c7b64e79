"""A threshold from the user's hand to the line and back: shown, set, decided by again, exported, taken back."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import ask as kizu
from tests.support import category, part_picture, read_lines, with_flaw
from typer.testing import CliRunner

from kizu.cli.main import app
from kizu.imaging.codec import encode_png

FAST = ("--backbone", "tiny", "--image-size", "64", "--coreset", "0.2")
GOOD, FLAWED = 8, 4


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trained")
    category(root / "sets", "plate", 0)
    kizu(
        "train", "--data-root", root / "sets", "--category", "plate", "--output-dir", root / "runs",
        "--run-id", "r", *FAST,
    )  # fmt: skip
    for number in range(GOOD + FLAWED):
        picture = part_picture(400 + number)
        encode_png(root / f"line/{number:02}.png", picture if number < GOOD else with_flaw(picture, 20, 24))
    return root


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained / "runs", tmp_path / "runs")
    return tmp_path / "runs/patchcore/plate/r"


def inspect(run: Path, trained: Path) -> Path:
    kizu("inspect", "--run-dir", run, trained / "line", "--output-dir", run.parent / "out")
    return run.parent / "out"


def test_it_is_shown_and_nothing_is_changed(run: Path) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    shown = kizu("threshold", run).stdout
    assert "calibration (12)" in shown
    assert "needs held-out images" in shown
    kizu("threshold", run, "--false-alarm-rate", 0.4, "--look")
    told = json.loads(kizu("threshold", run, "--json").stdout)
    assert told["version"] == 1
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_terminal_without_unicode_shows_it_as_well(run: Path) -> None:
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "COLUMNS": "80"}
    command = [sys.executable, "-m", "kizu", "threshold", str(run)]
    done = subprocess.run(command, capture_output=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.decode("ascii").splitlines())) <= 80


def test_a_picture_is_drawn_where_it_is_asked_for(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    kizu("threshold", run, "--picture", tmp_path / "scores.png")
    assert (tmp_path / "scores.png").read_bytes().startswith(b"\x89PNG")


def test_by_value_to_the_line_and_back(run: Path, trained: Path) -> None:
    out = inspect(run, trained)
    first = {line["image_path"]: line["label"] for line in read_lines(out / "preds.jsonl")}
    scores = sorted(line["pred_score"] for line in read_lines(out / "preds.jsonl"))
    value = (scores[2] + scores[3]) / 2
    done = kizu("threshold", run, "--value", value, "--reason", "a missed scratch in March")
    assert done.stdout.strip() == "2"
    assert "set by hand; no guarantee" in done.stderr
    assert "of the 12 calibration images are above it" in done.stderr
    assert "a missed scratch in March" in kizu("versions", "--run-dir", run).stdout
    assert "a missed scratch in March" in (run / "model_card.md").read_text()

    again = kizu("redecide", out, "--run-dir", run)
    lines = [line for line in read_lines(out / "preds.jsonl") if not line["superseded"]]
    assert [line["label"] == "NG" for line in lines] == [line["pred_score"] > value for line in lines]
    changed = sum(line["label"] != first[line["image_path"]] for line in lines)
    assert changed > 0
    assert f"OK -> NG: {changed}, NG -> OK: 0" in again.stdout
    assert f"{changed} NG pictures list no flaws" in again.stderr
    command = next(line for line in again.stderr.splitlines() if "looks at these again" in line)
    assert f"kizu inspect --model {run}" in command
    told = kizu("inspect", "--run-dir", run, trained / "line", "--output-dir", out)
    assert f"{GOOD + FLAWED - changed} images were done before" in told.stderr

    exported = Path(kizu("export", "--run-dir", run).stdout.strip())
    kizu("inspect", "--model", exported, trained / "line", "--output-dir", run.parent / "by file")
    by_file = {line["image_path"]: line["label"] for line in read_lines(run.parent / "by file/preds.jsonl")}
    assert by_file == {line["image_path"]: line["label"] for line in lines}

    assert kizu("rollback", "--run-dir", run, "--reason", "too strict").stdout.strip() == "1"
    kizu("redecide", out, "--run-dir", run)
    lines = [line for line in read_lines(out / "preds.jsonl") if not line["superseded"]]
    assert {line["image_path"]: line["label"] for line in lines} == first
    assert kizu("threshold", run, "--value", value).stdout.strip() == "3"


def test_reviewed_lines_set_it(run: Path, trained: Path) -> None:
    out = inspect(run, trained)
    rows = read_lines(out / "preds.jsonl")
    for row in rows:
        row["gt_label"] = "defect" if int(Path(row["image_path"]).stem) >= GOOD else "good"
    reviewed = run.parent / "reviewed.jsonl"
    reviewed.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    shown = kizu("threshold", run, "--from", reviewed).stdout
    assert f"labelled good ({GOOD})" in shown
    assert json.loads(kizu("threshold", run, "--json").stdout)["version"] == 1
    told = json.loads(kizu("threshold", run, "--from", reviewed, "--rule", "f1_max", "--json").stdout)
    assert told["thresholds"]["image"]["rule"] == {"name": "f1_max"}
    assert told["thresholds"]["image"]["count"] == GOOD + FLAWED
    assert "needs good images" not in kizu("threshold", run).stdout
    kizu("evaluate", "--run-dir", run)
    leaked = kizu("threshold", run, "--from", run / "preds_test.jsonl", "--rule", "f1_max", ok=2).stderr
    assert "measure the run" in leaked
    assert "test split" not in kizu("threshold", run).stdout


def test_an_evaluation_says_what_it_leaves_out_and_its_thresholds_can_be_taken_back(run: Path) -> None:
    done = kizu("evaluate", "--run-dir", run, "--tune-on-validation", "--reason", "first labels")
    assert "note: 1 of 8 test images are left out" in done.stderr
    assert "test/checks/" in done.stderr
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["data"]["left_out"] == len(metrics["data"]["left_out_ids"]) == 1
    assert "1 more were left out" in (run / "model_card.md").read_text()
    assert "first labels" in kizu("versions", "--run-dir", run).stdout
    assert "note: 1 of 8 test images are left out" in kizu("predict", "--run-dir", run).stderr
    assert kizu("rollback", "--run-dir", run).stdout.strip() == "1"
    assert json.loads((run / "thresholds.json").read_text())["image"]["rule"]["name"] == "conformal"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--value", 1, "--rule", "maximum"), "a value is given as it is: --rule"),
        (("--value", "nan"), "is no number"),
        (("--rule", "best"), "rule"),
        (("--rule", "maximum", "--quantile", 0.9), "--quantile goes with --rule quantile"),
        (("--rule", "f1_max"), "no validation split"),
        (("--false-alarm-rate", 0.001), "cannot support a false-alarm rate of 0.001"),
        (("--false-alarm-rate", 2), "false_alarm_rate"),
        (("--zones", "2"), "--zones '2' is not a size"),
        (("--value", 1, "--reason", " "), "need a reason"),
        (("--from", "{run}/none.csv"), "cannot read"),
    ],
)
def test_what_contradicts_itself_is_refused_and_nothing_changes(
    run: Path, arguments: tuple[object, ...], told: str
) -> None:
    filled = [str(one).format(run=run) for one in arguments]
    done = CliRunner().invoke(app, ["threshold", str(run), *filled])
    assert done.exit_code == 2
    assert told in " ".join(done.stderr.split())
    assert not (run / "versions.json").exists()


def test_results_are_decided_again_by_one_thing(run: Path, trained: Path) -> None:
    out = inspect(run, trained)
    assert "say by what" in kizu("redecide", out, ok=2).stderr
    assert "say by what" in kizu("redecide", out, "--run-dir", run, "--threshold", 1, ok=2).stderr
    told = json.loads(kizu("redecide", out, "--threshold", 1e9, "--json").stdout)
    assert told["ng_to_ok"] >= FLAWED
    assert "already" in kizu("redecide", out, "--threshold", 1e9).stderr
    assert "no results" in kizu("redecide", run, "--threshold", 1, ok=2).stderr
