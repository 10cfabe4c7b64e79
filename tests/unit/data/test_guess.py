"""A layout that nobody named is told by what lies there, and read rightly then."""

from pathlib import Path

import pytest
from tests.support import ask, part_picture

from kizu.core.work import Work
from kizu.data.layouts import LAYOUTS
from kizu.data.layouts.guess import Guess, guess_layout
from kizu.imaging.codec import encode_png
from kizu.tasks.data import with_layout
from kizu.tasks.options import DataOptions

TOLD_BY_ITSELF = ("mvtec_ad", "mvtec_ad2", "mvtec_loco", "visa", "real_iad", "folder")
"""Those that something in them tells, without opening a file."""


@pytest.mark.parametrize("name", TOLD_BY_ITSELF)
def test_the_example_of_each_is_guessed_as_what_it_is(name: str, tmp_path: Path) -> None:
    for place in LAYOUTS[name].example:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(b"")
    guess = guess_layout(tmp_path)
    assert guess is not None
    assert guess.layout == name


def test_what_is_not_there_is_not_guessed(tmp_path: Path) -> None:
    assert guess_layout(tmp_path / "none") is None
    (tmp_path / "bottle").mkdir()
    assert guess_layout(tmp_path, "botle") is None


def test_good_and_bad_are_a_folder_and_that_is_told(tmp_path: Path) -> None:
    for kind in ("good", "bad"):
        (tmp_path / kind).mkdir()
    assert guess_layout(tmp_path) == Guess("folder", "the folders bad, good")
    told: list[str] = []
    found = with_layout(DataOptions(root=tmp_path), Work(on_note=told.append))
    assert found.layout == "folder"
    assert told == ["layout: folder (found the folders bad, good); --layout says otherwise"]


def test_who_names_a_layout_is_believed_and_the_default_is_not_told(tmp_path: Path) -> None:
    (tmp_path / "part/train/good").mkdir(parents=True)
    told: list[str] = []
    work = Work(on_note=told.append)
    assert with_layout(DataOptions(root=tmp_path, layout="visa"), work).layout == "visa"
    assert with_layout(DataOptions(root=tmp_path), work).layout is None
    assert told == []


def test_a_folder_of_good_pictures_is_trained_on_without_a_word_about_layouts(tmp_path: Path) -> None:
    for seed in range(8):
        encode_png(tmp_path / "parts" / f"{seed}.png", part_picture(seed))
    done = ask(
        "train", "--data-root", tmp_path / "parts", "--output-dir", tmp_path / "runs", "--backbone", "tiny",
        "--image-size", 64, "--folds", 2, "--rule", "maximum",
    )  # fmt: skip
    assert "note: layout: folder (found pictures alone)" in done.stderr
    config = (Path(done.stdout.splitlines()[-1]) / "config.yaml").read_text()
    assert "layout: folder" in config
    assert "rule: maximum" in config
    assert "folds: 2" in config
