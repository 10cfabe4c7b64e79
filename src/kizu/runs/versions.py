"""The versions of a run's bundle, and which one is in force.

bundle/                        version 1, as it was trained
versions/<n>/bundle/           a later one, whole
versions/<n>/added.jsonl       the images that it learned beside those of the version it came from
versions.json                  which one is in force, and every step that led there

A version is written under a temporary name and renamed, and comes into force when `versions.json` is replaced: what is
interrupted leaves the version in force that was.
"""

from pathlib import Path
from typing import Literal

from kizu.core.config import Stored
from kizu.core.errors import BundleError
from kizu.core.files import read_stored, write_stored

HISTORY = "versions.json"
ADDED = "added.jsonl"
FIRST = 1


class Step(Stored):
    """One change of what is in force."""

    action: Literal["update", "rollback"]
    version: int
    """In force from then on."""
    before: int
    """In force until then."""
    at: str
    bundle_sha256: str
    reason: str | None = None
    images_added: int = 0


class History(Stored):
    """The contents of `versions.json`."""

    in_force: int
    steps: tuple[Step, ...] = ()

    def parent(self, version: int) -> int | None:
        """The version that `version` was made from; None for the first, and for one that never came into force."""
        made = [step.before for step in self.steps if step.action == "update" and step.version == version]
        return made[0] if made else None

    def lineage(self, of: int | None = None) -> tuple[int, ...]:
        """A version, of none other the one in force, and those it came from, the first one first."""
        versions: list[int] = []
        version: int | None = self.in_force if of is None else of
        while version is not None:
            versions.append(version)
            version = self.parent(version)
        return tuple(reversed(versions))


def read_history(run: Path) -> History:
    """Of the run folder; of one that was never updated, version 1 and no step. Raises `BundleError`."""
    path = run / HISTORY
    if not path.exists():
        return History(in_force=FIRST)
    hint = "copy the run folder again, or mend the file by hand"
    return read_stored(path, History, hint=hint, raises=BundleError)


def version_folder(run: Path, version: int) -> Path:
    """Where that version's bundle lies."""
    return run / "bundle" if version == FIRST else run / "versions" / str(version) / "bundle"


def bundle_in_force(run: Path) -> Path:
    """The bundle folder that a run folder stands for now."""
    return version_folder(run, read_history(run).in_force)


def next_version(run: Path) -> int:
    """A number that no version has, in force or not."""
    found = [int(path.name) for path in (run / "versions").glob("*") if path.name.isdigit()]
    return max([FIRST, *found]) + 1


def put_in_force(run: Path, step: Step) -> None:
    """Make `step.version` the one in force, in one move. Raises `OutputError` when it cannot be written."""
    history = read_history(run)
    changed = History(in_force=step.version, steps=(*history.steps, step))
    write_stored(run / HISTORY, changed)
