"""A drop folder: half-written files wait, whole ones are given once."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from kizu.data.manifest import Sample
from kizu.inspection.watch import arrivals


class Folder:
    """Pictures appear and grow at each look, as told."""

    def __init__(self, root: Path, looks: list[dict[str, bytes]]) -> None:
        self.root, self.looks, self.look = root, looks, 0

    def __call__(self) -> list[Sample]:
        if self.look < len(self.looks):
            for name, content in self.looks[self.look].items():
                (self.root / name).write_bytes(content)
        self.look += 1
        return [Sample(path.name, path) for path in sorted(self.root.iterdir())]


class Vanishing(Folder):
    """Lists a file, too, that is gone before anybody can look at it."""

    def __call__(self) -> list[Sample]:
        return [*super().__call__(), Sample("gone", self.root / "gone")]


class Clock:
    """Time passes by sleeping alone, so that a busy machine does not change what is seen."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept.append(seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("kizu.inspection.watch.time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def given(folder: Folder, clock: Clock, *, idle: float = 1.0) -> list[tuple[list[str], int]]:
    """The names that are given together, and at which look; a look every half second."""
    found = arrivals(folder, idle_seconds=idle, interval=0.5, sleep=clock.sleep)
    return [([sample.id for sample in piece], folder.look) for piece in found]


def test_a_file_is_given_when_it_has_stayed_as_it_is(tmp_path: Path, clock: Clock) -> None:
    looks = [{"a": b"12"}, {"b": b"1"}, {"b": b"12"}, {"b": b"123"}, {}, {"c": b""}, {}, {"c": b"1"}, {}]
    folder = Folder(tmp_path, looks)
    assert given(folder, clock) == [(["a"], 2), (["b"], 5), (["c"], 9)]
    assert set(clock.slept) == {0.5}


def test_a_file_that_is_written_again_at_the_same_size_waits_too(tmp_path: Path, clock: Clock) -> None:
    class Rewritten(Folder):
        def __call__(self) -> list[Sample]:
            found = super().__call__()
            changed = self.look if self.look <= 3 else 3
            os.utime(self.root / "a", ns=(0, changed))
            return found

    assert given(Rewritten(tmp_path, [{"a": b"12"}]), clock) == [(["a"], 4)]


def test_each_file_is_given_once_and_what_vanishes_is_forgotten(tmp_path: Path, clock: Clock) -> None:
    folder = Vanishing(tmp_path, [{"a": b"1", "b": b"2"}, {}, {"c": b"3"}, {}, {}])
    assert given(folder, clock) == [(["a", "b"], 2), (["c"], 4)]


def test_a_file_that_was_given_is_not_given_again_when_it_changes(tmp_path: Path, clock: Clock) -> None:
    folder = Folder(tmp_path, [{"a": b"1"}, {}, {"a": b"12"}, {}, {}])
    assert given(folder, clock) == [(["a"], 2)]


@pytest.mark.parametrize(("idle", "looks"), [(0.0, 1), (0.5, 3), (1.0, 4), (2.0, 6)])
def test_a_watch_ends_when_nothing_has_come_for_so_long(
    tmp_path: Path, clock: Clock, idle: float, looks: int
) -> None:
    """A file comes at the first look and is given at the second: from there on it is quiet."""
    folder = Folder(tmp_path, [{"a": b"1"}])
    assert given(folder, clock, idle=idle) == ([(["a"], 2)] if idle else [])
    assert folder.look == looks


def test_a_file_that_never_gets_whole_does_not_keep_the_watch_up(tmp_path: Path, clock: Clock) -> None:
    folder = Folder(tmp_path, [{"empty": b""}])
    assert given(folder, clock) == []
    assert folder.look == 3


def test_what_is_still_growing_keeps_the_watch_up(tmp_path: Path, clock: Clock) -> None:
    folder = Folder(tmp_path, [{"a": bytes(size)} for size in range(1, 9)])
    assert given(folder, clock, idle=0.5) == [(["a"], 9)]
