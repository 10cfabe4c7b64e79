"""Own files are written whole, with the user's mode, and read whole or refused by name."""

import errno
import io
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from kizu.core.config import Stored
from kizu.core.errors import BundleError, DataError, KizuError, OutputError
from kizu.core.files import (
    ensure_disk_room,
    new_folder,
    read_json,
    read_jsonl,
    read_rows,
    read_stored,
    replace_whole,
    scratch_folder,
    write_json,
    write_jsonl,
    write_text,
)
from kizu.core.parts import folder_part

posix = pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX")


class Row(Stored):
    id: str
    score: float = 0.0


@pytest.fixture(params=[0o077, 0o022, 0o002], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@posix
def test_a_new_file_and_a_new_folder_have_the_mode_that_the_umask_leaves(tmp_path: Path, umask: int) -> None:
    write_json(tmp_path / "a.json", {})
    with new_folder(tmp_path / "folder") as temporary:
        (temporary / "inside").mkdir()
        write_text(temporary / "inside" / "b.txt", "b")
    assert mode(tmp_path / "a.json") == mode(tmp_path / "folder/inside/b.txt") == 0o666 & ~umask
    assert mode(tmp_path / "folder") == mode(tmp_path / "folder/inside") == 0o777 & ~umask


@posix
@pytest.mark.parametrize("kept", [0o600, 0o640, 0o666, 0o444], ids=oct)
def test_a_file_that_is_replaced_keeps_its_mode(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"old": True})
    path.chmod(kept)
    write_json(path, {"old": False})
    assert mode(path) == kept
    assert read_json(path) == {"old": False}


@posix
def test_a_file_is_on_the_disk_before_it_gets_its_name_and_the_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    path, sync = tmp_path / "a.json", os.fsync

    def noted(handle: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file"
        seen.append(f"{kind}, {'named' if path.exists() else 'not yet named'}")
        sync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    write_json(path, {})
    assert seen == ["file, not yet named", "folder, named"]
    seen.clear()
    write_text(tmp_path / "b.json", "again", durable=False)
    assert seen == []


@posix
def test_all_of_a_new_folder_is_on_the_disk_before_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[int] = set()
    monkeypatch.setattr(os, "fsync", lambda handle: synced.add(os.fstat(handle).st_ino))
    with new_folder(tmp_path / "made" / "folder") as temporary:
        (temporary / "deep").mkdir()
        (temporary / "deep" / "a.npy").write_bytes(b"a")
        (temporary / "b.json").write_bytes(b"b")
    places = [tmp_path / "made", *(tmp_path / "made").rglob("*")]
    assert len(places) == 5
    assert synced >= {place.stat().st_ino for place in places}


def test_a_folder_that_fails_leaves_nothing_and_one_that_is_there_stays(tmp_path: Path) -> None:
    def fail() -> None:
        with new_folder(tmp_path / "a") as temporary:
            (temporary / "half").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a").mkdir()
    with pytest.raises(OutputError, match="exists"):
        fail()


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    with replace_whole(tmp_path / "a") as first, replace_whole(tmp_path / "a") as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert (tmp_path / "a").read_text() == "first"
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


BROKEN = {
    "empty": b"",
    "cut": b'{"id": "a", "sco',
    "NUL": b"\0" * 64,
    "not an object": b'["a"]\n',
    "a word": b"null\n",
    "not UTF-8": b'{"id": "\xff"}\n',
    "half a letter": '{"id": "ö'.encode()[:-1],
    "not a number": b'{"id": "a", "score": NaN}\n',
    "too deep": b"[" * 100_000,
    "another shape": b'{"id": ["a"], "score": 1}\n',
    "a key is missing": b'{"score": 1}\n',
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_is_refused_by_name_with_what_to_do(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    for read in (read_stored, read_rows):
        with pytest.raises(DataError, match=r"a\.json") as refused:
            read(path, Row)
        assert refused.value.hint


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    for read in (read_json, lambda path: list(read_jsonl(path))):
        with pytest.raises(DataError, match=r"a\.json is missing"):
            read(tmp_path / "a.json")
    with pytest.raises(BundleError, match="cannot be read: Is a directory"):
        read_json(tmp_path, raises=BundleError)


def test_the_line_that_is_broken_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    for line in ('{"id": "b', "\0\0\0", '{"id": 1}'):
        path.write_text(f'{{"id": "a"}}\n{line}\n{{"id": "c"}}\n')
        with pytest.raises(KizuError, match=r"rows\.jsonl, line 2"):
            read_rows(path, Row)


def test_rows_come_back_whatever_their_names_hold(tmp_path: Path) -> None:
    no_utf8 = b"\xff\\.png".decode("utf-8", "surrogateescape")
    names = ["a", "b\u2028c", "d\x85e", "f\x1cg", "h\r\ni", "傷", no_utf8]
    write_json(tmp_path / "names.json", {"names": names})
    assert read_json(tmp_path / "names.json") == {"names": names}
    write_jsonl(tmp_path / "rows.jsonl", [{"id": name, "later": 1} for name in names])
    assert [row.id for row in read_rows(tmp_path / "rows.jsonl", Row)] == names


FULL = OSError(errno.ENOSPC, "No space left on device")


def fail(*_: object, **__: object) -> None:
    raise FULL


@pytest.mark.parametrize("step", ["open", "fsync", "replace"])
def test_a_full_disk_is_told_with_the_file_and_what_was_there_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"old": True})
    place = {"open": Path, "fsync": os, "replace": Path}[step]
    with monkeypatch.context() as patched:
        patched.setattr(place, step, fail)
        with pytest.raises(OutputError, match=r"cannot write .*a\.json: No space left"):
            write_json(path, {"old": False})
    assert read_json(path) == {"old": True}
    assert list(tmp_path.iterdir()) == [path]


@posix
@pytest.mark.parametrize("call", ["write", "close"])
def test_a_disk_that_fills_up_at_a_write_or_a_close_is_told_too(tmp_path: Path, call: str) -> None:
    class Filling(io.BytesIO):
        def write(self, *_: object) -> int:
            return fail() if call == "write" else 0  # type: ignore[return-value]

        def close(self) -> None:
            super().close()
            fail()

    def write() -> None:
        with replace_whole(tmp_path / "a"), Filling() as stream:
            stream.write(b"a")

    with pytest.raises(OutputError, match=r"cannot write .*a: No space left"):
        write()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(
    not Path("/dev/shm").is_dir() or os.getuid() != 0, reason="needs a file system of its own"
)
def test_a_file_system_that_is_really_full_loses_nothing(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)], check=False)
    if mounted.returncode:
        pytest.skip("may not mount")
    try:
        write_json(small / "a.json", {"old": True})
        with pytest.raises(OutputError, match=r"cannot write .*a\.json: No space left"):
            write_json(small / "a.json", {"new": "x" * 200_000})
        with (
            pytest.raises(OutputError, match=r"cannot write .*run: "),
            new_folder(small / "run") as temporary,
        ):
            np.save(temporary / "a.npy", np.zeros(200_000))
        with pytest.raises(OutputError, match=r"cannot write .*small: "), scratch_folder(small) as scratch:
            (scratch / "model.onnx").write_bytes(b"x" * 200_000)
        assert read_json(small / "a.json") == {"old": True}
        assert list(small.iterdir()) == [small / "a.json"]
    finally:
        subprocess.run(["umount", str(small)], check=True)


@posix
def test_a_folder_that_is_removed_while_it_is_built_is_never_done(tmp_path: Path) -> None:
    def lose(again: bool) -> None:
        with new_folder(tmp_path / "run") as temporary:
            write_json(temporary / "a.json", {})
            shutil.rmtree(temporary)
            if again:
                write_json(temporary / "b.json", {})

    for again in (False, True):
        with pytest.raises(OutputError, match=r"cannot write .*run"):
            lose(again)
        assert list(tmp_path.iterdir()) == []


def test_what_fails_inside_a_new_folder_is_told_by_the_name_it_would_have_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build() -> None:
        with new_folder(tmp_path / "run") as temporary:
            monkeypatch.setattr(Path, "replace", fail)
            write_json(temporary / "meta.json", {})

    with pytest.raises(OutputError, match="No space left") as refused:
        build()
    assert refused.value.message.startswith(f"cannot write {tmp_path / 'run' / 'meta.json'}: ")


@posix
def test_a_new_folder_is_on_the_disk_before_its_name_and_its_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    path, sync, rename = tmp_path / "run", os.fsync, Path.replace

    def noted(handle: int) -> None:
        seen.append(str(Path(f"/proc/self/fd/{handle}").readlink().relative_to(tmp_path)))
        sync(handle)

    def renamed(self: Path, target: Path) -> Path:
        seen.append(f"-> {target.name}")
        return rename(self, target)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("no /proc")
    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(Path, "replace", renamed)
    with new_folder(path) as temporary:
        (temporary / "deep").mkdir()
        (temporary / "deep" / "a").write_bytes(b"a")
    part = temporary.name
    assert seen == [f"{part}/deep/a", f"{part}/deep", part, "-> run", "."]


def test_scratch_is_gone_afterwards_and_so_is_what_a_kill_left_there(tmp_path: Path) -> None:
    dead = folder_part(tmp_path / "killed")
    (dead / "features").mkdir(parents=True)
    with scratch_folder(tmp_path) as first, scratch_folder(tmp_path) as second:
        assert first != second
        assert first.is_dir()
        assert not dead.exists()
        (first / "a").write_bytes(b"a")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError, match="elsewhere"), scratch_folder(tmp_path):
        Path("/elsewhere").read_bytes()  # another's trouble is not the scratch folder's
    with pytest.raises(OutputError, match="gone"), scratch_folder(tmp_path / "gone"):
        pass


def test_what_the_disk_has_no_room_for_is_told_with_both_sizes(tmp_path: Path) -> None:
    ensure_disk_room(tmp_path, 1, "a.zip")
    with pytest.raises(OutputError, match=rf"^a.zip takes {1 << 40} MB, and \d+ MB are free"):
        ensure_disk_room(tmp_path, 1 << 60, "a.zip")
