"""Which frozen pipeline has met which test set: nothing that was noted is lost, and a changed copy is known."""

import multiprocessing
import os
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from kizu.core.errors import DataError
from kizu.core.files import read_rows, write_jsonl
from kizu.core.split import Split
from kizu.data.manifest import Manifest, Sample
from kizu.data.marks import ImageMark
from kizu.protocol.ledger import Encounter, meet, user_ledger

EACH = 20


def manifest(numbers: range = range(1)) -> Manifest:
    samples = tuple(
        Sample(f"test/good/{n}.png", Path(f"{n}.png"), "good", None, "good", Split.TEST, sha256=f"{n:064x}")
        for n in numbers
    )
    return Manifest("set", "plate", Path(), samples)


def marks(numbers: range) -> tuple[ImageMark, ...]:
    return tuple(
        ImageMark(id=f"test/good/{n}.png", sha256=f"{n:016x}{n:048x}", pixels=f"{n + 1000:016x}", look=None)
        for n in numbers
    )


def meet_many(path: Path, name: str, at_once: Barrier) -> None:
    at_once.wait()
    for number in range(EACH):
        meet([path], f"{name} {number}", manifest())


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
    assert meet([path], "a third", manifest()).others == 2 * EACH


def test_a_broken_ledger_is_named_with_its_line_and_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "encounters.jsonl"
    meet([path], "one", manifest())
    broken = path.read_bytes() + b"\0\0\0\n"
    path.write_bytes(broken)
    with pytest.raises(DataError, match=r"encounters\.jsonl, line 2"):
        meet([path], "other", manifest())
    assert path.read_bytes() == broken
    row = read_row() | {"files": ["a", "b"], "pixels": ["a"]}
    write_jsonl(path, [row])
    with pytest.raises(DataError, match=r"encounters\.jsonl, line 1.*as many"):
        meet([path], "other", manifest())


def read_row() -> dict[str, object]:
    """A line as versions before wrote it."""
    return {"frozen_sha256": "old", "test_sha256": "0", "category": "plate", "dataset": "set", "at": "2026"}


def test_a_ledger_in_one_place_is_enough_to_be_counted(tmp_path: Path) -> None:
    """A new output folder, a frozen file in another folder, or another user: each time another one remembers."""
    everywhere = [tmp_path / name / "encounters.jsonl" for name in ("beside", "out", "user")]
    meet(everywhere, "one", manifest())
    for kept in everywhere:
        new = [tmp_path / "new" / kept.parent.name / name / "encounters.jsonl" for name in ("a", "b")]
        assert meet([*new, kept], "other", manifest()).others == 1
        assert meet([new[0]], "third", manifest()).others == 1  # which the other has noted there meanwhile
    both = [everywhere[0], everywhere[0].parent / ".." / "beside" / "encounters.jsonl"]  # one, by two names
    assert meet(both, "fourth", manifest()).others == 2
    assert len(read_rows(everywhere[0], Encounter)) == 3


def test_lines_of_before_count_by_the_whole_test_set(tmp_path: Path) -> None:
    path = tmp_path / "encounters.jsonl"
    met = meet([path], "one", manifest(range(20)))
    (row,) = read_rows(path, Encounter)
    write_jsonl(path, [read_row() | {"test_sha256": row.test_sha256}])
    assert met.others == 0
    assert meet([path], "two", manifest(range(20)), marks(range(20))).others == 1
    assert (
        meet([path], "three", manifest(range(19)), marks(range(19))).others == 1
    )  # "two"; "old" had no images


@pytest.mark.parametrize(
    ("changed", "others"),
    [
        (range(20), 1),
        (range(19), 1),
        (range(1, 20), 1),
        (range(21), 1),
        (range(18, 38), 1),  # two of twenty
        (range(19, 39), 0),  # one of twenty is not more than one in twenty
        (range(20, 40), 0),
    ],
)
def test_a_changed_copy_of_a_test_set_counts_as_met(tmp_path: Path, changed: range, others: int) -> None:
    path = tmp_path / "encounters.jsonl"
    meet([path], "one", manifest(range(20)), marks(range(20)))
    met = meet([path], "two", manifest(changed), marks(changed))
    assert met.others == others
    assert met.changed == (others if changed != range(20) else 0)
    again = meet([path], "one", manifest(changed), marks(changed))
    assert again.own_changed == (others if changed != range(20) else 0)
    assert any("first look" in caveat for caveat in again.caveats("plate")) == bool(again.own_changed)


def test_neither_order_nor_names_nor_packing_hide_a_test_set(tmp_path: Path) -> None:
    path = tmp_path / "encounters.jsonl"
    meet([path], "one", manifest(range(20)), marks(range(20)))
    whole = manifest(range(20))
    turned = replace(whole, samples=whole.samples[::-1])
    assert meet([path], "two", turned, marks(range(20))[::-1]).others == 1
    renamed = replace(whole, category="x", samples=tuple(replace(s, id=f"x{s.id}") for s in whole.samples))
    named = [mark.model_copy(update={"id": f"x{mark.id}"}) for mark in marks(range(20))]
    assert meet([path], "three", renamed, named).others == 2
    for key in ("sha256", "pixels"):  # packed anew; decoded by another version
        other = [mark.model_copy(update={key: f"{n + 5000:016x}"}) for n, mark in enumerate(marks(range(20)))]
        samples = tuple(replace(s, sha256="0") for s in whole.samples)
        assert meet([path], key, replace(whole, samples=samples), other).others >= 3


def test_images_that_are_not_for_testing_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "encounters.jsonl"
    split = {n: Split.TEST if n >= 10 else Split.TRAIN for n in range(20)}
    whole = manifest(range(20))
    cut = replace(whole, samples=tuple(replace(s, split=split[n]) for n, s in enumerate(whole.samples)))
    meet([path], "one", cut, marks(range(20)))
    (row,) = read_rows(path, Encounter)
    assert sorted(row.pixels) == [mark.pixels for mark in marks(range(10, 20))]
    assert meet([path], "two", manifest(range(10)), marks(range(10))).others == 0


def test_a_ledger_that_cannot_be_written_is_read_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed, free = (tmp_path / name / "encounters.jsonl" for name in ("sealed", "free"))
    meet([sealed], "one", manifest())
    before = sealed.read_bytes()
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "sealed" and access(path, mode))
    met = meet([sealed, free], "two", manifest())
    assert (met.others, met.unwritable) == (1, (sealed,))
    assert str(sealed) in met.caveats("plate")[0]
    assert sealed.read_bytes() == before
    assert [row.frozen_sha256 for row in read_rows(free, Encounter)] == ["two"]
    assert list(sealed.parent.iterdir()) == [sealed]
    none = tmp_path / "sealed" / "deeper" / "encounters.jsonl"
    monkeypatch.setattr(os, "access", lambda path, _: "sealed" not in str(path))
    assert meet([none], "two", manifest()).unwritable == (none,)


def test_the_users_ledger_can_be_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIZU_STATE", str(tmp_path))
    assert user_ledger() == tmp_path / "encounters.jsonl"
    monkeypatch.setenv("KIZU_STATE", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_ledger().name == "encounters.jsonl"
    assert user_ledger().parent.name == "kizu"
