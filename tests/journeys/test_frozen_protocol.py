"""Somebody who wants better numbers than the protocol allows, by the command line alone."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.support import category
from typer.testing import CliRunner

from kizu.cli.main import app
from kizu.core.files import write_stored
from kizu.imaging.codec import decode, encode_jpeg, encode_png
from kizu.protocol.design import Design
from kizu.protocol.freeze import read_frozen

PIPELINE = """
detector: {{kind: patchcore, coreset: {coreset}}}
embedding: {{backbone: tiny}}
placement: {{image_size: 64}}
calibration: {{fraction: 0.4}}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`sets/plate` as JPEG, designed on, `sets/disc`, and `assets/fixed.json`."""
    category(tmp_path / "drawn", "plate", 0)
    for path in (tmp_path / "drawn/plate").rglob("*.png"):
        to = tmp_path / "sets" / path.relative_to(tmp_path / "drawn")
        if "ground_truth" in path.parts:
            encode_png(to, decode(path))
        else:
            encode_jpeg(to.with_suffix(".jpg"), decode(path))
    category(tmp_path / "sets", "disc", 500)
    monkeypatch.chdir(tmp_path)
    freeze("assets/fixed.json", 0.2)
    return tmp_path


def freeze(output: str, coreset: float) -> None:
    Path("p.yaml").write_text(PIPELINE.format(coreset=coreset))
    done = CliRunner().invoke(
        app,
        [
            *(
                "freeze",
                "--config",
                "p.yaml",
                "--data-root",
                "sets",
                "--dev",
                "plate",
                "--note",
                "tried by hand",
            ),
            *("--seeds", "0", "--output", output),
        ],
    )
    assert done.exit_code == 0, done.stderr


def evaluate(frozen: str, category: str, *more: str) -> tuple[int, str, str]:
    """Exit code, stderr, and the report where there is one."""
    done = CliRunner().invoke(
        app, ["evaluate", "--frozen", frozen, "--data-root", "sets", "--categories", category, *more]
    )
    told = [line for line in done.stderr.splitlines() if line.endswith("report.html")]
    report = Path(told[0].removeprefix("wrote ").split(" and ")[0]).read_text() if told else ""
    return done.exit_code, done.stderr, report


def test_a_changed_copy_of_what_was_designed_on_is_refused(place: Path) -> None:
    copy = place / "sets/other"
    for change in ("one image less", "renamed", "packed anew"):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(place / "sets/plate", copy)
        if change == "one image less":
            (copy / "train/good/4.jpg").unlink()
        for path in list(copy.rglob("*.jpg")) if change != "one image less" else []:
            if change == "renamed":
                path.rename(path.with_stem(f"new-{path.stem}"))
            elif int(path.stem) % 2:
                encode_png(path.with_suffix(".png"), decode(path))
                path.unlink()
        if change == "renamed":
            shutil.rmtree(copy / "ground_truth")
        code, told, _ = evaluate("assets/fixed.json", "other")
        assert code != 0, change
        assert "of its images from sets/plate, which this pipeline was designed on" in told, change
        assert "--include-dev" in told
    code, _, report = evaluate("assets/fixed.json", "disc,other", "--include-dev")
    assert code == 0
    assert "| other (dev) |" in report
    assert "mean of" not in report  # one category alone is left to average


def test_a_copy_that_was_compressed_anew_is_told_and_not_refused(place: Path) -> None:
    for path in (place / "sets/disc").rglob("*.png"):
        if "ground_truth" not in path.parts:
            path.unlink()
    shutil.rmtree(place / "sets/disc/ground_truth")
    for number in range(3):
        encode_jpeg(place / f"sets/disc/train/good/{number}.jpg", scene(number))
        encode_jpeg(place / f"sets/disc/test/good/{number}.jpg", scene(10 + number))
        encode_jpeg(place / f"sets/disc/test/bad/{number}.jpg", scene(20 + number))
    freeze_on_scenes = CliRunner().invoke(
        app,
        [
            *("freeze", "--config", "p.yaml", "--data-root", "sets", "--dev", "disc", "--note", "x"),
            *("--seeds", "0", "--output", "assets/scenes.json"),
        ],
    )
    assert freeze_on_scenes.exit_code == 0, freeze_on_scenes.stderr
    for path in list((place / "sets/disc").rglob("*.jpg")):
        again = place / "sets/again" / path.relative_to(place / "sets/disc")
        encode_jpeg(again, decode(path), 60)
    code, told, report = evaluate("assets/scenes.json", "again")
    assert code == 0, told
    for text in (told, report):
        assert "9 image(s) of sets/again look the same as images of sets/disc" in text


def scene(seed: int):
    """Soft light from somewhere, another one for each seed."""

    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:64, :64] / 64
    grey = sum(60 * np.exp(-8 * ((y - a) ** 2 + (x - b) ** 2)) for a, b in rng.random((5, 2)))
    return np.repeat(np.clip(grey + 20, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def test_a_second_pipeline_is_counted_wherever_it_writes_and_lies(place: Path) -> None:
    """Another output folder, another folder for the frozen file, another user: one of three ledgers remembers."""
    code, told, first = evaluate("assets/fixed.json", "disc", "--output-dir", "one")
    assert code == 0, told
    assert "have met the test set" not in first
    freeze("assets/second.json", 0.3)
    assert (
        "1 other frozen pipeline(s) have met the test set of disc"
        in evaluate("assets/second.json", "disc", "--output-dir", "two")[2]
    )
    freeze("elsewhere/third.json", 0.4)
    assert (
        "2 other frozen pipeline(s)" in evaluate("elsewhere/third.json", "disc", "--output-dir", "three")[2]
    )
    os.environ["KIZU_STATE"] = str(place / "another user")  # put back by the fixture that set it
    freeze("assets/fourth.json", 0.5)
    assert "2 other frozen pipeline(s)" in evaluate("assets/fourth.json", "disc", "--output-dir", "four")[2]
    freeze("far/fifth.json", 0.6)
    report = evaluate("far/fifth.json", "disc", "--output-dir", "five")[2]
    assert "1 other frozen pipeline(s)" in report  # the other user's own ledger knows the fourth, and no more


def test_a_copied_frozen_file_and_a_test_set_without_one_image_hide_nothing(place: Path) -> None:
    assert evaluate("assets/fixed.json", "disc", "--output-dir", "one")[0] == 0
    (place / "hidden").mkdir()
    shutil.copy(place / "assets/fixed.json", place / "hidden/innocent.json")
    shutil.copytree(place / "sets/disc", place / "sets/fresh")
    (place / "sets/fresh/test/good/12.png").unlink()
    code, told, report = evaluate("hidden/innocent.json", "fresh", "--output-dir", "two")
    assert code == 0, told
    assert "This pipeline has met 1 other version(s) of the test set of fresh before" in report
    freeze("hidden/second.json", 0.3)
    report = evaluate("hidden/second.json", "fresh", "--output-dir", "three")[2]
    assert "1 other frozen pipeline(s) have met the test set of fresh" in report


def test_the_first_ones_report_and_figures_stay(place: Path) -> None:
    _, _, first = evaluate("assets/fixed.json", "disc", "--output-dir", "out")
    before = {
        path: path.read_bytes()
        for folder in ("out", "assets/figs")
        for path in (place / folder).rglob("*")
        if path.is_file() and path.name != "encounters.jsonl"
    }
    freeze("assets/second.json", 0.3)
    _, _, second = evaluate("assets/second.json", "disc", "--output-dir", "out")
    assert first
    assert second
    assert first != second
    assert {path: path.read_bytes() for path in before} == before
    assert len(list((place / "out").glob("*/report.html"))) == 2


def test_two_commands_at_once_both_leave_their_line(place: Path) -> None:
    """Two pipelines on one test set, into two folders, from one folder of frozen files."""
    freeze("assets/second.json", 0.3)
    commands = [
        [
            *(
                sys.executable,
                "-m",
                "kizu",
                "evaluate",
                "--frozen",
                f"assets/{name}.json",
                "--data-root",
                "sets",
            ),
            *("--categories", "disc", "--output-dir", name),
        ]
        for name in ("fixed", "second")
    ]
    started = [
        subprocess.Popen(command, cwd=place, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        for command in commands
    ]
    for process in started:
        _, told = process.communicate(timeout=300)
        assert process.returncode == 0, told
    for ledger in (place / "assets", Path(os.environ["KIZU_STATE"])):
        rows = [json.loads(line) for line in (ledger / "encounters.jsonl").read_text().splitlines()]
        assert len({row["frozen_sha256"] for row in rows}) == 2
        assert len({row["test_sha256"] for row in rows}) == 1


def test_a_folder_that_cannot_be_written_is_told_in_the_report(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "assets" and access(path, mode))
    code, told, report = evaluate("assets/fixed.json", "disc")
    assert code == 0, told
    for text in (told, report):
        assert "could not be noted in assets/encounters.jsonl, which cannot be written" in text
    assert "the figures lie in" in told
    assert [path.name for path in (place / "assets").iterdir()] == ["fixed.json"]


def test_a_design_of_before_says_what_its_frozen_file_cannot_recognise(place: Path) -> None:
    """It was written when pictures were not noted."""
    content = read_frozen(place / "assets/fixed.json")
    (dev,) = content.origin.dev
    origin = content.origin.model_copy(update={"dev": (dev.model_copy(update={"images": None}),)})
    pipelines = {name: method.config(0) for name, method in content.methods.items()}
    write_stored(place / "design.json", Design(pipelines=pipelines, thresholds={}, origin=origin))
    assert "images" not in (place / "design.json").read_text()
    done = CliRunner().invoke(
        app, ["freeze", "--design", "design.json", "--seeds", "0", "--output", "old.json"]
    )
    assert done.exit_code == 0, done.stderr
    told = "sets/plate was noted without its images"
    assert told in done.stderr
    code, stderr, report = evaluate("old.json", "disc")
    assert code == 0
    assert told in stderr
    assert told in report
    assert evaluate("old.json", "plate")[0] != 0
