import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kizu.core import locks
from kizu.core.errors import DataError, OutputError
from kizu.core.parts import file_part
from kizu.inspection.journal import Journal, lines_of, owner_of
from kizu.inspection.records import Failure, error_record


def line(path: str) -> Failure:
    return error_record(path, "broken", "0")


def paths(journal: Journal) -> list[str]:
    return [record.image_path for record, _ in journal.lines()]


def test_lines_are_kept_and_gone_on_with(tmp_path: Path) -> None:
    for number in range(2):
        with Journal(tmp_path, {"bundle": "a"}) as journal:
            journal.append(line(f"ü{number}.png"))
    with Journal(tmp_path, {"bundle": "a"}) as journal:
        assert paths(journal) == ["ü0.png", "ü1.png"]
    assert journal.path.read_text(encoding="utf-8").startswith('{"image_path": "ü0.png", "error": "broken", ')


def test_a_torn_line_is_not_read_and_cut_off(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        journal.append(line("a.png"))
    with journal.path.open("a") as stream:
        stream.write('{"image_path": "b.p')
    assert [record.image_path for record in lines_of(journal.path)] == ["a.png"]
    with Journal(tmp_path, {}) as journal:
        journal.append(line("c.png"))
        assert paths(journal) == ["a.png", "c.png"]


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (b"\n", "not JSON"),
        (b'{"image_path": "b.p\n', "not JSON"),
        (b'{"image_path": "\xff"}\n', "not JSON"),
        (b"[1]\n", "no record of an inspection"),
        (b'{"image_path": "b.png"}\n', "'model' is missing"),
        (b'{"image_path": "b.png", "error": 1, "bundle_sha256": "0"}\n', "error: .*, got 1"),
    ],
)
def test_a_line_that_is_no_record_is_named_by_file_and_number(
    tmp_path: Path, written: bytes, told: str
) -> None:
    with Journal(tmp_path, {}) as journal:
        journal.append(line("a.png"))
    with journal.path.open("ab") as stream:
        stream.write(written)
    with (
        Journal(tmp_path, {}) as journal,
        pytest.raises(DataError, match=rf"preds\.jsonl, line 2: .*{told}") as raised,
    ):
        paths(journal)
    assert raised.value.hint


def test_a_name_that_is_no_utf8_is_kept_as_it_is(tmp_path: Path) -> None:
    name = b"\xffa.png".decode("utf-8", "surrogateescape")
    with Journal(tmp_path, {}) as journal:
        journal.append(line(name))
    assert paths(journal) == [name]
    assert json.loads(journal.path.read_text(encoding="utf-8"))["image_path"] == name


def test_results_of_another_bundle_are_not_mixed_in(tmp_path: Path) -> None:
    with Journal(tmp_path, {"bundle": "a"}) as journal:
        journal.append(line("a.png"))
    with pytest.raises(OutputError, match="another bundle or other options"):
        Journal(tmp_path, {"bundle": "b"})


@pytest.mark.parametrize("content", ["", '{"sha', "[]", "{}"])
def test_settings_that_cannot_be_read_are_named(tmp_path: Path, content: str) -> None:
    with Journal(tmp_path, {"bundle": "a"}) as journal:
        journal.append(line("a.png"))
    (tmp_path / "settings.json").write_text(content)
    with pytest.raises(OutputError, match=r"settings\.json (does not say|cannot be read)"):
        Journal(tmp_path, {"bundle": "a"})


def test_two_inspections_do_not_write_into_one_folder_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "PATIENCE_S", 0.1)
    folder = tmp_path / "out"
    with Journal(folder, {}) as journal, ThreadPoolExecutor(1) as pool:
        with pytest.raises(OutputError, match="out is in use"):
            pool.submit(Journal, folder, {}).result()
        journal.append(line("a.png"))
    with pytest.raises(OutputError, match="another bundle"):
        Journal(folder, {"bundle": "b"})
    with Journal(folder, {}) as journal:  # neither an end nor a refusal leaves it held
        assert paths(journal) == ["a.png"]


def test_the_lines_are_on_the_disk_when_the_inspection_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    with Journal(tmp_path, {}) as journal:
        monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_ino))
        journal.append(line("a.png"))
        assert synced == []  # a line alone does not wait for the disk
    assert synced == [journal.path.stat().st_ino]


def test_a_full_disk_is_told_and_what_was_written_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full on this system")
    with Journal(tmp_path, {}) as journal:
        journal.append(line("a.png"))
        mine, journal._handle = journal._handle, os.open(full, os.O_RDWR)
        with monkeypatch.context() as patched:
            patched.setattr(journal, "ensure_there", lambda: None)
            patched.setattr(os, "ftruncate", lambda *_: None)
            with pytest.raises(OutputError, match="No space left"):
                journal.append(line("b.png"))
        os.close(journal._handle)
        journal._handle = mine
        journal.append(line("c.png"))
        assert paths(journal) == ["a.png", "c.png"]


def test_of_a_line_that_does_not_fit_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk has room for a part of it."""
    with Journal(tmp_path, {}) as journal:
        journal.append(line("a.png"))
        write = os.write
        parts = iter([lambda handle, data: write(handle, data[:5])])

        def nearly_full(handle: int, data: memoryview) -> int:
            part = next(parts, None)
            if part is None:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return part(handle, data)

        with monkeypatch.context() as patched:
            patched.setattr(os, "write", nearly_full)
            with pytest.raises(OutputError, match="No space left"):
                journal.append(line("b.png"))
        assert journal.path.read_bytes().endswith(b"}\n")
        journal.append(line("c.png"))
        assert paths(journal) == ["a.png", "c.png"]


def test_a_line_that_counts_no_more_is_marked_where_it_stands(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        end = journal.append(line("a.png"))
        journal.append(line("b.png"))
        size = journal.path.stat().st_size
        journal.supersede(end)
        assert journal.path.stat().st_size == size
        assert [record.superseded for record, _ in journal.lines()] == [True, False]
    assert [record.image_path for record in lines_of(journal.path)] == ["b.png"]


def test_what_a_power_cut_leaves_at_the_end_is_cut_off(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        journal.append(line("a.png"))
    with journal.path.open("ab") as stream:
        stream.write(bytes(200_000))
    with Journal(tmp_path, {}) as journal:
        assert paths(journal) == ["a.png"]
        journal.append(line("b.png"))
    assert b"\0" not in journal.path.read_bytes()


def test_results_belong_to_the_folder_of_images_that_they_were_chosen_for(tmp_path: Path) -> None:
    with Journal(tmp_path, {}, belongs_to="/in/new") as journal:
        journal.append(line("a.png"))
    assert owner_of(tmp_path) == "/in/new"
    with pytest.raises(OutputError, match="results of another folder"):
        Journal(tmp_path, {}, belongs_to="/elsewhere/new")
    with Journal(tmp_path, {}):  # who names the folder himself may mix
        pass


def test_pictures_that_a_kill_left_half_written_are_removed_and_whole_ones_stay(tmp_path: Path) -> None:
    whole = tmp_path / "masks" / "lot" / "a.png"
    for half in (
        file_part(tmp_path / "report.json"),
        file_part(whole),
        file_part(tmp_path / "overlays/b.jpg"),
    ):
        half.parent.mkdir(parents=True, exist_ok=True)
        half.write_bytes(b"half")
    whole.write_bytes(b"whole")
    with Journal(tmp_path, {}):
        found = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {".lock", "a.png", "settings.json", "preds.jsonl"}
