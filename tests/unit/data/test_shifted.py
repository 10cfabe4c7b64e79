"""A shifted data set: found again as the same set, gone on with after a stop, honest about what is missing."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.support import category

from kizu.core.errors import CancelledError, OutputError
from kizu.core.work import Work
from kizu.data import shifted
from kizu.data.layouts.mvtec_ad import scan
from kizu.data.manifest import Manifest
from kizu.data.masks import true_mask
from kizu.data.shifted import ShiftFile, ShiftRow, write_shifted
from kizu.data.shifts.applied import Plan, shift_picture
from kizu.imaging.codec import decode

PLAN = Plan("mvtec_shift", 3, seed=7)


@pytest.fixture
def clean(tmp_path: Path) -> Manifest:
    return category(tmp_path / "data", "plate", 0).with_hashes()


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def test_what_is_written_is_scanned_as_the_same_set(clean: Manifest, tmp_path: Path) -> None:
    done = write_shifted(clean, PLAN, tmp_path / "out/plate")
    found = scan(tmp_path / "out", "plate")
    assert [(s.id, s.label, s.defect, s.split) for s in found.samples] == [
        (s.id, s.label, s.defect, s.split) for s in clean.samples
    ]
    assert [s.mask_path is None for s in found.samples] == [s.mask_path is None for s in clean.samples]
    assert [s.path.resolve() for s in done.manifest().samples] == [s.path.resolve() for s in found.samples]
    hashed = found.with_hashes()
    assert [s.sha256 for s in done.manifest().samples] == [s.sha256 for s in hashed.samples]
    assert [s.mask_sha256 for s in done.manifest().samples] == [s.mask_sha256 for s in hashed.samples]


def test_each_file_is_what_shift_picture_makes_of_its_original(clean: Manifest, tmp_path: Path) -> None:
    done = write_shifted(clean, PLAN, tmp_path / "out").manifest()
    for before, after in zip(clean.samples, done.samples, strict=True):
        image = decode(before.path)
        mask = true_mask(before, (64, 64)) if before.mask_path else None
        expected = shift_picture(image, mask, PLAN, before.id)
        assert np.array_equal(decode(after.path), expected.image)
        if mask is not None:
            found = true_mask(after, (64, 64))
            assert found is not None
            assert expected.mask is not None
            assert np.array_equal(found, expected.mask)


def test_severity_zero_has_the_very_pixels_of_the_clean_set(clean: Manifest, tmp_path: Path) -> None:
    done = write_shifted(clean, Plan("mvtec_shift", 0), tmp_path / "out").manifest()
    for before, after in zip(clean.samples, done.samples, strict=True):
        assert np.array_equal(decode(before.path), decode(after.path))


def test_every_line_tells_what_was_done(clean: Manifest, tmp_path: Path) -> None:
    write_shifted(clean, PLAN, tmp_path / "out")
    plan = ShiftFile.parse(json.loads((tmp_path / "out/shift.json").read_text()), where="test")
    assert (plan.shift, plan.severity, plan.seed) == ("mvtec_shift", 3, 7)
    assert plan.manifest_sha256 == clean.content_hash()
    lines = (tmp_path / "out/shifts.jsonl").read_text().splitlines()
    rows = [ShiftRow.parse(json.loads(line), where="test") for line in lines]
    assert [row.id for row in rows] == [s.id for s in clean.samples]
    assert all(row.done[0].shift == "rotation" and row.done[0].strength == 6 for row in rows if row.attempts)


@pytest.mark.parametrize("stop", [1, 7, 19])
def test_a_stopped_call_goes_on_and_ends_in_the_same_files(
    clean: Manifest, tmp_path: Path, stop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_shifted(clean, PLAN, tmp_path / "whole")
    made: list[str] = []

    def stopping(stage: str, done: int, total: int) -> None:
        if done == stop:
            raise CancelledError("stopped")

    with pytest.raises(CancelledError):
        write_shifted(clean, PLAN, tmp_path / "out", Work(cores=1, on_progress=stopping))
    journal = tmp_path / "out/shifts.part.jsonl"
    journal.write_text(journal.read_text() + '{"id": "torn')
    original = shifted.shift_picture
    monkeypatch.setattr(shifted, "shift_picture", lambda *given: (made.append(given[3]), original(*given))[1])
    write_shifted(clean, PLAN, tmp_path / "out")
    assert len(set(made)) == len(clean) - stop  # a thread of the stopped call may still have made one
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_a_second_call_makes_nothing_and_mends_what_was_changed(
    clean: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_shifted(clean, PLAN, tmp_path / "out")
    before = files(tmp_path / "out")
    (tmp_path / "out/test/checks/2.png").write_bytes(b"")
    made: list[str] = []
    original = shifted.shift_picture
    monkeypatch.setattr(shifted, "shift_picture", lambda *given: (made.append(given[3]), original(*given))[1])
    write_shifted(clean, PLAN, tmp_path / "out")
    assert made == ["test/checks/2.png"]
    assert files(tmp_path / "out") == before


def test_a_bad_picture_is_left_out_and_its_line_says_why(tmp_path: Path) -> None:
    category(tmp_path / "data", "plate", 0)
    (tmp_path / "data/plate/train/good/3.png").write_bytes(b"no picture")
    (tmp_path / "data/plate/ground_truth/checks/1_mask.png").write_bytes(b"no mask")
    manifest = scan(tmp_path / "data", "plate").with_hashes()
    done = write_shifted(manifest, PLAN, tmp_path / "out")
    assert set(done.broken) == {"train/good/3.png", "test/checks/1.png"}
    assert len(done.manifest()) == len(manifest) - 2
    assert not (tmp_path / "out/train/good/3.png").exists()
    again = write_shifted(manifest, PLAN, tmp_path / "out")
    assert again.broken == done.broken


def test_another_plan_or_another_folder_is_refused(clean: Manifest, tmp_path: Path) -> None:
    write_shifted(clean, PLAN, tmp_path / "out")
    with pytest.raises(OutputError, match="holds mvtec_shift at severity 3, seed 7"):
        write_shifted(clean, Plan("mvtec_shift", 4, seed=7), tmp_path / "out")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/thesis.tex").touch()
    with pytest.raises(OutputError, match="holds something else"):
        write_shifted(clean, PLAN, tmp_path / "other")


def test_pictures_of_one_stem_do_not_overwrite_each_other(tmp_path: Path) -> None:
    category(tmp_path / "data", "plate", 0)
    twin = tmp_path / "data/plate/train/good/sub"
    twin.mkdir()
    (tmp_path / "data/plate/train/good/3.png").rename(twin / "4.png")
    manifest = scan(tmp_path / "data", "plate").with_hashes()
    done = write_shifted(manifest, PLAN, tmp_path / "out")
    assert len({row.image for row in done.rows}) == len(manifest)


def test_a_disk_without_room_ends_the_call_and_what_is_there_is_gone_on_with(
    clean: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = shifted.write_bytes, []

    def full(path: Path, content: bytes, *, durable: bool) -> None:
        calls.append(path)
        if len(calls) > 5:
            raise OutputError(f"cannot write {path}: No space left on device", hint="make room")
        original(path, content, durable=durable)

    monkeypatch.setattr(shifted, "write_bytes", full)
    with pytest.raises(OutputError, match="No space left"):
        write_shifted(clean, PLAN, tmp_path / "out", Work(cores=1))
    monkeypatch.setattr(shifted, "write_bytes", original)
    write_shifted(clean, PLAN, tmp_path / "out")
    write_shifted(clean, PLAN, tmp_path / "whole")
    assert files(tmp_path / "out") == files(tmp_path / "whole")
