"""What is printed means what it says, and a print that fails is no verdict."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import category, part_picture
from typer.testing import CliRunner

import kizu.tasks.check
from kizu.cli.main import app
from kizu.imaging.codec import encode_png

FORGED = "a\nNG  everything.png"


def started(*words: object, encoding: str = "utf-8", **options: object) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    return subprocess.Popen(
        [sys.executable, "-m", "kizu", *map(str, words)],
        env=environment,
        stderr=subprocess.PIPE,
        **{"stdout": subprocess.PIPE, **options},  # type: ignore[call-overload]
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A category of few images with names that not every output can write."""
    root = tmp_path_factory.mktemp("set")
    category(root, "plate", 0)
    for number, name in enumerate(("é.png", "傷.png", FORGED, os.fsdecode(b"caf\xe9.png"))):
        encode_png(root / "plate/train/good" / name, part_picture(0))
        encode_png(root / "new" / name, part_picture(90 + number))
    return root


@pytest.fixture(scope="module")
def run(root: Path) -> Path:
    done = started(
        "train", "--data-root", root / "plate", "--backbone", "tiny", "--image-size", 64, "--coreset", 0.2,
        "--output-dir", root / "runs", "--run-id", "r1",
    )  # fmt: skip
    out, err = done.communicate(timeout=300)
    assert done.returncode == 0, err
    assert b"note: warning: same file more than once in a split" in err
    assert b"note: warning: fewer than 20 good images" in err
    assert not any(line.startswith(b"NG") for line in err.splitlines())
    return Path(os.fsdecode(out.strip()))


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8", "ascii:strict"])
def test_any_output_takes_any_name(root: Path, encoding: str) -> None:
    check = started(
        "data", "check", "--data-root", root / "plate", "--preview", root / "p.png", encoding=encoding
    )
    out, err = check.communicate(timeout=300)
    assert check.returncode == 0, err
    assert b"Traceback" not in err
    assert b"same file more than once" in out
    assert not any(line.startswith(b"NG") for line in (out + err).splitlines())


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_watch_tells_each_picture_on_one_line_and_goes_on(
    root: Path, run: Path, encoding: str, tmp_path: Path
) -> None:
    watch = started(
        "inspect", "--run-dir", run, root / "new", "--watch", "--idle", 1, "--interval", 0.1,
        "--output-dir", tmp_path / "out", encoding=encoding,
    )  # fmt: skip
    out, err = watch.communicate(timeout=300)
    assert watch.returncode == 0, err
    told = [line for line in out.splitlines() if b".png" in line]
    assert len(told) == 4
    assert all(b"new/" in line for line in told)
    assert any(b"a\\nNG  everything.png" in line for line in told)
    assert any(b"caf\xe9.png" in line for line in told)
    assert any(b"\\u50b7.png" in line for line in told)


@pytest.mark.parametrize(
    "words", [["data", "check", "--json"], ["backbones"], ["--help"], ["train", "--help"]]
)
def test_a_closed_pipe_is_neither_ng_nor_a_traceback(root: Path, words: list[str]) -> None:
    given = ["--data-root", root / "plate", "--preview", root / "p.png"] if words[0] == "data" else []
    reads, writes = os.pipe()
    os.close(reads)
    ended = started(*words, *given, stdout=writes)
    os.close(writes)
    _, err = ended.communicate(timeout=300)
    assert ended.returncode == 141, err
    assert b"Traceback" not in err
    assert b"Exception ignored" not in err


def test_help_may_be_read_in_part() -> None:
    reads, writes = os.pipe()
    ended = started("train", "--help", stdout=writes)
    os.close(writes)
    os.read(reads, 10)
    os.close(reads)
    _, err = ended.communicate(timeout=300)
    assert ended.returncode in (0, 141), err
    assert b"bug" not in err


def test_a_watch_whose_reader_goes_away_ends_with_its_lines_whole(
    root: Path, run: Path, tmp_path: Path
) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    out = tmp_path / "out"
    watch = started(
        "inspect", "--run-dir", run, root / "new", "--watch", "--idle", 5, "--interval", 0.1, "--fail-on-ng",
        "--output-dir", out, stdout=writes,
    )  # fmt: skip
    os.close(writes)
    _, err = watch.communicate(timeout=300)
    assert watch.returncode == 141, err
    assert b"Traceback" not in err
    lines = [json.loads(line) for line in (out / "preds.jsonl").read_text().splitlines()]
    assert lines
    assert all("label" in line for line in lines)
    assert (out / "report.json").is_file()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_behind_stdout_is_an_error_with_a_hint() -> None:
    with Path("/dev/full").open("wb") as full:
        ended = started("backbones", stdout=full)
        _, err = ended.communicate(timeout=300)
    assert ended.returncode == 2, err
    assert err.startswith(b"error: cannot print: No space left on device\nhint: ")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (RuntimeError("odd\nNG"), 70, "error: this is a bug in Kizu: RuntimeError: odd\\nNG\n"),
        (EOFError("odd"), 70, "this is a bug in Kizu: EOFError"),
        (BrokenPipeError(32, "a worker's pipe"), 70, "this is a bug in Kizu: BrokenPipeError"),
        (MemoryError(), 2, "not enough memory"),
        (KeyboardInterrupt(), 130, "run the same command to go on"),
    ],
)
def test_what_nobody_foresaw_is_never_ng(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, said: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(kizu.tasks.check, "check_data", fail)
    found = CliRunner().invoke(app, ["data", "check"])
    assert found.exit_code == code
    assert said in found.stderr
    assert ("Traceback" in found.stderr) == (code == 70)
    assert found.stdout == ""


def test_an_error_names_a_file_on_one_line(tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["data", "check", "--data-root", str(tmp_path / "a\nNG  b\x1b[2J")])
    assert found.exit_code == 2
    assert [line.split(":")[0] for line in found.stderr.splitlines()] == ["error", "hint"]
    assert "\x1b" not in found.stderr
