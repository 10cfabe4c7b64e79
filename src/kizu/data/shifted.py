"""A data set, shifted: the same pictures in MVTec AD layout, and a line for each that tells what was done to it.

    <folder>/<split>/<kind>/<stem>.png, ground_truth/<kind>/<stem>_mask.png
    <folder>/shift.json       the plan, and the data set it was made from
    <folder>/shifts.jsonl     one line a picture, in the data set's order

A call that was killed goes on: what has a line, and the content the line says, is not made again.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from kizu.core.config import Stored
from kizu.core.errors import DataError, ImageError, OutputError
from kizu.core.files import read_rows, read_stored, write_bytes, write_jsonl, write_stored
from kizu.core.hashing import hash_bytes, hash_file
from kizu.core.locks import locked
from kizu.core.parts import sweep_file_parts
from kizu.core.threads import in_order
from kizu.core.work import Work
from kizu.data.depth import scale_of
from kizu.data.layouts.mvtec_ad import lay_out
from kizu.data.manifest import Label, Manifest, Sample
from kizu.data.masks import true_mask
from kizu.data.shifts.applied import Done, Plan, shift_picture
from kizu.imaging.codec import decode, png_bytes
from kizu.imaging.scale import Scale

PLAN, ROWS, JOURNAL = "shift.json", "shifts.jsonl", "shifts.part.jsonl"
_log = logging.getLogger(__name__)


class ShiftFile(Stored):
    """`shift.json`."""

    shift: str
    severity: int
    seed: int
    dataset: str
    category: str
    manifest_sha256: str
    """Of the data set it was made from, its content."""


class ShiftRow(Stored):
    """One line of `shifts.jsonl`."""

    id: str
    """Of the picture it was made from"""
    image: str | None
    """Below the folder; None: it could not be made."""
    mask: str | None
    label: Label | None
    defect: str
    sha256: str | None
    mask_sha256: str | None
    done: tuple[Done, ...]
    attempts: int
    """How often the move was drawn so that enough of the flaw stays in view; 0: it never did, and nothing was moved."""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ShiftedSet:
    """What was written."""

    folder: Path
    rows: tuple[ShiftRow, ...]
    source: Manifest

    @property
    def broken(self) -> Mapping[str, str]:
        """Why a picture is missing, by id."""
        return {row.id: row.error for row in self.rows if row.error is not None}

    @property
    def unmoved(self) -> tuple[str, ...]:
        """The ids of pictures that were not moved, because their flaw would have left them."""
        return tuple(row.id for row in self.rows if row.error is None and row.attempts == 0)

    def manifest(self) -> Manifest:
        """The shifted pictures under the ids, splits and groups of those they were made from; without the broken."""
        by_id = {row.id: row for row in self.rows}
        samples = []
        for sample in self.source.samples:
            row = by_id[sample.id]
            if row.image is not None:
                samples.append(
                    replace(
                        sample,
                        path=self.folder / row.image,
                        mask_path=None if row.mask is None else self.folder / row.mask,
                        more_masks=(),
                        sha256=row.sha256,
                        mask_sha256=row.mask_sha256,
                    )
                )
        return replace(self.source, root=self.folder, samples=tuple(samples))


def write_shifted(manifest: Manifest, plan: Plan, folder: Path, work: Work = Work()) -> ShiftedSet:
    """Shift all samples of a hashed manifest into `folder`, or go on with that.

    Pictures deeper than 8 bits are brought to 8 by the scale that a fit would choose. One that cannot be read, or has
    no label, is left out, and its line says why. Raises `OutputError` when the folder holds something else or cannot be
    written, as on a full disk: what is there is whole, and the same call goes on.
    """
    wanted = ShiftFile(
        shift=plan.name,
        severity=plan.severity,
        seed=plan.seed,
        dataset=manifest.dataset,
        category=manifest.category,
        manifest_sha256=manifest.content_hash(),
    )
    _ensure_ours(folder, wanted)
    with locked(folder):
        sweep_file_parts(folder, deep=True)
        write_stored(folder / PLAN, wanted)
        rows = {row.id: row for row in _known(folder)}
        places = _places(manifest)
        left = [sample for sample in manifest.samples if sample.id not in rows]
        writer = _Writer(plan, folder, places, _scale_of(manifest))
        workers = work.core_count
        done = len(rows)
        try:
            with (folder / JOURNAL).open("a", encoding="utf-8") as journal:
                for _, row in in_order(writer.write, left, workers=workers, ahead=2 * workers):
                    rows[row.id] = row
                    journal.write(json.dumps(row.model_dump(mode="json")) + "\n")
                    journal.flush()
                    done += 1
                    work.report("shift", done, len(manifest))
        except OSError as error:
            raise OutputError(
                f"cannot write {folder / JOURNAL}: {error.strerror or error}",
                hint="make room, and run the same command to go on",
            ) from error
        ordered = tuple(rows[sample.id] for sample in manifest.samples)
        write_jsonl(folder / ROWS, [row.model_dump(mode="json") for row in ordered])
        (folder / JOURNAL).unlink(missing_ok=True)
    return ShiftedSet(folder, ordered, manifest)


@dataclass(frozen=True, slots=True)
class _Writer:
    plan: Plan
    folder: Path
    places: Mapping[str, tuple[Path, Path] | str]
    scale: Scale | None

    def write(self, sample: Sample) -> ShiftRow:
        """The line of one sample, after its files were written."""
        place = self.places[sample.id]
        if isinstance(place, str):
            return self._broken(sample, place)
        try:
            image = decode(sample.path, scale=self.scale)
            mask = true_mask(sample, (image.shape[0], image.shape[1])) if sample.mask_path else None
        except (ImageError, DataError) as error:
            return self._broken(sample, error.message)
        found = shift_picture(image, mask, self.plan, sample.id)
        content = png_bytes(found.image)
        write_bytes(self.folder / place[0], content, durable=False)
        mask_content = None if found.mask is None else png_bytes(found.mask)
        if mask_content is not None:
            write_bytes(self.folder / place[1], mask_content, durable=False)
        return ShiftRow(
            id=sample.id,
            image=place[0].as_posix(),
            mask=None if mask_content is None else place[1].as_posix(),
            label=sample.label,
            defect=sample.defect,
            sha256=hash_bytes(content),
            mask_sha256=None if mask_content is None else hash_bytes(mask_content),
            done=found.done,
            attempts=found.attempts,
        )

    def _broken(self, sample: Sample, why: str) -> ShiftRow:
        _log.warning("left out id=%s reason=%s", sample.id, why)
        return ShiftRow(
            id=sample.id,
            image=None,
            mask=None,
            label=sample.label,
            defect=sample.defect,
            sha256=None,
            mask_sha256=None,
            done=(),
            attempts=0,
            error=why,
        )


def _ensure_ours(folder: Path, wanted: ShiftFile) -> None:
    """Raises `OutputError` for a folder that holds anything but this very plan."""
    if (folder / PLAN).exists():
        found = read_stored(folder / PLAN, ShiftFile, hint="remove the folder, and it is written again")
        if found != wanted:
            raise OutputError(
                f"{folder} holds {found.shift} at severity {found.severity}, seed {found.seed}, of"
                f" {found.dataset}/{found.category}, or the pictures have changed since",
                hint="choose another --output, or remove it",
            )
    elif folder.exists() and any(folder.iterdir()):
        raise OutputError(f"{folder} holds something else", hint="choose another --output")


def _places(manifest: Manifest) -> dict[str, tuple[Path, Path] | str]:
    """Of each sample where its picture and its mask go, or why they cannot; no two go to one place."""
    places: dict[str, tuple[Path, Path] | str] = {}
    taken: set[Path] = set()
    for sample in manifest.samples:
        name = Path(sample.id)
        try:
            found = lay_out(sample, name.stem)
            number = 2
            while found[0] in taken:
                found = lay_out(sample, f"{name.stem}-{number}")
                number += 1
        except DataError as error:
            places[sample.id] = error.message
            continue
        taken.add(found[0])
        places[sample.id] = found
    return places


def _known(folder: Path) -> Iterator[ShiftRow]:
    """The lines of an earlier call whose files are as they say; what a kill tore is passed over."""
    path = folder / ROWS
    rows = read_rows(path, ShiftRow) if path.exists() else list(_journal(folder / JOURNAL))
    for row in rows:
        files = [(row.image, row.sha256), (row.mask, row.mask_sha256)]
        if row.error is None and all(name is None or _holds(folder / name, sha) for name, sha in files):
            yield row


def _journal(path: Path) -> Iterator[ShiftRow]:
    if not path.exists():
        return
    text = path.read_text(encoding="utf-8")
    whole, _, torn = text.rpartition("\n")
    if torn:  # what comes next must begin a line
        path.write_text(whole + "\n" if whole else "", encoding="utf-8")
    for line in whole.splitlines():
        yield ShiftRow.parse(json.loads(line), where=str(path))


def _holds(path: Path, sha256: str | None) -> bool:
    return path.is_file() and hash_file(path) == sha256


def _scale_of(manifest: Manifest) -> Scale | None:
    chosen = scale_of(manifest.train_good() or manifest.samples)
    return None if chosen is None else chosen.scale
