"""Which frozen pipeline has met which test set, noted where a new output folder does not forget it.

Three ledgers (`encounters.jsonl`) hold the same lines: beside the frozen file, in the output folder, and one of this
user on this machine (KIZU_STATE), which knows a frozen file that was copied. A test set is known by its pictures.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import model_validator

from kizu.core.config import Stored
from kizu.core.files import is_writable, read_rows, write_jsonl
from kizu.core.hashing import hash_value
from kizu.core.locks import locked
from kizu.core.provenance import utc_now
from kizu.data.manifest import Manifest
from kizu.data.marks import ImageMark
from kizu.protocol.dev import SHARED_PART

LEDGER = "encounters.jsonl"
STATE_VARIABLE = "KIZU_STATE"
_SHORT = 16
"""Characters of a picture's hash: enough that no two of a test set meet by chance, and a line stays short."""
_RESTORE = "restore it: what has met a test set cannot be counted without it"


class Encounter(Stored):
    """A line: a frozen pipeline has met a test set."""

    frozen_sha256: str
    test_sha256: str
    category: str
    dataset: str
    at: str
    files: tuple[str, ...] = ()
    """The beginnings of the hashes of its images' files; none in lines of before."""
    pixels: tuple[str, ...] = ()
    """The same of their pixels, in the same order."""

    @model_validator(mode="after")
    def _in_pairs(self) -> Self:
        if len(self.files) != len(self.pixels):
            raise ValueError("files and pixels must be as many")
        return self


@dataclass(frozen=True, slots=True)
class Met:
    """What the ledgers know about a test set."""

    others: int
    """How many other frozen pipelines have met it, or one that is nearly the same."""
    changed: int
    """How many of them a test set that shares images with it, and not the very same."""
    own_changed: int
    """How many such test sets this pipeline has met before."""
    unwritable: tuple[Path, ...]
    """Ledgers that this encounter could not be noted in."""

    def caveats(self, name: str) -> tuple[str, ...]:
        """What is to be said beside the numbers of the category `name`."""
        told = []
        if self.changed:
            told.append(f"{self.changed} of those that met the test set of {name} met a changed copy of it.")
        if self.own_changed:
            told.append(
                f"This pipeline has met {self.own_changed} other version(s) of the test set of {name} before: these are"
                " not numbers of a first look."
            )
        told += [
            f"The encounter with {name} could not be noted in {path}, which cannot be written: who looks there will not"
            " count it."
            for path in self.unwritable
        ]
        return tuple(told)


def user_ledger() -> Path:
    """That of this user on this machine; KIZU_STATE moves its folder."""
    from platformdirs import user_state_path

    given = os.environ.get(STATE_VARIABLE)
    return (Path(given) if given else user_state_path("kizu")) / LEDGER


def hash_test(manifest: Manifest) -> str:
    """SHA-256 over ids, labels and files of the test images of a hashed manifest, in order."""
    return hash_value([[s.id, s.label, s.sha256, s.mask_sha256] for s in manifest.test()])


def meet(
    ledgers: Iterable[Path], frozen_sha256: str, manifest: Manifest, marks: Sequence[ImageMark] = ()
) -> Met:
    """Note in every ledger that this pipeline meets this test set, and count the others that have.

    `marks`: of the manifest's images. Each ledger's folder is held meanwhile, so that evaluations at the same time all
    leave their line. One in a folder that may not be written is read, and named in the answer. Raises `DataError` for a
    broken ledger, `OutputError` for one that is in use or cannot be written.
    """
    tests = {sample.id for sample in manifest.test()}
    row = _row(frozen_sha256, manifest, [mark for mark in marks if mark.id in tests])
    known: list[Encounter] = []
    unwritable = []
    for path in {os.path.realpath(path): path for path in ledgers}.values():
        if is_writable(path.parent):
            known += _note(path, row)
        else:
            known += _read(path)
            unwritable.append(path)
    return _count(row, known, tuple(unwritable))


def _row(frozen_sha256: str, manifest: Manifest, marks: Sequence[ImageMark]) -> Encounter:
    by_pixels = {mark.pixels[:_SHORT]: mark.sha256[:_SHORT] for mark in reversed(marks)}
    return Encounter(
        frozen_sha256=frozen_sha256,
        test_sha256=hash_test(manifest),
        category=manifest.category,
        dataset=manifest.dataset,
        at=utc_now(),
        files=tuple(by_pixels.values()),
        pixels=tuple(by_pixels),
    )


def _note(path: Path, row: Encounter) -> list[Encounter]:
    """What the ledger knew before."""
    with locked(path.parent):
        known = _read(path)
        same = {(one.frozen_sha256, one.test_sha256, bool(one.pixels)) for one in known}
        if (row.frozen_sha256, row.test_sha256, bool(row.pixels)) not in same:
            write_jsonl(path, [one.model_dump(mode="json") for one in (*known, row)])
    return known


def _read(path: Path) -> list[Encounter]:
    return read_rows(path, Encounter, hint=_RESTORE) if path.exists() else []


def _count(row: Encounter, known: Sequence[Encounter], unwritable: tuple[Path, ...]) -> Met:
    same = {one.frozen_sha256 for one in known if one.test_sha256 == row.test_sha256}
    near = {one.frozen_sha256 for one in known if _share_images(one, row)}
    own = {
        one.test_sha256
        for one in known
        if one.frozen_sha256 == row.frozen_sha256
        and one.test_sha256 != row.test_sha256
        and _share_images(one, row)
    }
    others = (same | near) - {row.frozen_sha256}
    return Met(len(others), len(others - same), len(own), unwritable)


def _share_images(one: Encounter, other: Encounter) -> bool:
    """More than `SHARED_PART` of the images of the smaller one, by file or by pixels, in whatever order."""
    files, pixels = set(one.files), set(one.pixels)
    shared = sum(
        file in files or pixel in pixels for file, pixel in zip(other.files, other.pixels, strict=True)
    )
    return shared > SHARED_PART * min(len(one.pixels), len(other.pixels))
