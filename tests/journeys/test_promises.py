"""Promise and measurement through the command line: kept, not refuted and broken, of a test split and of a folder."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from tests.support import category, part_picture, with_flaw
from typer.testing import CliRunner, Result

from kizu.cli.main import app
from kizu.core.types import U8
from kizu.imaging.codec import encode_png
from kizu.inspection import folder
from kizu.inspection.records import schema
from kizu.runs.folder import RunFolder

FAST = ("--backbone", "tiny", "--image-size", "64", "--coreset", "0.2")
MEAN = np.mean([part_picture(seed) for seed in range(30)], axis=0)


def calm(seed: int) -> U8:
    """A good part with a third of the noise of those that were fitted on."""
    return np.round(MEAN + (part_picture(seed) - MEAN) / 3).astype(np.uint8)


def bright(seed: int) -> U8:
    """A good part at another exposure."""
    return np.clip(part_picture(seed).astype(int) + 40, 0, 255).astype(np.uint8)


def kizu(*arguments: object) -> Result:
    done = CliRunner().invoke(app, list(map(str, arguments)))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def draw(to: Path, picture: Callable[[int], U8], count: int) -> Path:
    for number in range(count):
        encode_png(to / f"{number}.png", picture(900 + number))
    return to


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "PAUSES_S", (0.01,))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set with 40 good pictures to learn from: 10 of them are held out, and promise 9.1 %."""
    root = tmp_path_factory.mktemp("promises")
    for name in ("plate", "kept", "broken"):
        category(root / "sets", name, 0)
        for number in range(12, 40):
            encode_png(root / f"sets/{name}/train/good/{number}.png", part_picture(100 + number))
    draw(root / "sets/kept/test/good", calm, 60)
    draw(root / "sets/broken/test/good", bright, 20)
    (root / "held.yaml").write_text("calibration: {fraction: 0.25}\n")
    for name in ("plate", "kept", "broken"):
        trained = kizu(
            "train", "--data-root", root / "sets", "--category", name, "--output-dir", root / "runs",
            "--run-id", "r", "--config", root / "held.yaml", *FAST,
        )  # fmt: skip
        assert trained.exit_code == 0, trained.stderr
    return root


def run_of(root: Path, name: str) -> Path:
    return root / "runs/patchcore" / name / "r"


@pytest.mark.parametrize(
    ("name", "answer", "said"),
    [
        ("plate", "not refuted", "more than promised, but chance gives as much"),
        ("kept", "kept", "the whole interval lies within the promise"),
        ("broken", "broken", "were it kept, so many or more would come with probability"),
    ],
)
def test_evaluate_says_what_was_promised_and_what_came(root: Path, name: str, answer: str, said: str) -> None:
    run = run_of(root, name)
    done = kizu("evaluate", "--run-dir", run)
    assert done.exit_code == 0, done.stderr
    verdict = next(line for line in done.stdout.splitlines() if line.startswith("verdict"))
    assert verdict.startswith(f"verdict   {answer}: {said}")
    assert (
        "promised  false alarms at most 9.09 % of good parts, on average over calibration sets" in done.stdout
    )
    assert ("likely    a shift" in done.stdout) == (answer == "broken")
    told = json.loads((run / "metrics.json").read_text())
    image = told["promises"]["image"]
    assert image["answer"] == answer
    assert image["rate"] == told["image_overkill_rate"]
    assert image["measured"]["rejected"] == told["confusion"]["fp"]
    assert image["measured"]["pictures"] == told["counts"]["good"]
    shown = json.loads(kizu("evaluate", "--run-dir", run, "--json").stdout)
    assert shown["promises"] == told["promises"]
    card, page = (run / "model_card.md").read_text(), (run / "report.html").read_text()
    assert f"- OK or NG, verdict: {answer}" in card
    assert f"<dd>{answer}: {said}" in page.replace("&#39;", "'")


def test_metrics_of_before_are_read_and_the_card_goes_without(root: Path) -> None:
    run = RunFolder(run_of(root, "plate"))
    kizu("evaluate", "--run-dir", run.path)
    told = json.loads(run.metrics.read_text())
    del told["promises"]
    run.metrics.write_text(json.dumps(told))
    found = run.read_metrics()
    assert found is not None
    assert found.promises == {}
    assert found.values["image_auroc"] == told["image_auroc"]


def inspect(root: Path, images: Path, out: Path, *flags: object, ends: int = 0) -> dict[str, Any]:
    """The report of `plate`'s run."""
    done = kizu("inspect", "--run-dir", run_of(root, "plate"), images, "--output-dir", out, *flags)
    assert done.exit_code == ends, done.stderr
    report: dict[str, Any] = json.loads((out / "report.json").read_text())
    Draft202012Validator(schema("report")).validate(report)
    return report


@pytest.mark.parametrize(
    ("picture", "count", "answer"), [(calm, 60, "kept"), (calm, 6, "not refuted"), (bright, 20, "broken")]
)
def test_a_folder_that_is_declared_good_measures_the_promise(
    root: Path, tmp_path: Path, picture: Callable[[int], U8], count: int, answer: str
) -> None:
    images = draw(tmp_path / "new", picture, count)
    plain = inspect(root, images, tmp_path / "plain")
    assert "assumed_good" not in plain
    report = inspect(root, images, tmp_path / "out", "--assume-good")
    found = report.pop("assumed_good")
    assert found["verdict"] == answer
    assert (found["pictures"], found["rejected"]) == (count, report["num_ng"])
    assert found["rate"] == report["ng_rate"]
    assert found["knows_seen"]
    assert bool(found["causes"]) == (answer == "broken")
    assert {**report, "created_at": ""} == {**plain, "created_at": ""}, "no verdict is another"
    rows = [
        [json.loads(line)["label"] for line in (tmp_path / name / "preds.jsonl").read_text().splitlines()]
        for name in ("plain", "out")
    ]
    assert rows[0] == rows[1]


def test_only_pictures_of_the_call_that_have_a_verdict_and_are_new_are_counted(
    root: Path, tmp_path: Path
) -> None:
    images, out = draw(tmp_path / "new", bright, 5), tmp_path / "out"
    encode_png(tmp_path / "other/ng.png", with_flaw(part_picture(3), 20, 30))
    inspect(root, tmp_path / "other", out)  # its line is not of the declared folder
    (images / "broken.png").write_bytes(b"no picture")
    os.utime(images / "broken.png", (0, 0))
    (images / "copy.png").write_bytes((images / "0.png").read_bytes())
    (images / "fitted.png").write_bytes((root / "sets/plate/train/good/3.png").read_bytes())
    report = inspect(root, images, out, "--assume-good", ends=3)
    assert (report["num_images"], report["num_errors"]) == (8, 1)
    found = report["assumed_good"]
    assert (found["pictures"], found["contents"], found["left_out"]) == (6, 5, 1)
    assert found["rejected"] == 6
    assert inspect(root, images, out, "--assume-good", ends=3)["assumed_good"] == found, (
        "resumed, it is the same"
    )
    assert "assumed_good" not in inspect(root, images, out, ends=3), "nothing is declared any more"


def test_it_is_said_on_the_terminal_and_in_json(root: Path, tmp_path: Path) -> None:
    images = draw(tmp_path / "new", calm, 6)
    call = (
        "inspect",
        "--run-dir",
        run_of(root, "plate"),
        images,
        "--output-dir",
        tmp_path / "out",
        "--assume-good",
    )
    lines = kizu(*call).stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["promised", "measured", "verdict"]
    assert "0 of 6 good pictures rejected" in lines[2]
    assert json.loads(kizu(*call, "--json").stdout)["assumed_good"]["verdict"] == "not refuted"


def test_an_exported_file_does_not_know_what_it_has_seen_and_says_so(root: Path, tmp_path: Path) -> None:
    assert kizu("export", "--run-dir", run_of(root, "plate"), "--output-dir", tmp_path / "e").exit_code == 0
    images = draw(tmp_path / "new", calm, 6)
    done = kizu(
        "inspect",
        "--model",
        tmp_path / "e/model.onnx",
        images,
        "--assume-good",
        "--output-dir",
        tmp_path / "o",
    )
    assert done.exit_code == 0, done.stderr
    assert "unknown   whether the model has seen any of them" in done.stdout


def test_a_watched_folder_is_refused(root: Path, tmp_path: Path) -> None:
    images = draw(tmp_path / "new", calm, 1)
    done = kizu("inspect", "--run-dir", run_of(root, "plate"), images, "--watch", "--assume-good")
    assert done.exit_code == 2
    assert "--assume-good does not go with --watch" in done.stderr


def test_in_a_region_of_interest_the_promise_of_regions_is_measured(root: Path, tmp_path: Path) -> None:
    images = draw(tmp_path / "new", bright, 20)
    roi = tmp_path / "roi.json"
    roi.write_text(json.dumps({"polygons": [[[0, 0], [1, 0], [1, 1], [0, 1]]], "unit": "fraction"}))
    report = inspect(root, images, tmp_path / "out", "--assume-good", "--roi", roi)
    assert report["assumed_good"]["kind"] == "pixel"
    assert report["assumed_good"]["rejected"] == report["num_ng"] == 20
    assert report["assumed_good"]["verdict"] == "broken"
    lowered = inspect(
        root, images, tmp_path / "l", "--assume-good", "--roi", roi, "--pixel-threshold-mult", 0.5
    )
    assert lowered["assumed_good"]["promised_rate"] is None, "who lowers a threshold takes its promise away"
    assert lowered["assumed_good"]["verdict"] is None


def test_several_categories_have_a_promise_each(root: Path, tmp_path: Path) -> None:
    trained = kizu(
        "train", "--data-root", root / "sets", "--category", "plate,broken", "--output-dir", tmp_path / "runs",
        "--run-id", "r", "--config", root / "held.yaml", *FAST,
    )  # fmt: skip
    assert trained.exit_code == 0, trained.stderr
    run = next((tmp_path / "runs").rglob("r"))
    done = kizu("evaluate", "--run-dir", run)
    assert done.exit_code == 0, done.stderr
    assert "broken, OK or NG: likely a shift" in done.stdout
    told = json.loads((run / "metrics.json").read_text())["promises_by_category"]
    assert told["broken"]["image"]["answer"] == "broken"
    assert told["plate"]["image"]["measured"]["pictures"] == 4
    assert "- broken, OK or NG, verdict: broken" in (run / "model_card.md").read_text()
