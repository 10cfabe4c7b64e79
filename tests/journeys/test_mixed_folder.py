"""A station that makes two products: one command for both, and a part of neither has no verdict."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import category, grain, noise

from kizu.imaging.codec import encode_png

FAST = ["--backbone", "tiny", "--image-size", "64", "--coreset", "0.2"]


def kizu(*arguments: object, ok: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "kizu", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == ok, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs in `runs`, one of them exported too, and test pictures of both in `mixed`."""
    root = tmp_path_factory.mktemp("station")
    for name, draw in (("plate", None), ("grain", grain)):
        category(root / "sets", name, 0, *([draw] if draw else []))
        kizu("train", "--data-root", root / "sets", "--category", name, "--output-dir", root / "runs", *FAST)
        shutil.copytree(root / "sets" / name / "test", root / "mixed" / name)
    encode_png(root / "mixed/stray.png", noise(5, (64, 64)))
    return root


def run_of(root: Path, name: str) -> Path:
    (path,) = (path.parent for path in (root / "runs").rglob("retrieval.json") if name in str(path))
    return path


def lines(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "preds.jsonl").read_text().splitlines()]


def test_one_command_for_both_says_what_each_alone_says(root: Path, tmp_path: Path) -> None:
    plate = Path(kizu("export", "--run-dir", run_of(root, "plate")).stdout.strip())
    out = tmp_path / "out"
    command = [
        "inspect",
        "--model",
        plate,
        "--run-dir",
        run_of(root, "grain"),
        root / "mixed",
        "--output-dir",
        out,
    ]
    done = kizu(*command, ok=3)
    told = [line for line in done.stdout.splitlines() if not line.startswith(("NG  ", "and "))]
    assert told[0].startswith("16 images: ")
    page = (out / "index.html").read_text()
    for part in ("Several products", "grain · ", "plate · ", "Of none of these products", "mixed/stray.png"):
        assert part in page
    assert "1 of no known product, 0 not inspected" in told[0]
    assert [line.split(" images")[0] for line in told[1:]] == ["grain: 8", "plate: 8"]
    assert "of none of these products, without a verdict: 1" in done.stderr
    assert str(root / "mixed/stray.png") in done.stderr
    by_path = {line["image_path"]: line for line in lines(out)}
    assert by_path.pop(str(root / "mixed/stray.png"))["label"] is None
    for name, model in (("plate", ["--model", plate]), ("grain", ["--run-dir", run_of(root, "grain")])):
        alone = tmp_path / name
        kizu("inspect", *model, root / "mixed" / name, "--output-dir", alone)
        for line in lines(alone):
            mixed = by_path.pop(line["image_path"])
            same = ("pred_score", "label", "defects", "image_threshold", "bundle_sha256", "category")
            assert {key: mixed[key] for key in same} == {key: line[key] for key in same}
    assert by_path == {}
    again = kizu(*command, ok=3)
    assert "17 images were done before" in again.stderr
    assert again.stdout == done.stdout
    assert kizu(*command, "--fail-on-ng", ok=1).stdout == done.stdout
    refused = kizu("redecide", out, "--threshold", 1.0, ok=2).stderr
    assert "several products, whose scores no one threshold decides on" in refused


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_shelf_folder_watches_survives_a_kill_and_looks_at_each_picture_once(
    root: Path, tmp_path: Path
) -> None:
    drop, out = tmp_path / "drop", tmp_path / "out"
    drop.mkdir()
    for name in ("plate", "grain"):
        shutil.copy(root / "mixed" / name / "good/12.png", drop / f"{name}.png")
    watching = [
        "inspect", "--model", root / "runs", drop, "--output-dir", out, "--watch", "--interval", "0.05",
    ]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "kizu", *map(str, watching)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        first = sorted(process.stdout.readline().split()[-1] for _ in range(2))
    finally:
        process.kill()
        process.communicate()
    assert first == ["grain", "plate"]
    shutil.copy(root / "mixed/stray.png", drop)
    done = kizu(*watching, "--idle", "0.5", ok=3)
    assert "looks like none of the products" in done.stdout.splitlines()[0]
    assert done.stdout.splitlines()[1] == ("2 images: 2 OK, 0 NG, 1 of no known product, 0 not inspected")
    names = [line["image_path"] for line in lines(out)]
    assert len(names) == len(set(names)) == 3


def test_what_is_of_one_product_alone_is_refused_in_words(root: Path, tmp_path: Path) -> None:
    both = ["inspect", "--run-dir", run_of(root, "plate"), "--run-dir", run_of(root, "grain"), root / "mixed"]
    out = ["--output-dir", tmp_path / "out"]
    for more, told in (
        ([], "say where they go: --output-dir"),
        ([*out, "--category", "plate"], "give the model of plate alone"),
        ([*out, "--roi", "x.json"], "--roi is a region in the pictures of one product"),
        (
            [*out, "--model", run_of(root, "plate") / "bundle"],
            "no picture tells which of them is to judge it",
        ),
    ):
        assert told in kizu(*both, *more, ok=2).stderr
    assert not (tmp_path / "out").exists()
    (tmp_path / "none").mkdir()
    assert (
        "there is no model in"
        in kizu("inspect", "--model", tmp_path / "none", root / "mixed", *out, ok=2).stderr
    )
