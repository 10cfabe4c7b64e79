"""Which frozen pipeline has met which test set: nothing that was noted is lost."""

import multiprocessing
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from kizu.core.errors import DataError
from kizu.core.files import read_rows
from kizu.core.split import Split
from kizu.data.manifest import Manifest, Sample
from kizu.protocol.frozen import Encounter, meet

EACH = 20


def manifest() -> Manifest:
    sample = Sample("test/good/0.png", Path("0.png"), "good", None, "good", Split.TEST, sha256="0")
    return Manifest("set", "plate", Path(), (sample,))


def meet_many(path: Path, name: str, at_once: Barrier) -> None:
    at_once.wait()
    for number in range(EACH):
        meet(path, f"{name} {number}", manifest())


def test_two_evaluations_at_once_lose_no_encounter(tmp_path: Path) -> None:
    path = tmp_path / "encounters.jsonl"
    spawn = multiprocessing.get_context("spawn")
    at_once = spawn.Barrier(2)
    both = [
        spawn.Process(target=meet_many, args=(path, name, at_once), daemon=True) for name in ("one", "other")
    ]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    noted = {row.frozen_sha256 for row in read_rows(path, Encounter)}
    assert noted == {f"{name} {number}" for name in ("one", "other") for number in range(EACH)}
    assert meet(path, "a third", manifest()) == 2 * EACH


def test_a_broken_ledger_is_named_with_its_line_and_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "encounters.jsonl"
    meet(path, "one", manifest())
    broken = path.read_bytes() + b"\0\0\0\n"
    path.write_bytes(broken)
    with pytest.raises(DataError, match=r"encounters\.jsonl, line 2"):
        meet(path, "other", manifest())
    assert path.read_bytes() == broken
