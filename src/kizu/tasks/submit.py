"""A submission to MVTec AD 2's evaluation server: written from runs, packed when it is whole, and checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kizu.core.errors import ConfigError
from kizu.core.files import read_stored
from kizu.core.lists import comma_separated
from kizu.core.locks import locked
from kizu.core.registry import look_up
from kizu.core.work import Work
from kizu.data.layouts.mvtec_ad2 import PRIVATE, list_private
from kizu.data.manifest import read_manifest
from kizu.inspection.inspector import Inspector
from kizu.release.packing import pack_folder
from kizu.release.submission import (
    COUNTS,
    Entry,
    SubmissionFile,
    Written,
    archive_in,
    folder_in,
    write_maps,
)
from kizu.release.submission_check import Fault, check_submission
from kizu.runs.folder import open_run
from kizu.tasks.set_options import SubmitCheckOptions, SubmitOptions


@dataclass(frozen=True, slots=True)
class Submitted:
    """What was written, and whether it is whole."""

    written: Written
    missing: tuple[str, ...]
    """Categories that have no maps yet."""
    faults: tuple[Fault, ...]
    """Why it was not packed, where all categories are there."""
    archive: Path | None
    """What to upload; None: it is not whole."""


def write_submission(options: SubmitOptions, work: Work) -> Submitted:
    """Write the maps of all runs, and pack the submission when it is whole.

    A stopped call is gone on with. Raises `ConfigError` for runs of no such category, or two of one; and as
    `write_maps`.
    """
    counts = parse_counts(options.counts)
    entries: dict[str, Entry] = {}
    for run_dir in options.run_dirs:
        for entry in _entries(run_dir, options.root, work):
            look_up(counts, entry.category, noun="category of MVTec AD 2")
            if entry.category in entries:
                raise ConfigError(f"two runs are of the category {entry.category}", hint="choose one of them")
            entries[entry.category] = entry
    written = write_maps(list(entries.values()), options.output, work)
    known = read_stored(options.output / "submission.json", SubmissionFile).models
    missing = tuple(category for category in counts if category not in known)
    if written.failures or missing:
        return Submitted(written, missing, (), None)
    with locked(options.output):
        folder, archive = folder_in(options.output), archive_in(options.output)
        faults = check_submission(folder, counts=counts, work=work)
        if faults:
            return Submitted(written, (), faults, None)
        pack_folder(folder, archive, work)
    return Submitted(written, (), (), archive)


def check(options: SubmitCheckOptions, work: Work) -> tuple[Fault, ...]:
    """What is wrong with a submission."""
    return check_submission(
        options.submission, counts=parse_counts(options.counts), data_root=options.root, work=work
    )


def parse_counts(text: str | None) -> Mapping[str, int]:
    """ "can=3,rice=2"; None: the real ones. Raises `ConfigError`."""
    if text is None:
        return COUNTS
    found = {}
    for part in comma_separated(text, where="--counts"):
        name, _, number = part.partition("=")
        if not name or not number.isdecimal() or int(number) < 1:
            raise ConfigError(f"--counts {part!r} is no category and its count", hint="give can=3,rice=2")
        found[name] = int(number)
    return found


def _entries(run_dir: Path, root: Path | None, work: Work) -> list[Entry]:
    """One for each category of a run, its images listed."""
    folder = open_run(run_dir)
    bundle, manifest = folder.open_bundle(), read_manifest(folder.manifest)
    found = []
    for name in manifest.parts or (manifest.category,):
        inspector = Inspector(bundle, category=name if manifest.parts else None, work=work)
        images = {split: list_private(root or manifest.root, name, split) for split in PRIVATE}
        found.append(Entry(name, inspector, images))
    return found
