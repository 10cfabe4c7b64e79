from pathlib import Path

import pytest

from kizu.core.errors import OutputError
from kizu.inspection.journal import Journal


def test_lines_are_kept_and_gone_on_with(tmp_path: Path) -> None:
    for number in range(2):
        with Journal(tmp_path, {"bundle": "a"}) as journal:
            journal.append({"image_path": f"ü{number}.png"})
    with Journal(tmp_path, {"bundle": "a"}) as journal:
        assert [record["image_path"] for record in journal.records()] == ["ü0.png", "ü1.png"]


def test_a_torn_line_is_cut_off(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        journal.append({"image_path": "a.png"})
    with (tmp_path / "preds.jsonl").open("a") as stream:
        stream.write('{"image_path": "b.p')
    with Journal(tmp_path, {}) as journal:
        journal.append({"image_path": "c.png"})
        assert [record["image_path"] for record in journal.records()] == ["a.png", "c.png"]


def test_results_of_another_bundle_are_not_mixed_in(tmp_path: Path) -> None:
    with Journal(tmp_path, {"bundle": "a"}) as journal:
        journal.append({"image_path": "a.png"})
    with pytest.raises(OutputError, match="another bundle or other options"):
        Journal(tmp_path, {"bundle": "b"})


def test_a_full_disk_is_told_and_what_was_written_stays(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full on this system")
    with Journal(tmp_path, {}) as journal:
        journal.append({"image_path": "a.png"})
        whole = journal._stream
        journal._stream = full.open("w")
        with pytest.raises(OutputError, match="No space left"):
            journal.append({"image_path": "b.png"})
        with pytest.raises(OSError, match="No space left"):
            journal._stream.close()  # the buffered line cannot be written either
        journal._stream = whole
        assert len(list(journal.records())) == 1
