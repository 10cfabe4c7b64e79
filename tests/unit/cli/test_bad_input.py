"""What a user mistypes is answered with the value that is wrong and with what to do; nothing is written on the way."""

# ruff: noqa: E501 - a case is a line

import json
from pathlib import Path

import pytest
from tests.support import category
from typer.testing import CliRunner, Result

from kizu.cli.main import app

FAST = ("--backbone", "tiny", "--image-size", "64", "--coreset", "0.2")


def kizu(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of one category, a run of it, and files that are not what they should be."""
    root = tmp_path_factory.mktemp("bad")
    category(root / "sets", "plate", 0)
    trained = kizu(
        "train", "--data-root", str(root / "sets"), "--category", "plate", "--output-dir", str(root / "runs"),
        "--run-id", "r1", *FAST,
    )  # fmt: skip
    assert trained.exit_code == 0, trained.stderr
    (root / "empty").mkdir()
    for name, text in {
        "notes.txt": "no picture",
        "broken.yaml": "detector: [1",
        "list.yaml": "- 1\n",
        "mistyped.yaml": "detector: {kind: patchcore, corset: 0.1}\n",
        "misplaced.yaml": "coreset: 0.1\n",
        "two points.json": json.dumps({"polygons": [[[0, 0], [1, 1]]]}),
        "no polygons.json": json.dumps({"polygon": 1}),
        "blank.txt": "\n \n",
    }.items():
        (root / name).write_text(text)
    (root / "binary").write_bytes(b"\x80\x00\xff\xfe")
    return root


def files(root: Path) -> list[Path]:
    """All that is written; an empty folder is nothing."""
    return sorted(path for path in root.rglob("*") if path.is_file())


def refused(root: Path, command: str, *said: str) -> None:
    """`command` with {root} and {run} filled in ends with 2, one error, no traceback, and writes nothing."""
    before = files(root)
    words = [word.format(root=root, run=root / "runs/patchcore/plate/r1") for word in command.split()]
    found = kizu(*words)
    assert found.exit_code == 2, (found.stdout, found.stderr)
    assert found.exception is None or isinstance(found.exception, SystemExit)
    assert "Traceback" not in found.stderr
    assert found.stdout == ""
    for text in said:
        assert text.format(root=root) in found.stderr
    assert files(root) == before


DATA = "--data-root {root}/sets --category plate --output-dir {root}/out"
TINY = "--backbone tiny --image-size 64"

TRAIN: dict[str, tuple[str, tuple[str, ...]]] = {
    "no data set": ("train", ("no data set was named", "MVTEC_ROOT")),
    "a folder that is not there": ("train --data-root {root}/sts --category plate", ("{root}/sts does not exist", "sets")),
    "a category that is not there": ("train --data-root {root}/sets --category plat", ("no plat/train", "plate")),
    "a method": (f"train {DATA} --model patchcor", ("'patchcor'", "did you mean 'patchcore'?")),
    "a backbone": (f"train {DATA} --backbone tinny", ("'tinny'", "did you mean 'tiny'?")),
    "a layer": (f"train {DATA} {TINY} --layers blocks.9", ("tiny has no layer 'blocks.9'", "blocks.0, blocks.1")),
    "a layout": (f"train {DATA} {TINY} --layout mvtec", ("'mvtec'", "did you mean 'mvtec_ad'?")),
    "a size in words": (f"train {DATA} --image-size big", ("--image-size 'big' is not a size", "256x384")),
    "a size of three": (f"train {DATA} --image-size 1x2x3", ("'1x2x3' is not a size",)),
    "a size of nothing": (f"train {DATA} --backbone tiny --image-size 0", ("image_size", "got 0")),
    "a part above one": (f"train {DATA} {TINY} --coreset 2", ("coreset", "got 2.0")),
    "a part of another method": (f"train {DATA} {TINY} --model padim --coreset 0.1", ("padim", "unknown key 'coreset'")),
    "zones that are no grid": (f"train {DATA} {TINY} --zones 2", ("--zones '2'", "2x3")),
    "no zones": (f"train {DATA} {TINY} --zones 0x2", ("zones", "got 0")),
    "a pattern that is none": (f"train {DATA} {TINY} --group (", ("'(' is not a regular expression",)),
    "a pattern of nothing": (f"train {DATA} {TINY} --group xyz", ("'xyz' matches no image", "train/good/0.png")),
    "a rate above one": (f"train {DATA} {TINY} --false-alarm-rate 7", ("false_alarm_rate", "got 7.0")),
    "tiles without a size": (f"train {DATA} {TINY} --tile-overlap 0.9", ("tile_overlap", "got 0.9")),
    "tiles of nothing": (f"train {DATA} {TINY} --tile-overlap 0.25", ("tile_overlap 0.25 has nothing to cut", "--resize 256x256")),
    "a crop unsaid": (f"train {DATA} {TINY} --resize 96x128", ("only the centre is looked at, 64 x 64 of 96 x 128", "67% passes", "--tile-overlap 0.25")),
    "a crop of less": (f"train {DATA} {TINY} --resize 32", ("resize (32, 32) is smaller than image_size (64, 64)",)),
    "a run id with a slash": (f"train {DATA} {TINY} --run-id a/b", ("'a/b' cannot be a run id",)),
    "a seed below zero": (f"train {DATA} {TINY} --seed -1", ("--seed",)),
    "no threads": (f"train {DATA} {TINY} --threads 0", ("--threads",)),
    "a runtime": (f"train {DATA} {TINY} --runtime torch", ("torch", "openvino")),
    "results into a file": (
        "train --data-root {root}/sets --category plate --output-dir {root}/notes.txt --backbone tiny",
        ("cannot make the run folder {root}/notes.txt", "writable --output-dir"),
    ),
    "a config that is not there": ("train --config {root}/none.yaml", ("cannot read {root}/none.yaml",)),
    "a config that is broken": ("train --config {root}/broken.yaml", ("{root}/broken.yaml is not YAML",)),
    "a config that is no text": ("train --config {root}/binary", ("{root}/binary is not YAML",)),
    "a config that is a list": ("train --config {root}/list.yaml", ("{root}/list.yaml", "dictionary")),
    "a key": ("train --config {root}/mistyped.yaml", ("mistyped.yaml: detector: unknown key 'corset'", "did you mean 'coreset'?")),
    "a key at another place": ("train --config {root}/misplaced.yaml", ("{root}/misplaced.yaml", "unknown key 'coreset'")),
}  # fmt: skip

INSPECT: dict[str, tuple[str, tuple[str, ...]]] = {
    "nothing to look at": ("inspect --run-dir {run}", ("give one folder of images",)),
    "two folders": ("inspect --run-dir {run} {root}/sets --input-dir {root}/sets", ("give one folder of images",)),
    "nothing to judge by": ("inspect {root}/sets", ("give a run or a model file",)),
    "a run and a model": ("inspect --run-dir {run} --model {root}/notes.txt {root}/sets", ("{root}/notes.txt is no run, bundle",)),
    "a folder that is not there": ("inspect --run-dir {run} {root}/sts", ("{root}/sts does not exist", "sets")),
    "a folder without images": ("inspect --run-dir {run} {root}/empty", ("no image in {root}/empty", "PNG, JPEG")),
    "a pattern of nothing": (
        "inspect --run-dir {run} {root}/sets --glob *.jpg --output-dir {root}/out",
        ("no image in {root}/sets that matches '*.jpg'", "24 images"),
    ),
    "a run that is not there": ("inspect --run-dir {root}/none {root}/sets", ("{root}/none",)),
    "a run that is none": ("inspect --run-dir {root}/empty {root}/sets", ("{root}/empty", "give")),
    "a model that is not there": ("inspect --model {root}/none.onnx {root}/sets", ("{root}/none.onnx does not exist", "holds")),
    "a model that is none": ("inspect --model {root}/notes.txt {root}/sets", ("{root}/notes.txt",)),
    "a category": ("inspect --run-dir {run} {root}/sets --category x --output-dir {root}/out", ("plate", "'x'")),
    "a list that is not there": ("inspect --run-dir {run} --list {root}/none.txt", ("{root}/none.txt",)),
    "a list that is no text": ("inspect --run-dir {run} --list {root}/binary", ("{root}/binary",)),
    "an empty list": ("inspect --run-dir {run} --list {root}/blank.txt", ("no file was named",)),
    "a list to watch": ("inspect --run-dir {run} --list {root}/blank.txt --watch", ("--watch", "for folders")),
    "results among the images": (
        "inspect --run-dir {run} {root}/sets --output-dir {root}/sets/out", ("would lie in {root}/sets", "--output-dir"),
    ),
    "no batch": ("inspect --run-dir {run} {root}/sets --batch-size 0", ("--batch-size",)),
    "no threshold": ("inspect --run-dir {run} {root}/sets --pixel-threshold-mult 0", ("--pixel-threshold-mult",)),
    "an even opening": ("inspect --run-dir {run} {root}/sets --open-px 2 --output-dir {root}/out", ("open_px", "odd", "2")),
    "a region that is not there": ("inspect --run-dir {run} {root}/sets --roi {root}/x.json --output-dir {root}/out", ("{root}/x.json",)),
    "a region that is no picture": (
        "inspect --run-dir {run} {root}/sets --roi {root}/notes.txt --output-dir {root}/out", ("{root}/notes.txt", "PNG"),
    ),
}  # fmt: skip

OTHERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "evaluate nothing": ("evaluate", ("--model", "--frozen")),
    "evaluate no run": ("evaluate --run-dir {root}/empty", ("{root}/empty is not a finished run", "kizu train")),
    "evaluate a run that is not there": ("evaluate --run-dir {root}/none", ("{root}/none",)),
    "export no run": ("export --run-dir {root}/none", ("{root}/none does not exist",)),
    "export nothing": ("export", ("--model",)),
    "verify no run": ("verify --run-dir {root}/none", ("{root}/none",)),
    "update without a reason": ("update --run-dir {run} --images {root}/sets", ("--reason",)),
    "update with no image": ("update --run-dir {run} --images {root}/empty --reason x", ("{root}/empty",)),
    "roll back the first version": ("rollback --run-dir {run}", ("version 1 is in force", "none before it")),
    "versions of no run": ("versions --run-dir {root}/none", ("{root}/none",)),
    "compare one run": ("compare --run-dir-a {run}", ("--run-dir-b",)),
    "compare with no run": ("compare --run-dir-a {run} --run-dir-b {root}/none", ("{root}/none",)),
    "predict no run": ("predict --run-dir {root}/none", ("{root}/none",)),
    "check no set": ("data check", ("no data set was named",)),
    "check a set that is not there": ("data check --data-root {root}/none", ("{root}/none does not exist",)),
    "rank no images": ("zero-shot {root}/empty", ("no image in {root}/empty",)),
    "rank with a backbone": ("zero-shot {root}/sets --backbone tinny", ("'tinny'", "'tiny'")),
    "recommend for no set": ("recommend --data-root {root}/none", ("{root}/none does not exist",)),
    "recommend for less than nothing": (
        "recommend --data-root {root}/sets --category plate --latency-ms -1", ("--latency-ms",),
    ),
    "design on nothing": ("design --data-root {root}/sets --categories nope", ("no nope/train", "plate")),
    "freeze nothing": ("freeze", ("--design", "--config")),
    "a command": ("trian", ("trian",)),
    "an option": ("backbones --x", ("--x",)),
}  # fmt: skip


@pytest.mark.parametrize("case", TRAIN)
def test_a_fit_that_cannot_be_had_is_refused(root: Path, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MVTEC_ROOT", raising=False)
    command, said = TRAIN[case]
    refused(root, command, *said)


@pytest.mark.parametrize("case", INSPECT)
def test_an_inspection_that_cannot_be_had_is_refused(root: Path, case: str) -> None:
    command, said = INSPECT[case]
    refused(root, command, *said)


@pytest.mark.parametrize("case", OTHERS)
def test_whatever_else_cannot_be_had_is_refused(
    root: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MVTEC_ROOT", raising=False)
    command, said = OTHERS[case]
    refused(root, command, *said)


def test_a_region_of_two_points_is_refused(root: Path) -> None:
    run, sets = root / "runs/patchcore/plate/r1", root / "sets"
    for name, said in (("two points", "at least three [x, y]"), ("no polygons", '{"polygons":')):
        found = kizu(
            "inspect", "--run-dir", str(run), str(sets), "--roi", str(root / f"{name}.json"),
            "--output-dir", str(root / "out"),
        )  # fmt: skip
        assert found.exit_code == 2
        assert said in found.stderr
        assert not list((root / "out").rglob("*.*"))


def test_a_rate_that_the_images_cannot_support_is_refused_with_what_they_can(root: Path) -> None:
    found = kizu(
        "train", "--data-root", str(root / "sets"), "--category", "plate", "--output-dir", str(root / "never"),
        "--run-id", "r", "--false-alarm-rate", "0.001", *FAST,
    )  # fmt: skip
    assert found.exit_code == 2
    assert "12 calibration images cannot support a false-alarm rate of 0.001" in found.stderr
    assert "use at least 999, or raise the rate to 0.077" in found.stderr
    assert not list((root / "never").rglob("*.*"))


def test_a_run_that_was_refused_can_be_asked_for_again_under_its_name(root: Path) -> None:
    again = (
        "train",
        "--data-root",
        str(root / "sets"),
        "--category",
        "plate",
        "--output-dir",
        str(root / "again"),
    )
    refused = kizu(*again, "--run-id", "r", "--layers", "blocks.9", *FAST)
    assert refused.exit_code == 2
    done = kizu(*again, "--run-id", "r", *FAST)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.strip() == str(root / "again/patchcore/plate/r")


def test_a_run_id_that_is_taken_is_not_written_over(root: Path) -> None:
    before = {path: path.read_bytes() for path in files(root / "runs/patchcore/plate/r1")}
    taken = (
        "train", "--data-root", str(root / "sets"), "--category", "plate", "--output-dir", str(root / "runs"),
        "--run-id", "r1", *FAST,
    )  # fmt: skip
    found = kizu(*taken, "--seed", "1")
    assert found.exit_code == 2
    assert "r1" in found.stderr
    again = kizu(*taken)  # the very same, as after a kill
    assert again.exit_code == 0
    assert again.stdout.strip() == str(root / "runs/patchcore/plate/r1")
    assert "the same settings and images made this run" in again.stderr
    assert {path: path.read_bytes() for path in files(root / "runs/patchcore/plate/r1")} == before
