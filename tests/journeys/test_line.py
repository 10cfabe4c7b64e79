"""What an operator types beside the main way: lists, a drop folder, regions, several products, a batch alone."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.support import category, part_picture, with_flaw

from kizu.imaging.codec import encode_png

FAST = ["--backbone", "tiny", "--image-size", "64", "--coreset", "0.2"]


def kizu(*arguments: object, ok: int = 0, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "kizu", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        input=stdin,
    )
    assert done.returncode == ok, done.stderr
    return done


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sets")
    category(folder, "plate", 0)
    category(folder, "disc", 500)
    return folder


@pytest.fixture(scope="module")
def model(root: Path) -> Path:
    trained = kizu("train", "--data-root", root, "--category", "plate", "--output-dir", root / "runs", *FAST)
    return Path(kizu("export", "--run-dir", trained.stdout.strip().splitlines()[-1]).stdout.strip())


def test_a_list_a_glob_and_stdin(root: Path, model: Path, tmp_path: Path) -> None:
    pictures = root / "plate/test"
    names = "\n".join(str(path) for path in sorted(pictures.rglob("*.png"))[:3]) + "\n"
    (tmp_path / "list.txt").write_text(names)
    for number, source in enumerate((["--list", tmp_path / "list.txt"], ["-"])):
        out = tmp_path / f"{number}"
        done = kizu("inspect", "--model", model, *source, "--output-dir", out, "--csv", stdin=names)
        assert done.stdout.startswith("3 images")
        assert (out / "preds.csv").read_text().count("\n") == 4
    done = kizu("inspect", "--model", model, pictures, "--glob", "good/*", "--output-dir", tmp_path / "g")
    assert done.stdout.startswith("4 images: 4 OK")
    assert "for folders" in kizu("inspect", "--model", model, "-", "--watch", ok=2, stdin="").stderr
    inside = kizu("inspect", "--model", model, pictures, "--output-dir", pictures / "out", ok=2)
    assert "would lie in" in inside.stderr
    assert "give a run or a model" in kizu("inspect", pictures, ok=2).stderr


def test_a_region_of_interest_decides_what_counts(root: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "corner.json").write_text(json.dumps({"polygons": [[[0, 0], [5, 0], [5, 5], [0, 5]]]}))
    flawed = root / "plate/test/checks"
    said = []
    for number, extra in enumerate(([], ["--roi", tmp_path / "corner.json"])):
        done = kizu(
            "inspect", "--model", model, flawed, "--output-dir", tmp_path / f"{number}",
            "--pixel-threshold-mult", 6, "--open-px", 3, *extra,
        )  # fmt: skip
        said.append(done.stdout.strip())
    assert said == ["4 images: 0 OK, 4 NG, 0 unreadable", "4 images: 4 OK, 0 NG, 0 unreadable"]
    wrong = kizu("inspect", "--model", model, flawed, "--roi", tmp_path / "none.json", ok=2)
    assert "none.json" in wrong.stderr
    assert "must be odd" in kizu("inspect", "--model", model, flawed, "--open-px", 4, ok=2).stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_drop_folder_survives_a_kill(model: Path, tmp_path: Path) -> None:
    drop, out = tmp_path / "drop", tmp_path / "out"
    drop.mkdir()
    command = [
        "inspect",
        "--model",
        str(model),
        str(drop),
        "--output-dir",
        str(out),
        "--watch",
        "--interval",
        "0.05",
    ]
    process = subprocess.Popen([sys.executable, "-m", "kizu", *command], stdout=subprocess.PIPE, text=True)
    for number in range(3):
        encode_png(drop / f"{number}.png", part_picture(number))
    assert process.stdout is not None
    first = [process.stdout.readline() for _ in range(3)]
    assert all(line.startswith("OK") for line in first)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    encode_png(drop / "3.png", with_flaw(part_picture(9), 20, 20))
    done = kizu(*command, "--idle", "0.3")
    assert done.stdout.splitlines()[0].startswith(f"NG  {drop / '3.png'}")
    assert done.stdout.splitlines()[-1] == "4 images: 3 OK, 1 NG, 0 unreadable"
    names = [json.loads(line)["image_path"] for line in (out / "preds.jsonl").read_text().splitlines()]
    assert len(names) == len(set(names)) == 4


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_ends_a_watch_with_its_report(model: Path, tmp_path: Path) -> None:
    drop, out = tmp_path / "drop", tmp_path / "out"
    encode_png(drop / "0.png", part_picture(0))
    process = subprocess.Popen(
        [sys.executable, "-m", "kizu", "inspect", "--model", str(model), str(drop), "--output-dir", str(out),
         "--watch", "--interval", "0.05"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline().startswith("OK")
    time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert json.loads((out / "report.json").read_text())["num_images"] == 1


def test_several_products_in_one_model(root: Path, tmp_path: Path) -> None:
    trained = kizu(
        "train", "--data-root", root, "--category", "plate,disc", "--output-dir", tmp_path / "runs", *FAST
    )
    run = Path(trained.stdout.strip().splitlines()[-1])
    table = kizu("evaluate", "--run-dir", run).stdout
    assert table.splitlines()[0].split() == ["plate", "disc", "mean"]
    assert kizu("predict", "--run-dir", run).stdout.count("8 images") == 2
    assert "no category was named" in kizu("inspect", "--run-dir", run, root / "plate/test", ok=2).stderr
    exported = kizu("export", "--run-dir", run).stdout.strip()
    done = kizu(
        "inspect",
        "--model",
        exported,
        root / "disc/test",
        "--category",
        "disc",
        "--output-dir",
        tmp_path / "o",
    )
    assert done.stdout.strip().startswith("8 images")


def test_a_batch_alone_is_ranked(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "plate/train/good", tmp_path / "in")
    encode_png(tmp_path / "in/odd.png", with_flaw(part_picture(77), 30, 10))
    done = kizu(
        "zero-shot",
        tmp_path / "in",
        "--output-dir",
        tmp_path / "out",
        "--backbone",
        "tiny",
        "--image-size",
        64,
    )
    assert done.stdout.splitlines()[0].endswith("odd.png")
    assert (tmp_path / "out/ranking.jsonl").read_text().count("\n") == 13


def test_a_recommendation_is_a_config_that_trains(shared_data: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    done = kizu(
        "recommend", "--data-root", shared_data / "mvtec_ad", "--category", "hazelnut", "-o", config,
        "--latency-ms", 1000,
    )  # fmt: skip
    assert "28 good images to learn from" in done.stdout
    assert "* " in done.stdout
    trained = kizu("train", "--config", config, "--output-dir", tmp_path / "runs")
    assert (Path(trained.stdout.strip().splitlines()[-1]) / "bundle").is_dir()
