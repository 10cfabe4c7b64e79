"""The command line, end to end, as a user types it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from tests.support import ask, part_picture, read_lines, with_flaw

from kizu.imaging.codec import decode, encode_png

MANY = 400
"""Images that take long enough to be interrupted half-way, however busy the machine is."""

FAST = ["--backbone", "tiny", "--image-size", "64"]


def kizu(*arguments: object, ok: int | None = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kizu", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if ok is not None:
        assert done.returncode == ok, done.stderr + done.stdout
    return done


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A category in MVTec AD layout, with masks."""
    root = tmp_path_factory.mktemp("set") / "plate"
    for seed in range(30):
        encode_png(root / "train" / "good" / f"{seed:03}.png", part_picture(seed, 96))
    for seed in range(100, 106):
        encode_png(root / "test" / "good" / f"{seed}.png", part_picture(seed, 96))
    for seed in range(200, 206):
        top, left = 10 + 10 * (seed % 5), 20 + 8 * (seed % 4)
        mask = np.zeros((96, 96), dtype=bool)
        mask[top : top + 12, left : left + 12] = True
        encode_png(root / "test" / "checks" / f"{seed}.png", with_flaw(part_picture(seed, 96), top, left))
        encode_png(root / "ground_truth" / "checks" / f"{seed}_mask.png", mask)
    return root


@pytest.fixture(scope="module")
def run_dir(product: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("runs")
    done = kizu(
        "train",
        "--data-root",
        product.parent,
        "--category",
        "plate",
        "--output-dir",
        output,
        *FAST,
        "--coreset",
        0.1,
    )
    return Path(done.stdout.strip().splitlines()[-1])


@pytest.mark.parametrize("model", ["patchcore", "padim"])
def test_train_evaluate_inspect(product: Path, tmp_path: Path, model: str) -> None:
    extra = ["--coreset", 0.1] if model == "patchcore" else []
    trained = kizu(
        "train", "--model", model, "--data-root", product.parent, "--category", "plate",
        "--output-dir", tmp_path, "--run-id", "r1", *FAST, *extra,
    )  # fmt: skip
    run = Path(trained.stdout.strip().splitlines()[-1])
    assert run == tmp_path / model / "plate" / "r1"
    expected = {"calibration.json", "config.yaml", "meta.json", "manifest.jsonl", "bundle", "model_card.md"}
    expected |= {"retrieval.json"}
    assert {p.name for p in run.iterdir()} == expected

    metrics = json.loads(kizu("evaluate", "--run-dir", run, "--json").stdout)
    assert metrics == json.loads((run / "metrics.json").read_text())
    assert metrics["counts"] == {"good": 6, "defect": 6}
    assert metrics["image_auroc"] > 0.95
    assert metrics["aupro_030"] > 0.7
    assert "data-cases" in (run / "report.html").read_text()

    out = tmp_path / "out"
    report = json.loads(
        kizu("inspect", "--run-dir", run, product / "test", "--output-dir", out, "--json").stdout
    )
    assert report["num_images"] == 12
    assert report["num_ok"] + report["num_ng"] == 12
    lines = read_lines(out / "preds.jsonl")
    scores = {line["id"]: line["pred_score"] for line in read_lines(run / "preds_test.jsonl")}
    for line in lines:
        # what was measured is what runs
        name = Path(line["image_path"]).relative_to(product).as_posix()
        assert line["pred_score"] == pytest.approx(scores[name], rel=1e-5)
        assert line["is_anomaly"] == (line["pred_score"] > line["image_threshold"]) == (line["label"] == "NG")
        assert Path(line["mask_path"]).is_file()
        assert decode(Path(line["overlay_path"])).shape[1] == 96
    found = next(line for line in lines if line["image_path"].endswith("checks/203.png"))
    x0, y0, x1, y1 = found["defects"][0]["bbox"]
    assert x0 < 20 + 8 * 3 + 6 < x1
    assert y0 < 10 + 10 * 3 + 6 < y1


def test_the_written_config_trains_the_same_again(product: Path, run_dir: Path, tmp_path: Path) -> None:
    again = kizu("train", "--config", run_dir / "config.yaml", "--output-dir", tmp_path)
    one, two = (json.loads((p / "meta.json").read_text()) for p in (run_dir, Path(again.stdout.split()[-1])))
    assert one["calibration_scores"] == two["calibration_scores"]
    assert one["fit"] == two["fit"]
    assert one["left_out"]
    assert set(one["fit"]) == set(one["calibration"])
    assert len(one["fit"]) == 30


def test_an_unknown_key_in_the_config_is_named(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"detector": {"kind": "patchcore", "corset": 0.1}}))
    error = ask("train", "--config", tmp_path / "c.yaml", ok=2).stderr
    assert "corset" in error
    assert "did you mean 'coreset'" in error
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"detecter": {}}))
    assert "did you mean 'detector'" in ask("train", "--config", tmp_path / "c.yaml", ok=2).stderr


def test_wrong_words_are_a_user_error(tmp_path: Path) -> None:
    assert "did you mean 'patchcore'" in ask("train", "--model", "patchcor", ok=2).stderr
    assert "no data set was named" in ask("train", ok=2).stderr
    assert "is not a finished run" in ask("evaluate", "--run-dir", tmp_path, ok=2).stderr
    assert "--image-size" in ask("train", "--image-size", "big", ok=2).stderr
    assert "No such option" in ask("train", "--nope", ok=2).stderr


def test_mvtec_root_is_honoured(product: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MVTEC_ROOT", str(product.parent))
    out = ask("data", "check", "--category", "plate", "--preview", tmp_path / "p.png")
    assert "no problems found" in out.stdout
    assert decode(tmp_path / "p.png").size > 0


def test_too_few_images_for_the_rate_that_was_asked(product: Path, tmp_path: Path) -> None:
    done = ask(
        "train", "--data-root", product, "--output-dir", tmp_path, "--false-alarm-rate", 0.01, *FAST, ok=2
    )  # fmt: skip
    assert "30 calibration images cannot support a false-alarm rate of 0.01" in done.stderr
    assert "at least 99" in done.stderr


def test_an_empty_folder_and_one_image_cannot_be_fitted(tmp_path: Path) -> None:
    (tmp_path / "plate" / "train" / "good").mkdir(parents=True)
    assert "no image in" in ask("train", "--data-root", tmp_path / "plate", ok=2).stderr
    encode_png(tmp_path / "plate" / "train" / "good" / "0.png", part_picture(0))
    error = ask(
        "train", "--data-root", tmp_path / "plate", "--output-dir", tmp_path / "runs", *FAST, ok=2
    ).stderr
    assert "1 good training image" in error
    assert not (tmp_path / "runs").exists()


@pytest.fixture
def spoilt(product: Path, tmp_path: Path) -> Path:
    """The category with a file that is not an image among the good ones."""
    shutil.copytree(product, tmp_path / "plate")
    (tmp_path / "plate" / "train" / "good" / "005.png").write_bytes(b"\x89PNG\r\n\x1a\n but then not")
    return tmp_path / "plate"


def test_a_corrupt_training_image_stops_or_is_skipped(spoilt: Path, tmp_path: Path) -> None:
    stopped = ask("train", "--data-root", spoilt, "--output-dir", tmp_path / "a", *FAST, ok=2)
    assert "005.png" in stopped.stderr
    skipped = ask("train", "--data-root", spoilt, "--output-dir", tmp_path / "b", "--skip-broken", *FAST)
    assert "skipped train/good/005.png" in skipped.stderr
    meta = json.loads((Path(skipped.stdout.split()[-1]) / "meta.json").read_text())
    assert meta["skipped"] == ["train/good/005.png"]
    assert len(meta["fit"]) == len(meta["calibration"]) == 29


def test_inspect_goes_on_past_broken_and_odd_files(run_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    encode_png(folder / "a.png", part_picture(1, 96))
    (folder / "b.png").write_bytes(b"not an image")
    (folder / "c.png").write_bytes(b"")
    Image.fromarray(part_picture(2, 96)[..., 0].astype(np.uint16) << 8).save(folder / "d.tif")
    encode_png(folder / "e.png", part_picture(3, 1))
    encode_png(folder / "sub" / "a.png", part_picture(4, 33))
    (folder / "readme.txt").write_text("not for inspection")
    done = kizu("inspect", "--run-dir", run_dir, folder, "--output-dir", tmp_path / "out", "--json", ok=3)
    report = json.loads(done.stdout)
    assert (report["num_images"], report["num_errors"]) == (4, 2)
    lines = {
        Path(line["image_path"]).relative_to(folder).as_posix(): line
        for line in read_lines(tmp_path / "out" / "preds.jsonl")
    }
    assert set(lines) == {"a.png", "b.png", "c.png", "d.tif", "e.png", "sub/a.png"}
    assert "b.png" in lines["b.png"]["error"]
    assert lines["e.png"]["image_size"] == [1, 1]
    assert (tmp_path / "out" / "masks" / "sub" / "a.png.png").is_file()


def test_fail_on_ng_is_exit_code_1(run_dir: Path, product: Path, tmp_path: Path) -> None:
    bad, good = product / "test" / "checks", product / "train" / "good" / "000.png"
    assert ask("inspect", "--run-dir", run_dir, bad, "--output-dir", tmp_path / "a", ok=0)
    assert ask("inspect", "--run-dir", run_dir, bad, "--output-dir", tmp_path / "b", "--fail-on-ng", ok=1)
    assert ask("inspect", "--run-dir", run_dir, good, "--output-dir", tmp_path / "c", "--fail-on-ng", ok=0)


def test_a_flipped_byte_in_the_bundle_is_refused(run_dir: Path, tmp_path: Path, product: Path) -> None:
    shutil.copytree(run_dir, tmp_path / "run")
    path = tmp_path / "run" / "bundle" / "graph.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert (
        "graph.onnx has changed"
        in ask("inspect", "--run-dir", tmp_path / "run", product / "test", ok=2).stderr
    )


def test_an_output_folder_that_cannot_be_written_is_named(
    run_dir: Path, product: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    target = tmp_path / "file" / "out"
    assert (
        str(target)
        in ask("inspect", "--run-dir", run_dir, product / "test", "--output-dir", target, ok=2).stderr
    )
    trained = ask("train", "--data-root", product, "--output-dir", target, *FAST, ok=2)
    assert str(target) in trained.stderr


def listen_to_ctrl_c() -> None:
    """What a shell starts in the background ignores Ctrl-C, and so do its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def start() -> Iterator[Callable[[list[str]], subprocess.Popen[str]]]:
    """Starts commands; what still runs when the test ends, however, is killed with all that it has started."""
    started: list[subprocess.Popen[str]] = []

    def start(command: list[str]) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command,
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=listen_to_ctrl_c,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_inspection_goes_on(
    run_dir: Path,
    tmp_path: Path,
    how: signal.Signals,
    start: Callable[[list[str]], subprocess.Popen[str]],
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    encode_png(folder / "0000.png", part_picture(0, 96))
    for number in range(1, MANY):
        shutil.copy(folder / "0000.png", folder / f"{number:04}.png")
    command = [
        sys.executable,
        "-m",
        "kizu",
        "inspect",
        "--run-dir",
        str(run_dir),
        str(folder),
        "--output-dir",
        str(out),
    ]
    process = start(command)
    journal = out / "preds.jsonl"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (journal.exists() and journal.read_bytes().count(b"\n") >= 20):
        time.sleep(0.005)
    os.kill(process.pid, how)
    _, stderr = process.communicate(timeout=60)
    if how is signal.SIGINT:
        assert process.returncode == 130
        assert "run the same command to go on" in stderr
    done_before = journal.read_bytes().count(b"\n")
    assert 20 <= done_before < MANY
    for picture in [*out.rglob("*.jpg"), *(out / "masks").rglob("*.png")]:
        if not picture.name.startswith("."):
            decode(picture)  # whole, or it would not be there under its name
    again = kizu(*command[3:])
    assert f"{done_before} images were done before" in again.stderr
    names = [line["image_path"] for line in read_lines(journal)]
    assert len(names) == len(set(names)) == MANY
    assert json.loads((out / "report.json").read_text())["num_images"] == MANY


def test_a_run_learns_more_and_goes_back(run_dir: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(run_dir, run)
    for seed in (700, 701):
        encode_png(tmp_path / "new" / f"{seed}.png", with_flaw(part_picture(seed, 96), 60, 20))
    shutil.copy(tmp_path / "new" / "700.png", tmp_path / "new" / "copy.png")
    done = ask("update", "--run-dir", run, "--images", tmp_path / "new", "--reason", "a mark is allowed")
    assert done.stdout.strip() == "2"
    assert "skipped copy.png: it is a copy of 700.png" in done.stderr
    assert "learned 2 images" in done.stderr
    assert "before: " in done.stderr
    again = ask("update", "--run-dir", run, "--images", tmp_path / "new", "--reason", "twice", ok=2)
    assert "is new to this run" in again.stderr
    assert ask("rollback", "--run-dir", run, "--reason", "too lenient").stdout.strip() == "1"
    told = ask("versions", "--run-dir", run).stdout.splitlines()
    assert "1 -> 2  learned 2 images: a mark is allowed" in told[0]
    assert "2 -> 1  rolled back: too lenient" in told[1]
    assert told[2] == "version 1 is in force"


def test_help_of_every_command() -> None:
    for command in (
        [],
        ["demo"],
        ["data"],
        ["data", "check"],
        ["data", "shift"],
        ["study", "run"],
        ["study", "report"],
        ["train"],
        ["evaluate"],
        ["inspect"],
        ["serve"],
        ["serve-key", "add"],
        ["update"],
        ["rollback"],
        ["versions"],
        ["threshold"],
        ["redecide"],
        ["backbones"],
    ):
        assert "Usage" in ask(*command, "--help").stdout
    assert "efficientnet_lite0" in ask("backbones").stdout
    assert ask("--version").stdout.strip().count(".") == 2
