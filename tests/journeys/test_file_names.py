"""A file name that is no UTF-8, as old cameras write them, goes through everything and comes out the same."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.support import part_picture, with_flaw

from kizu.data.manifest import read_manifest
from kizu.imaging.codec import encode_png
from kizu.runs.folder import RunFolder

NAME = os.fsdecode(b"caf\xe9.png")
FOLDER = os.fsdecode(b"caf\xe9s")


def kizu(*arguments: object, ok: int = 0, stdin: bytes = b"") -> tuple[bytes, bytes]:
    """With an output that refuses what is no UTF-8, as in most terminals."""
    command = [sys.executable, "-m", "kizu", *map(str, arguments)]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
    done = subprocess.run(
        command, input=stdin, capture_output=True, timeout=300, check=False, env=environment
    )
    assert done.returncode == ok, done.stderr
    assert b"Traceback" not in done.stderr
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A category in MVTec AD layout below a folder whose name is no UTF-8, such names in every split."""
    root = tmp_path_factory.mktemp("set") / FOLDER
    try:
        root.mkdir()
    except OSError:
        pytest.skip("the file system takes UTF-8 names only")
    for number in range(16):
        name = NAME if number == 3 else f"{number}.png"
        encode_png(root / "plate/train/good" / name, part_picture(number))
    encode_png(root / "plate/test/good" / NAME, part_picture(30))
    mask = np.zeros((64, 64), dtype=bool)
    mask[20:32, 24:36] = True
    for number, name in enumerate((NAME, "1.png")):
        encode_png(root / "plate/test/checks" / name, with_flaw(part_picture(40 + number), 20, 24))
        encode_png(root / "plate/ground_truth/checks" / name, mask)
    return root / "plate"


@pytest.fixture(scope="module")
def run(product: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    out, _ = kizu(
        "train", "--data-root", product, "--backbone", "tiny", "--image-size", 64, "--coreset", 0.2,
        "--output-dir", tmp_path_factory.mktemp("runs") / FOLDER,
    )  # fmt: skip
    return RunFolder(Path(os.fsdecode(out.rstrip(b"\n").splitlines()[-1])))


def test_such_names_are_trained_on_and_the_manifest_gives_them_back(product: Path, run: RunFolder) -> None:
    samples = {sample.id: sample for sample in read_manifest(run.manifest).samples}
    found = samples[f"train/good/{NAME}"]
    assert found.path == product / "train/good" / NAME
    assert found.path.is_file()
    assert samples[f"test/checks/{NAME}"].mask_path == product / "ground_truth/checks" / NAME
    meta = json.loads(run.meta.read_text(encoding="utf-8"))
    assert f"train/good/{NAME}" in meta["fit"] + meta["calibration"]


def test_they_are_measured_and_shown(run: RunFolder) -> None:
    kizu("evaluate", "--run-dir", run.path)
    for path in (run.path / "preds_test.jsonl", run.page, run.path / "model_card.md"):
        assert path.read_text(encoding="utf-8")
    rows = [json.loads(line) for line in (run.path / "preds_test.jsonl").read_text("utf-8").splitlines()]
    assert f"test/checks/{NAME}" in {row["id"] for row in rows}


def test_a_data_set_with_them_is_checked_and_named(product: Path, tmp_path: Path) -> None:
    twin = product / "train/good/twin.png"
    twin.write_bytes((product / "train/good" / NAME).read_bytes())
    out, _ = kizu("data", "check", "--data-root", product, "--preview", tmp_path / "preview.png")
    twin.unlink()
    assert b"train/good/caf\xe9.png" in out


@pytest.mark.parametrize("way", ["folder", "list", "stdin"])
def test_they_are_inspected_and_every_table_gives_them_back(
    run: RunFolder, product: Path, tmp_path: Path, way: str
) -> None:
    pictures = product / "test/checks"
    named = b"".join(os.fsencode(path) + b"\n" for path in sorted(pictures.iterdir()))
    (tmp_path / "list.txt").write_bytes(named)
    given = {"folder": [pictures], "list": ["--list", tmp_path / "list.txt"], "stdin": ["-"]}[way]
    out = tmp_path / "out"
    command = ["inspect", "--run-dir", run.path, *given, "--output-dir", out, "--csv"]
    kizu(*command, stdin=named if way == "stdin" else b"")
    lines = [json.loads(line) for line in (out / "preds.jsonl").read_text(encoding="utf-8").splitlines()]
    with (out / "preds.csv").open(encoding="utf-8", errors="surrogateescape") as stream:
        rows = list(csv.DictReader(stream))
    for found in (lines, rows):
        assert {Path(row["image_path"]) for row in found} == set(pictures.iterdir())
    for line in lines:
        assert Path(line["mask_path"]).is_file()
        assert Path(line["overlay_path"]).is_file()
    if way == "folder":
        assert b"2 images were done before" in kizu(*command)[1]


def test_they_are_told_as_they_come(run: RunFolder, product: Path, tmp_path: Path) -> None:
    pictures = product / "test/checks"
    out, _ = kizu(
        "inspect", "--run-dir", run.path, pictures, "--watch", "--idle", 1, "--interval", 0.1,
        "--output-dir", tmp_path / "out",
    )  # fmt: skip
    assert os.fsencode(pictures / NAME) in out


def test_a_broken_one_is_recorded_and_named(run: RunFolder, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / NAME).write_bytes(b"no picture")
    kizu("inspect", "--run-dir", run.path, folder, "--output-dir", tmp_path / "out", ok=3)
    (line,) = (tmp_path / "out/preds.jsonl").read_text(encoding="utf-8").splitlines()
    assert Path(json.loads(line)["image_path"]) == folder / NAME
    _, told = kizu("inspect", "--run-dir", run.path, folder / "other", FOLDER, ok=2)
    assert b"caf" in told


def test_they_are_learned_later_and_ranked_without_good_images(
    run: RunFolder, product: Path, tmp_path: Path
) -> None:
    more = tmp_path / FOLDER
    encode_png(more / NAME, part_picture(70))
    out, _ = kizu("update", "--run-dir", run.path, "--images", more, "--reason", "a new lot")
    assert out
    kizu(
        "zero-shot",
        product / "train/good",
        "--backbone",
        "tiny",
        "--image-size",
        64,
        "--output-dir",
        tmp_path / "z",
    )
    rows = [json.loads(line) for line in (tmp_path / "z/ranking.jsonl").read_text("utf-8").splitlines()]
    assert product / "train/good" / NAME in {Path(row["image_path"]) for row in rows}


def test_a_list_that_is_no_text_is_refused(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes("a.png\nb.png\n".encode("utf-16-le"))
    _, told = kizu("inspect", "--run-dir", run.path, "--list", tmp_path / "list.txt", ok=2)
    assert b"it holds NUL characters" in told
    assert b"saved as UTF-8" in told
