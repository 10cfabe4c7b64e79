"""What an operator types beside the main way: lists, a drop folder, regions, several products, a batch alone."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
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
        assert done.stdout.splitlines()[-1].startswith("3 images")
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
        said.append(done.stdout.strip().splitlines()[-1])
    assert said == ["4 images: 0 OK, 4 NG, 0 not inspected", "4 images: 4 OK, 0 NG, 0 not inspected"]
    wrong = kizu("inspect", "--model", model, flawed, "--roi", tmp_path / "none.json", ok=2)
    assert "none.json" in wrong.stderr
    assert "must be odd" in kizu("inspect", "--model", model, flawed, "--open-px", 4, ok=2).stderr


@pytest.fixture
def watch(model: Path, tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts `kizu inspect --watch` on tmp_path/drop; what still runs when the test ends, however, is killed."""
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "kizu", *watching(model, tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def watching(model: Path, folder: Path) -> list[str]:
    out = str(folder / "out")
    return [
        "inspect",
        "--model",
        str(model),
        str(folder / "drop"),
        "--output-dir",
        out,
        "--watch",
        "--interval",
        "0.05",
    ]


def drop(picture: Path, folder: Path) -> Path:
    """Into the drop folder, whole at once."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(picture, folder / f".{picture.name}.part")
    return (folder / f".{picture.name}.part").rename(folder / picture.name)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_drop_folder_survives_a_kill(
    root: Path, model: Path, tmp_path: Path, watch: Callable[[], subprocess.Popen[str]]
) -> None:
    strangers, flawed = (sorted((root / "plate/test" / kind).glob("*.png")) for kind in ("good", "checks"))
    for picture in strangers[:3]:
        drop(picture, tmp_path / "drop")
    process = watch()
    assert process.stdout is not None
    first = [process.stdout.readline() for _ in range(3)]
    assert all(line.startswith("OK") for line in first), first
    process.kill()
    process.wait(timeout=30)
    shutil.copy(flawed[0], tmp_path / "flawed.png")
    last = drop(tmp_path / "flawed.png", tmp_path / "drop")
    done = kizu(*watching(model, tmp_path), "--idle", "0.3")
    assert done.stdout.splitlines()[0].startswith(f"NG  {last}")
    assert done.stdout.splitlines()[-1] == "4 images: 3 OK, 1 NG, 0 not inspected"
    told = (tmp_path / "out/preds.jsonl").read_text().splitlines()
    names = [json.loads(line)["image_path"] for line in told]
    assert len(names) == len(set(names)) == 4


def test_slow_writers_and_used_names_get_the_verdict_of_their_last_content(
    root: Path, model: Path, tmp_path: Path
) -> None:
    """Each file is written in three parts with pauses longer than two looks; half of them are then overwritten."""
    good, bad = (
        [path.read_bytes() for path in sorted((root / "plate/test" / kind).glob("*.png"))]
        for kind in ("good", "checks")
    )
    folder = tmp_path / "drop"
    folder.mkdir()

    def write(number: int) -> None:
        for round_number in range(1 + number % 2):
            content = (bad if (number + round_number) % 2 else good)[number % 4]
            with (folder / f"{number}.png").open("wb", buffering=0) as stream:
                for start in range(0, len(content), len(content) // 3 + 1):
                    stream.write(content[start : start + len(content) // 3 + 1])
                    time.sleep(0.3)

    with ThreadPoolExecutor(12) as pool:
        writing = [pool.submit(write, number) for number in range(12)]
        done = kizu(*watching(model, tmp_path), "--idle", "3")
        for job in writing:
            job.result()
    assert done.stdout.splitlines()[-1] == "12 images: 12 OK, 0 NG, 0 not inspected"
    lines = [json.loads(line) for line in (tmp_path / "out/preds.jsonl").read_text().splitlines()]
    standing = {line["image_path"]: line for line in lines if not line["superseded"]}
    assert len(standing) == sum(not line["superseded"] for line in lines) == 12
    for path, line in standing.items():
        assert line["source"]["sha256"] == hashlib.sha256(Path(path).read_bytes()).hexdigest()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_ends_a_watch_with_its_report(
    root: Path, tmp_path: Path, watch: Callable[[], subprocess.Popen[str]]
) -> None:
    drop(root / "plate/test/good/12.png", tmp_path / "drop")
    process = watch()
    assert process.stdout is not None
    assert process.stdout.readline().startswith("OK")
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=30)
    assert process.returncode == 130
    assert json.loads((tmp_path / "out/report.json").read_text())["num_images"] == 1


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
    assert "8 images: " in done.stdout


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
