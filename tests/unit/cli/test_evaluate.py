"""`kizu evaluate --data-root`: another set's numbers are told apart from the run's own, and say where they lie."""

import json
import shutil
from pathlib import Path
from typing import Any

from tests.support import category
from typer.testing import CliRunner

from kizu.cli.main import app
from kizu.runs.folder import RunFolder


def evaluate(run: RunFolder, *flags: object) -> Any:
    return CliRunner().invoke(app, ["evaluate", "--run-dir", str(run.path), *map(str, flags)])


def test_another_set_is_written_apart_and_the_run_s_own_page_and_card_stay(
    run: RunFolder, tmp_path: Path
) -> None:
    category(tmp_path / "other", "disc", 700)
    assert evaluate(run).exit_code == 0
    names = ("metrics.json", "preds_test.jsonl", "report.html", "model_card.md", "figs/roc.png")
    before = {name: (run.path / name).read_bytes() for name in names}
    told = evaluate(run, "--data-root", tmp_path / "other", "--category", "disc")
    assert told.exit_code == 0
    (place,) = (run.path / "evaluations").iterdir()
    assert f"wrote {place / 'metrics.json'} and {place / 'report.html'}" in told.stderr
    assert {name: (run.path / name).read_bytes() for name in names} == before
    assert (place / "figs" / "roc.png").is_file()
    assert not (place / "model_card.md").exists()
    assert "4 good and 4 defective of other / disc" in (place / "report.html").read_text()
    assert json.loads((place / "metrics.json").read_text())["data"]["category"] == "disc"
    again = evaluate(run, "--data-root", tmp_path / "data", "--category", "plate")
    assert f"wrote {run.metrics} and {run.page}" in again.stderr  # the very same set is the run's own
    assert list((run.path / "evaluations").iterdir()) == [place]


def test_the_set_that_was_tuned_on_is_not_a_way_around_the_study(run: RunFolder, tmp_path: Path) -> None:
    assert evaluate(run, "--tune-on-validation").exit_code == 0
    counts = json.loads(run.metrics.read_text())["counts"]
    assert counts == {"good": 4, "defect": 3}
    told = evaluate(run, "--data-root", tmp_path / "data", "--category", "plate", "--json")
    assert json.loads(told.stdout)["counts"] == counts


def test_training_pictures_in_a_test_split_are_refused(run: RunFolder, tmp_path: Path) -> None:
    category(tmp_path / "other", "disc", 700)
    shutil.copy(tmp_path / "data/plate/train/good/3.png", tmp_path / "other/disc/test/good/met_before.png")
    told = evaluate(run, "--data-root", tmp_path / "other", "--category", "disc")
    assert told.exit_code == 2
    assert "fitted or calibrated on 1 test image(s) of other/disc: test/good/met_before.png" in " ".join(
        told.stderr.split()
    )
    assert not run.metrics.exists()
