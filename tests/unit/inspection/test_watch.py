"""A drop folder: half-written files wait, each state of a whole one is given once."""

import os
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest

from kizu.core.errors import DataError
from kizu.data.manifest import Sample
from kizu.inspection.watch import LOOK_AGAIN_S, DropFolder


class Clock:
    """Time passes by waiting alone, so that a busy machine does not change what is seen."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Folder:
    """Pictures appear and grow at each look, as told; it is both what lists them and what tells of changes."""

    def __init__(self, root: Path, looks: list[dict[str, bytes]], *, is_reliable: bool = False) -> None:
        self.root, self.looks, self.is_reliable = root, looks, is_reliable
        self.clock = Clock()
        self.look = 0
        self.listed = 0
        self.waits: list[float] = []
        self.is_away = False
        self._write()

    def _write(self) -> list[Path]:
        self.look += 1
        told = self.looks[self.look - 1] if self.look <= len(self.looks) else {}
        for name, content in told.items():
            (self.root / name).write_bytes(content)
        return [self.root / name for name in told]

    def every(self) -> Sequence[Sample]:
        if self.is_away:
            raise DataError("the folder is away")
        self.listed += 1
        return [Sample(path.name, path) for path in sorted(self.root.iterdir())]

    def one(self, path: Path) -> Sample | None:
        return Sample(path.name, path) if path.is_file() else None

    def wait(self, seconds: float) -> Collection[Path]:
        self.clock.now += seconds
        self.waits.append(seconds)
        changed = self._write()
        return changed if self.is_reliable else ()


def drop(folder: Folder, *, idle: float = 1.0) -> DropFolder:
    return DropFolder(folder, folder, idle_seconds=idle, interval=0.5, clock=folder.clock)


def given(folder: Folder, *, idle: float = 1.0) -> list[tuple[list[str], int]]:
    """The names that are given together, and at which look; a look every half second."""
    return [([sample.id for sample in piece], folder.look) for piece in drop(folder, idle=idle) if piece]


@pytest.fixture(params=[False, True], ids=["by time", "by events"])
def is_reliable(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_a_file_is_given_when_it_has_stayed_as_it_is(tmp_path: Path, is_reliable: bool) -> None:
    looks = [{"a": b"12"}, {"b": b"1"}, {"b": b"12"}, {"b": b"123"}, {}, {"c": b""}, {}, {"c": b"1"}, {}]
    folder = Folder(tmp_path, looks, is_reliable=is_reliable)
    assert given(folder) == [(["a"], 2), (["b"], 5), (["c"], 9)]
    assert set(folder.waits) == {0.5}


def test_a_file_that_is_written_again_at_the_same_size_waits_too(tmp_path: Path) -> None:
    class Rewritten(Folder):
        def _write(self) -> list[Path]:
            found = super()._write()
            if self.look <= 3:
                os.utime(self.root / "a", ns=(0, self.look))
            return found

    assert given(Rewritten(tmp_path, [{"a": b"12"}])) == [(["a"], 4)]


def test_each_file_is_given_once_and_what_vanishes_is_forgotten(tmp_path: Path, is_reliable: bool) -> None:
    class Vanishing(Folder):
        def every(self) -> Sequence[Sample]:
            return [*super().every(), Sample("gone", self.root / "gone")]

    folder = Vanishing(tmp_path, [{"a": b"1", "b": b"2"}, {}, {"c": b"3"}, {}, {}], is_reliable=is_reliable)
    assert given(folder) == [(["a", "b"], 2), (["c"], 4)]


def test_a_file_that_changes_after_it_was_given_is_given_again(tmp_path: Path, is_reliable: bool) -> None:
    folder = Folder(tmp_path, [{"a": b"1"}, {}, {"a": b"12"}, {}, {}], is_reliable=is_reliable)
    assert given(folder) == [(["a"], 2), (["a"], 4)]


@pytest.mark.parametrize(("idle", "looks"), [(0.0, 1), (0.5, 3), (1.0, 4), (2.0, 6)])
def test_a_watch_ends_when_nothing_has_come_for_so_long(tmp_path: Path, idle: float, looks: int) -> None:
    """A file comes at the first look and is given at the second: from there on it is quiet."""
    folder = Folder(tmp_path, [{"a": b"1"}])
    assert given(folder, idle=idle) == ([(["a"], 2)] if idle else [])
    assert folder.look == looks


def test_a_file_that_never_gets_whole_does_not_keep_the_watch_up(tmp_path: Path) -> None:
    folder = Folder(tmp_path, [{"empty": b""}])
    assert given(folder) == []
    assert folder.look == 3


def test_what_is_still_growing_keeps_the_watch_up(tmp_path: Path, is_reliable: bool) -> None:
    folder = Folder(tmp_path, [{"a": bytes(size)} for size in range(1, 9)], is_reliable=is_reliable)
    assert given(folder, idle=0.5) == [(["a"], 9)]


def test_what_is_put_back_comes_again_after_pauses_that_double(tmp_path: Path) -> None:
    folder = Folder(tmp_path, [{"a": b"1"}])
    watched = drop(folder, idle=2.5)
    times = []
    for piece in watched:
        for sample in piece:
            times.append(folder.clock.now)
            watched.put_back(sample)
    assert times[:4] == [0.5, 1.0, 2.0, 4.0]


def test_where_the_system_tells_of_changes_not_everything_is_looked_at(tmp_path: Path) -> None:
    looks: list[dict[str, bytes]] = [{f"{number}": b"1"} for number in range(40)]
    folder = Folder(tmp_path, looks, is_reliable=True)
    assert len(given(folder)) == 40
    assert folder.listed <= 2 + folder.clock.now / LOOK_AGAIN_S


def test_what_no_event_told_of_is_found_all_the_same(tmp_path: Path) -> None:
    folder = Folder(tmp_path, [{"a": b"1"}], is_reliable=True)
    (tmp_path / "hidden").mkdir()
    found = []
    for piece in drop(folder, idle=2 * LOOK_AGAIN_S):
        found += [sample.id for sample in piece if sample.path.is_file()]
        if folder.look == 4:
            (tmp_path / "b").write_bytes(b"2")  # and nothing says so
    assert found == ["a", "b"]


def test_a_look_that_takes_long_is_made_rarely(tmp_path: Path) -> None:
    class Slow(Folder):
        def every(self) -> Sequence[Sample]:
            self.clock.now += 1.0
            return super().every()

    folder = Slow(tmp_path, [{"a": b"1"}])
    given(folder, idle=60)
    assert folder.listed <= 1 + folder.clock.now / 20


def test_a_folder_that_is_away_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    folder = Folder(tmp_path, [{"a": b"1"}, {}, {}, {}, {}, {"b": b"2"}, {}])
    found = []
    for piece in drop(folder, idle=3):
        found += [sample.id for sample in piece]
        folder.is_away = 2 < folder.look < 5
    assert found == ["a", "b"]
