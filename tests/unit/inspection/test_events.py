"""Events of a folder, whatever files in it are called."""

import os
from pathlib import Path

import pytest

from kizu.inspection.events import FolderEvents, events_of


def test_a_name_that_is_no_text_ends_no_watch(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    events = events_of(folder, 0.2)
    if not isinstance(events, FolderEvents):
        pytest.skip("nothing tells of changes here")
    events.wait(0.05)
    (folder / "a.png").write_bytes(b"x")
    assert folder / "a.png" in events.wait(0.2)
    assert events.is_reliable
    try:
        (folder / os.fsdecode(b"caf\xe9.png")).write_bytes(b"x")
    except OSError:
        pytest.skip("the file system takes UTF-8 names only")
    assert set(events.wait(0.2)) == {folder}
    assert not events.is_reliable
    assert set(events.wait(0.05)) == set()
