import logging
from pathlib import Path

import pytest

from kizu.backbones import tiny
from kizu.backbones.cache import CACHE_VARIABLE, load_cached


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache" / "backbones"


class Pen:
    """Counts how often it draws."""

    def __init__(self) -> None:
        self.drawn = 0

    def __call__(self):
        self.drawn += 1
        return tiny.build("tiny")


def test_a_graph_is_drawn_once(folder: Path) -> None:
    pen = Pen()
    one, two = load_cached("tiny", "w", pen), load_cached("tiny", "w", pen)
    assert pen.drawn == 1
    assert one.SerializeToString() == two.SerializeToString()


def test_other_weights_are_another_graph(folder: Path) -> None:
    pen = Pen()
    load_cached("tiny", "w", pen)
    load_cached("tiny", "v", pen)
    assert pen.drawn == 2


def test_a_damaged_copy_is_drawn_again_and_mended(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    pen = Pen()
    load_cached("tiny", "w", pen)
    (path,) = folder.glob("*.onnx")
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with caplog.at_level(logging.WARNING):
        load_cached("tiny", "w", pen)
    assert "damaged" in caplog.text
    load_cached("tiny", "w", pen)
    assert pen.drawn == 2


def test_a_folder_that_cannot_be_written_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    pen = Pen()
    assert load_cached("tiny", "w", pen).graph.node
    assert load_cached("tiny", "w", pen).graph.node
    assert pen.drawn == 2
    assert "cache" in caplog.text
