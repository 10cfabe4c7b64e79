"""The versions of a run's bundle, and which one is in force.

bundle/                        version 1, as it was trained
versions/<n>/bundle/           a later one, whole
versions/<n>/added.jsonl       the images that it learned beside those of the version it came from
versions/<n>/labelled.jsonl    the labelled images that its thresholds were chosen on, where they are of a file
versions/<n>/.new              it has not been in force yet
versions.json                  which one is in force, and every step that led there

A version is written under a temporary name and renamed, and comes into force when `versions.json` is replaced: what is
interrupted leaves the version in force that was.
"""

from pathlib import Path
from typing import Literal, Self

from pydantic import model_validator

from kizu.core.config import Stored
from kizu.core.errors import BundleError, OutputError
from kizu.core.files import read_stored, write_bytes, write_stored
from kizu.core.locks import sweep_builds
from kizu.core.parts import folder_part

HISTORY = "versions.json"
ADDED = "added.jsonl"
LABELLED = "labelled.jsonl"
NEW = ".new"
"""In a version's folder until it is in force: one that still has it when nobody holds the run never came so far."""
FIRST = 1


class Step(Stored):
    """One change of what is in force."""

    action: Literal["update", "thresholds", "rollback"]
    """`thresholds`: the same model, and the same scores, with other thresholds."""
    version: int
    """In force from then on."""
    before: int
    """In force until then."""
    at: str
    bundle_sha256: str
    reason: str | None = None
    images_added: int = 0

    @model_validator(mode="after")
    def _made_of_an_earlier_one(self) -> Self:
        if self.action != "rollback" and self.version <= self.before:
            raise ValueError(f"version {self.version} cannot have been made from version {self.before}")
        return self


class History(Stored):
    """The contents of `versions.json`."""

    in_force: int
    steps: tuple[Step, ...] = ()

    def parent(self, version: int) -> int | None:
        """The version that `version` was made from; None for the first, and for one that never came into force."""
        made = self._maker(version)
        return None if made is None else made.before

    def model_of(self, version: int) -> int:
        """The version that learned what `version` knows: that one, or where it only has other thresholds, the one that
        it goes back to. The scores of both are the same."""
        made = self._maker(version)
        return version if made is None or made.action == "update" else self.model_of(made.before)

    def made(self, action: Literal["update", "thresholds"]) -> tuple[int, ...]:
        """The versions that such a step made, the first one first."""
        return tuple(step.version for step in self.steps if step.action == action)

    def _maker(self, version: int) -> Step | None:
        made = [step for step in self.steps if step.action != "rollback" and step.version == version]
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


def find_next_version(run: Path) -> int:
    """A number that no version has, in force or not."""
    found = [int(path.name) for path in (run / "versions").glob("*") if path.name.isdecimal()]
    return max([FIRST, *found]) + 1


def mark_new(version: Path) -> None:
    """Say in the folder of a version that it has not been in force yet."""
    write_bytes(version / NEW, b"")


def put_in_force(run: Path, step: Step) -> None:
    """Make `step.version` the one in force, in one move.

    Raises `OutputError` when it cannot be written, or another version than `step.before` is in force by now.
    """
    history = read_history(run)
    if history.in_force != step.before:
        raise OutputError(
            f"{run} has version {history.in_force} in force by now, no longer {step.before}",
            hint="run the same command again",
        )
    changed = History(in_force=step.version, steps=(*history.steps, step))
    write_stored(run / HISTORY, changed)
    _forget_new(run, step.version)


def sweep_versions(run: Path) -> None:
    """Remove the versions that a killed update wrote and did not put in force. For who holds the run.

    Raises `OutputError` when that cannot be done.
    """
    known = {step.version for step in read_history(run).steps}
    try:
        for mark in (run / "versions").glob(f"*/{NEW}"):
            version = mark.parent
            if version.name.isdecimal() and int(version.name) in known:
                _forget_new(run, int(version.name))
            else:
                version.replace(folder_part(version))  # half of it would be whole to who finds no mark
    except OSError as error:
        raise OutputError(
            f"cannot remove what is left of an update in {run / 'versions'}: {error.strerror}",
            hint="check that the folder is writable",
        ) from error
    sweep_builds(run / "versions")


def _forget_new(run: Path, version: int) -> None:
    (version_folder(run, version).parent / NEW).unlink(missing_ok=True)
