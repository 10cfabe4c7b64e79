"""How `kizu inspect` ends, and where it writes when nobody says so."""

import json
import os
from pathlib import Path

import pytest
from tests.support import category, part_picture, with_flaw
from typer.testing import CliRunner, Result

from kizu.cli.main import app
from kizu.imaging.codec import encode_png
from kizu.inspection import folder

FAST = ("--backbone", "tiny", "--image-size", "64", "--coreset", "0.2")


def kizu(*arguments: object) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "PAUSES_S", (0.01,))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("line")
    category(root / "sets", "plate", 0)
    trained = kizu(
        "train", "--data-root", root / "sets", "--category", "plate", "--output-dir", root / "runs",
        "--run-id", "r", *FAST,
    )  # fmt: skip
    assert trained.exit_code == 0, trained.stderr
    return root / "runs/patchcore/plate/r"


def good(path: Path) -> None:
    encode_png(path, part_picture(3))


def bad(path: Path) -> None:
    encode_png(path, with_flaw(part_picture(3), 20, 30))


def broken(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"no picture")
    os.utime(path, (0, 0))


def unread(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".gif").write_bytes(b"GIF89a" + bytes(40))


@pytest.mark.parametrize(
    ("made", "plain", "asked"),
    [
        ([good], 0, 0),
        ([bad], 0, 1),
        ([good, broken], 3, 3),
        ([broken], 3, 3),
        ([bad, broken], 3, 1),
        ([good, unread], 3, 3),
    ],
)
def test_the_exit_code_says_what_there_was(
    run: Path, tmp_path: Path, made: list, plain: int, asked: int
) -> None:
    for number, make in enumerate(made):
        make(tmp_path / f"in/{number}.png")
    for flags, code in (((), plain), (("--fail-on-ng",), asked), ((), plain)):
        done = kizu("inspect", "--run-dir", run, tmp_path / "in", "--output-dir", tmp_path / "out", *flags)
        assert done.exit_code == code, done.stderr
    if broken in made:
        assert "not inspected: 1" in done.stderr
        assert f"{made.index(broken)}.png" in done.stderr


def test_the_exit_code_is_about_the_pictures_of_this_call(run: Path, tmp_path: Path) -> None:
    """The folder of results remembers yesterday's."""
    bad(tmp_path / "in/a.png")
    broken(tmp_path / "in/b.png")
    call = ("inspect", "--run-dir", run, tmp_path / "in", "--output-dir", tmp_path / "out", "--fail-on-ng")
    assert kizu(*call).exit_code == 1
    (tmp_path / "in/a.png").unlink()
    assert kizu(*call).exit_code == 3
    (tmp_path / "in/b.png").unlink()
    good(tmp_path / "in/c.png")
    done = kizu(*call)
    assert done.exit_code == 0
    assert done.stdout.splitlines()[-1] == "2 images: 1 OK, 1 NG, 1 not inspected"


def test_two_folders_of_one_name_have_their_own_results(run: Path, tmp_path: Path) -> None:
    good(tmp_path / "a/new/0.png")
    bad(tmp_path / "b/new/0.png")
    places = []
    for name in ("a", "b", "a", "b"):
        done = kizu("inspect", "--run-dir", run, tmp_path / name / "new")
        assert done.exit_code == 0, done.stderr
        places.append(Path(done.stderr.splitlines()[-1].removeprefix("wrote ")))
    assert places[0] == places[2] == run / "inspections/new"
    assert places[1] == places[3]
    assert places[1].name.startswith("new-")
    for place, label in zip(places, ("OK", "NG"), strict=False):
        (line,) = (place / "preds.jsonl").read_text().splitlines()
        assert json.loads(line)["label"] == label
