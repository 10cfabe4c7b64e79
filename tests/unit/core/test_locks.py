"""A folder is held by one at a time, and a lock ends with who held it."""

import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kizu.core import locks
from kizu.core.errors import OutputError
from kizu.core.locks import locked

HOLD = """
import sys, time
from pathlib import Path
from kizu.core.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


COUNT = """
import sys
from pathlib import Path
from kizu.core import locks
from kizu.core.locks import locked
locks.PATIENCE_S = 60.0
path = Path(sys.argv[1], "count")
for _ in range(int(sys.argv[2])):
    with locked(path.parent):
        path.write_text(str(int(path.read_text()) + 1))
"""


def test_no_two_processes_are_inside_at_once_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "count").write_text("0")
    command = [sys.executable, "-c", COUNT, str(tmp_path), "100"]
    for process in [subprocess.Popen(command) for _ in range(3)]:
        assert process.wait() == 0
    assert (tmp_path / "count").read_text() == "300"
    assert [path.name for path in tmp_path.iterdir()] == ["count"]


def test_a_second_command_is_told_which_folder_is_in_use_until_the_first_one_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        start = time.perf_counter()
        monkeypatch.setattr(locks, "PATIENCE_S", 0.3)
        with pytest.raises(OutputError, match="run is in use") as refused, locked(folder):
            pass
        assert 0.3 <= time.perf_counter() - start < 5
        assert refused.value.hint
    finally:
        holder.send_signal(signal.SIGTERM)
        holder.communicate()
    monkeypatch.setattr(locks, "PATIENCE_S", 5.0)
    with locked(folder):  # a lock does not outlive who held it
        pass
    assert list(folder.iterdir()) == []


def test_who_waits_gets_it_when_it_is_let_go(tmp_path: Path) -> None:
    inside: list[str] = []

    def enter(name: str) -> None:
        with locked(tmp_path):
            inside.append(name)
            time.sleep(0.02)
            inside.append(name)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(enter, "abcd"))
    assert inside[::2] == inside[1::2]
    assert set(inside) == set("abcd")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot lock .*file/run"), locked(tmp_path / "file" / "run"):
        pass
