"""A command that could not look at everything says so by how it ends."""

import shutil
from pathlib import Path

import pytest
from tests.support import category, part_picture
from typer.testing import CliRunner, Result

import kizu.tasks.recommend
from kizu.cli.main import app
from kizu.imaging.codec import encode_png
from kizu.lab.recommend import Recommendation

FAST = ("--backbone", "tiny", "--image-size", "64")


def kizu_command(*words: object) -> Result:
    return CliRunner().invoke(app, list(map(str, words)))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("exits")
    category(root / "sets", "plate", 0)
    done = kizu_command(
        "train", "--data-root", root / "sets", "--category", "plate", *FAST, "--coreset", 0.2,
        "--output-dir", root / "runs", "--run-id", "r",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    return root


@pytest.fixture
def root(trained: Path, tmp_path: Path) -> Path:
    """A copy of a run and its set."""
    return shutil.copytree(trained, tmp_path / "copy")


def pictures(folder: Path, *, readable: int, broken: int) -> Path:
    for number in range(readable):
        encode_png(folder / f"{number}.png", part_picture(50 + number))
    for number in range(broken):
        folder.mkdir(exist_ok=True)
        (folder / f"broken{number}.png").write_bytes(b"no picture")
    return folder


@pytest.mark.parametrize(("readable", "broken", "code"), [(4, 0, 0), (4, 1, 3), (2, 1, 2), (0, 3, 2)])
def test_a_ranking_without_some_pictures_is_not_whole(
    tmp_path: Path, readable: int, broken: int, code: int
) -> None:
    folder = pictures(tmp_path / "in", readable=readable, broken=broken)
    found = kizu_command("zero-shot", folder, *FAST, "--output-dir", tmp_path / "out")
    assert found.exit_code == code, found.stderr
    assert ("unreadable: broken0.png" in found.stderr) == (code == 3)


def test_a_prediction_without_some_pictures_is_not_whole(trained: Path, root: Path) -> None:
    run = root / "runs/patchcore/plate/r"
    manifest = run / "manifest.jsonl"
    manifest.write_text(manifest.read_text().replace(str(trained), str(root)))
    assert kizu_command("predict", "--run-dir", run).exit_code == 0
    shutil.rmtree(run / "predictions")
    (root / "sets/plate/test/good/12.png").write_bytes(b"no picture")
    found = kizu_command("predict", "--run-dir", run)
    assert found.exit_code == 3
    assert "1 not inspected" in found.stdout


@pytest.mark.parametrize(("readable", "code"), [(1, 0), (0, 2)])
def test_an_update_learns_something_or_fails(root: Path, readable: int, code: int) -> None:
    run = root / "runs/patchcore/plate/r"
    folder = pictures(root / "new", readable=readable, broken=2)
    asked = ("update", "--run-dir", run, "--images", folder, "--reason", "x")
    assert kizu_command(*asked).exit_code == 2
    found = kizu_command(*asked, "--skip-broken")
    assert found.exit_code == code, found.stderr
    assert (run / "versions").exists() == (code == 0)


def test_an_update_takes_what_is_called_good_and_tells_the_rest(root: Path) -> None:
    run = root / "runs/patchcore/plate/r"
    for name in ("ok", "NG", "later"):
        encode_png(root / "lot" / name / "0.png", part_picture(80 + len(name)))
    found = kizu_command("update", "--run-dir", run, "--images", root / "lot", "--reason", "x")
    assert found.exit_code == 0, found.stderr
    assert "learned 1 images" in found.stderr
    assert (
        "note: pictures in folders whose names say neither good nor bad passed over: 1 (later: 1)"
        in found.stderr
    )
    assert (
        "note: pictures that are not for learning, as their folders' names say passed over: 1 (NG: 1)"
        in found.stderr
    )
    found = kizu_command("update", "--run-dir", run, "--images", root / "lot/NG", "--reason", "x")
    assert found.exit_code == 2
    assert "called as if its pictures were not good" in found.stderr


@pytest.mark.parametrize("broken", [1, 12])
def test_a_training_with_broken_pictures_fails_or_leaves_them_out(tmp_path: Path, broken: int) -> None:
    category(tmp_path, "plate", 0)
    for number in range(broken):
        (tmp_path / f"plate/train/good/{number}.png").write_bytes(b"no picture %d" % number)
    asked = ("train", "--data-root", tmp_path, *FAST, "--coreset", 0.2, "--output-dir", tmp_path / "runs")
    found = kizu_command(*asked)
    assert found.exit_code == 2
    assert "note: error: is not an image in a format that Kizu reads" in found.stderr
    found = kizu_command(*asked, "--skip-broken")
    assert found.exit_code == (0 if broken == 1 else 2), found.stderr
    assert "this is a bug" not in found.stderr


def test_a_recommendation_that_was_to_be_written_and_is_not_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kizu.tasks.recommend, "recommend", lambda *_, **__: Recommendation(9, (), {}))
    category(tmp_path, "plate", 0)
    asked = ("recommend", "--data-root", tmp_path / "plate")
    assert kizu_command(*asked).exit_code == 0
    found = kizu_command(*asked, "--output", tmp_path / "config.yaml")
    assert found.exit_code == 2, found.stderr
    assert "config.yaml is not written: nothing that was tried fits the budget" in found.stderr
    assert not (tmp_path / "config.yaml").exists()


@pytest.mark.parametrize(("name", "code"), [("a.gif", 3), ("notes.txt", 0), (".a.gif", 0)])
def test_an_inspection_that_passed_pictures_over_is_not_whole(root: Path, name: str, code: int) -> None:
    folder = pictures(root / "new", readable=2, broken=0)
    (folder / name).write_bytes(b"GIF89a" if "gif" in name else b"x")
    run = root / "runs/patchcore/plate/r"
    found = kizu_command("inspect", "--run-dir", run, folder)
    assert found.exit_code == code, found.stderr
    assert f"passed over: 1 ({name}" in found.stderr
    assert ("0 not inspected, 1 in other formats passed over" in found.stdout) == (code == 3)
    assert kizu_command("inspect", "--run-dir", run, folder, "--glob", "*.png").exit_code == 0
