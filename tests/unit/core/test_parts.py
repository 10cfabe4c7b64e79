"""Names of what is not whole are nobody else's, and only dead writers' are removed."""

import os
from pathlib import Path

import pytest

from kizu.core.files import new_folder, write_bytes
from kizu.core.locks import LOCK, RESULTS_LOCK, locked, locked_name, sweep_builds
from kizu.core.parts import (
    file_part,
    folder_part,
    is_part,
    list_file_parts,
    make_folder,
    name_lock,
    sweep_file_parts,
)

USERS = (
    ".a.json.0123abcd.part",
    "a.part",
    ".kizu.part",
    ".kizu-0123456789abcdef.part.png",
    ".kizu-0123456789ABCDEF.part",
)
"""Names that only look like ours."""


def leave_half(path: Path) -> Path:
    """What a killed writer of `path` leaves."""
    half = file_part(path)
    half.parent.mkdir(parents=True, exist_ok=True)
    half.write_bytes(b"half")
    return half


def test_the_name_is_short_however_long_the_other_is_and_never_the_same_twice(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    assert len({file_part(path).name for _ in range(100)}) == 100
    for part in (file_part(path), folder_part(path)):
        assert len(part.name) < 40
        assert is_part(part)
        assert part.parent == tmp_path
    assert folder_part(path) == folder_part(path) != folder_part(tmp_path / "other")


@pytest.mark.parametrize("name", ["n" * 255, "ü" * 127, "-", "..."])
def test_a_name_as_long_as_a_file_system_takes_is_written(tmp_path: Path, name: str) -> None:
    write_bytes(tmp_path / name, b"whole")
    with new_folder(tmp_path / "folder" / name) as temporary:
        write_bytes(temporary / name, b"whole")
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [name, name]


def test_who_holds_a_folder_finds_it_without_half_files_and_the_users_are_left(tmp_path: Path) -> None:
    leave_half(tmp_path / "a.json")
    for name in USERS:
        (tmp_path / name).write_bytes(b"mine")
    (tmp_path / ".kizu-0123456789abcdef.part").mkdir()
    with locked(tmp_path):
        assert list_file_parts(tmp_path) == []
    assert {path.name for path in tmp_path.iterdir()} == {*USERS, ".kizu-0123456789abcdef.part"}


@pytest.mark.parametrize(("mine", "other"), [(LOCK, RESULTS_LOCK), (RESULTS_LOCK, LOCK)])
def test_the_half_file_of_a_living_writer_stays(tmp_path: Path, mine: str, other: str) -> None:
    with locked(tmp_path, name=other):
        half = leave_half(tmp_path / "a.json")
        with locked(tmp_path, name=mine):
            assert half.exists()
    with locked(tmp_path, name=mine):
        assert not half.exists()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("mine", "other"), [(LOCK, RESULTS_LOCK), (RESULTS_LOCK, LOCK)])
def test_a_lock_that_a_kill_left_is_removed_and_one_that_is_held_stays(
    tmp_path: Path, mine: str, other: str
) -> None:
    (tmp_path / other).touch()
    with locked(tmp_path, name=mine):
        assert [path.name for path in tmp_path.iterdir()] == [mine]
    with locked(tmp_path, name=other), locked(tmp_path, name=mine):
        assert (tmp_path / other).exists()
    assert list(tmp_path.iterdir()) == []


def test_a_build_that_was_killed_is_removed_and_one_that_lives_stays(tmp_path: Path) -> None:
    dead = folder_part(tmp_path / "dead")
    (dead / "deep").mkdir(parents=True)
    (dead / "deep" / "a.npy").write_bytes(b"half")
    name_lock(tmp_path / "dead").touch()
    name_lock(tmp_path / "killed after its rename").touch()
    with new_folder(tmp_path / "living") as living:
        write_bytes(living / "a", b"a")
        sweep_builds(tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == {
            living.name,
            name_lock(tmp_path / "living").name,
        }
    assert [path.name for path in tmp_path.iterdir()] == ["living"]


def test_the_same_build_goes_on_in_an_empty_folder(tmp_path: Path) -> None:
    dead = folder_part(tmp_path / "run")
    dead.mkdir()
    (dead / "of the first try").touch()
    with new_folder(tmp_path / "run") as temporary:
        assert list(temporary.iterdir()) == []
        write_bytes(temporary / "a", b"a")
    assert [path.name for path in tmp_path.rglob("*")] == ["run", "a"]


def test_a_link_that_is_called_as_ours_leads_to_nothing_that_is_removed(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.mkdir()
    (users / "precious").touch()
    place = tmp_path / "place"
    place.mkdir()
    folder_part(place / "a").symlink_to(users)
    name_lock(place / "a").touch()
    sweep_builds(place)
    sweep_file_parts(place, deep=True)
    assert (users / "precious").exists()


def test_folders_below_are_swept_where_that_is_asked_for(tmp_path: Path) -> None:
    top, deep = leave_half(tmp_path / "a"), leave_half(tmp_path / "b" / "c" / "d")
    sweep_file_parts(tmp_path)
    assert (top.exists(), deep.exists()) == (False, True)
    sweep_file_parts(tmp_path, deep=True)
    assert not deep.exists()
    sweep_file_parts(tmp_path / "gone", deep=True)


@pytest.mark.skipif(os.name == "nt", reason="folders are not synced there")
def test_the_names_of_new_folders_are_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_ino))
    make_folder(tmp_path / "a" / "b")
    assert synced == [tmp_path.stat().st_ino, (tmp_path / "a").stat().st_ino]
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "c" / "d", durable=False)
    assert len(synced) == 2


def test_a_folder_of_the_present_place_can_be_held_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for path in (Path(), Path(".."), Path("../here")):
        with locked_name(path):
            pass
    assert [path.name for path in tmp_path.rglob("*")] == ["here"]
