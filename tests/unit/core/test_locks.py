"""A folder is held by one at a time, and a lock ends with who held it."""

import errno
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kizu.core import locks
from kizu.core.errors import OutputError
from kizu.core.files import new_folder
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
        assert time.perf_counter() - start >= 0.3
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


def test_a_folder_that_is_removed_or_replaced_meanwhile_is_never_done(tmp_path: Path) -> None:
    folder = tmp_path / "run"

    def lose(again: bool) -> None:
        with locked(folder) as still_there:
            still_there()
            shutil.rmtree(folder)
            if again:
                (folder / "deep").mkdir(parents=True)
                (folder / ".lock").touch()
            with pytest.raises(OutputError, match="run was removed or replaced"):
                still_there()

    for again in (False, True):
        with pytest.raises(OutputError, match="run was removed or replaced"):
            lose(again)
    assert (folder / ".lock").exists()  # another's, who may hold it


def test_what_goes_wrong_inside_is_told_and_not_that_the_folder_is_gone(tmp_path: Path) -> None:
    def fail() -> None:
        with locked(tmp_path / "run"):
            shutil.rmtree(tmp_path / "run")
            raise KeyError("the first trouble")

    with pytest.raises(KeyError, match="the first trouble"):
        fail()


def test_a_second_one_who_makes_the_same_is_told_at_once_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "PATIENCE_S", 0.1)
    with new_folder(tmp_path / "r1"), ThreadPoolExecutor(1) as pool:

        def build(name: str) -> None:
            with new_folder(tmp_path / name):
                pass

        with pytest.raises(OutputError, match="r1 is in use by another command"):
            pool.submit(build, "r1").result()
        pool.submit(build, "r2").result()
    assert {path.name for path in tmp_path.iterdir()} == {"r1", "r2"}


@pytest.mark.skipif(sys.platform == "win32", reason="flock")
def test_where_the_file_system_knows_no_locks_one_at_a_time_is_kept_by_the_files_being_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    def unknown(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", unknown)
    monkeypatch.setattr(locks, "PATIENCE_S", 0.2)

    def enter() -> None:
        with locked(tmp_path):
            pass

    def enter_twice() -> None:
        with locked(tmp_path), ThreadPoolExecutor(1) as pool:
            pool.submit(enter).result()

    with pytest.warns(UserWarning, match="SoftFileLock"), pytest.raises(OutputError, match="in use"):
        enter_twice()
    assert list(tmp_path.iterdir()) == []

    def refused(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refused)
    with pytest.raises(OutputError, match=r"cannot lock .*No locks available"):
        enter()
