"""What the system tells is heard, whatever a file is called, and also after the folder has been away."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from kizu.inspection import events
from kizu.inspection.events import FolderEvents, events_of
from kizu.inspection.watch import Pause


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[Callable[[Path], bool]]:
    """Whether a change of that path is told of before long."""
    (tmp_path / "drop/sub").mkdir(parents=True)
    listening = FolderEvents(tmp_path / "drop")

    def hear(path: Path) -> bool:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            if path in listening.wait(0.05):
                return True
        return False

    yield hear
    listening.close()


@pytest.mark.parametrize(
    "name", ["a.png", "sub/b.png", "ü\u2028.png", os.fsdecode(b"caf\xe9.png"), "n\nm.png"]
)
def test_a_new_file_is_told_of_by_its_name(tmp_path: Path, heard: Callable[[Path], bool], name: str) -> None:
    path = tmp_path / "drop" / name
    path.write_bytes(b"1")
    assert heard(path)
    path.rename(tmp_path / "drop/moved.png")
    assert heard(tmp_path / "drop/moved.png")


def test_a_folder_that_was_deleted_and_made_again_is_heard(tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    drop.mkdir()
    listening = FolderEvents(drop)
    shutil.rmtree(drop)
    listening.wait(0.05)
    drop.mkdir()
    until = time.monotonic() + 20
    number = 0
    while not listening.wait(0.05) and time.monotonic() < until:
        (drop / f"{number}.png").write_bytes(b"1")
        number += 1
    listening.close()
    assert time.monotonic() < until


def test_on_a_share_only_time_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    partition = psutil.disk_partitions(all=True)[0]
    mounted = partition._replace(mountpoint=str(tmp_path), fstype="cifs")
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: [partition, mounted])
    assert isinstance(events_of(tmp_path), Pause)


def test_where_no_more_can_be_watched_only_time_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: object) -> None:
        raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr(events.FolderEvents, "_start", exhausted)
    assert isinstance(events_of(tmp_path), Pause)
