"""Many images to one folder of results: `preds.jsonl`, `masks/`, `overlays/`, `report.json`.

A broken file is recorded and the rest goes on. What was done stays done: the same call again goes on after it.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import Field

from kizu.core.config import Config
from kizu.core.environment import FILE_NAME_ERRORS
from kizu.core.errors import ImageError
from kizu.core.files import replace_whole, write_json
from kizu.core.hashing import hash_value
from kizu.core.types import HW, U8, Bool
from kizu.core.work import BATCH, Work
from kizu.data.batches import Placed, place_source
from kizu.data.manifest import Sample
from kizu.imaging.codec import encode_jpeg, encode_png
from kizu.inspection.inspector import Inspection, Inspector
from kizu.inspection.journal import Journal, lines_of
from kizu.inspection.records import (
    Failure,
    Prediction,
    Record,
    Tally,
    csv_lines,
    error_record,
    prediction_record,
)
from kizu.inspection.report import Report

TrueMask = Callable[[Sample, HW], Bool | None]
"""Where a sample of this size (H, W) is really flawed, (H, W); None: nobody knows."""


class Named(NamedTuple):
    """A sample, and what its pictures are called: decided before the work is shared out."""

    sample: Sample
    name: str


class FolderOptions(Config):
    """What is kept, and how many images go through at a time."""

    save_masks: bool = True
    save_overlays: bool = True
    save_csv: bool = False
    batch_size: Annotated[int, Field(ge=1)] = BATCH
    """1: each image by itself, for the shortest way from file to verdict."""
    workers: int | None = None
    """Threads, each of which takes some images all the way; None: as many as cores."""


@dataclass(frozen=True, slots=True)
class FolderResult:
    """What came of it."""

    report: Report
    skipped: int
    """Images that an earlier, stopped call had done."""


class FolderRunner:
    """One inspector, one output folder."""

    def __init__(
        self,
        inspector: Inspector,
        output_dir: Path,
        options: FolderOptions | None = None,
        *,
        true_mask: TrueMask | None = None,
        work: Work | None = None,
    ) -> None:
        """`true_mask`: its outline is drawn on the overlay. `work`: None: the inspector's."""
        self._true_mask = true_mask
        self._work = work or inspector.work
        self._inspector = inspector
        self._bundle_sha256 = inspector.bundle_sha256
        self._output_dir = output_dir
        self._options = options or FolderOptions()
        self._names: dict[str, str] = {}

    def run(self, samples: Sequence[Sample]) -> FolderResult:
        """Inspect `samples` that have no line yet, then write `report.json` over all lines.

        Raises `OutputError` when the folder cannot be written or holds the results of another bundle.
        """
        with Journal(self._output_dir, self._settings()) as journal:
            totals, done = self._what_is_done(journal)
            waiting = [sample for sample in samples if str(sample.path) not in done]
            self._inspect(waiting, journal, totals)
        return FolderResult(report=self._finish(totals), skipped=len(samples) - len(waiting))

    def watch(
        self,
        arrivals: Iterable[Sequence[Sample]],
        on_record: Callable[[Record], None] | None = None,
    ) -> FolderResult:
        """Inspect what `arrivals` gives, piece by piece, each file once, until it ends; then `report.json`.

        `report.json` is written after each piece too, and when the arrivals stop with an error or Ctrl-C.
        """
        self._work = self._work.quiet()  # nobody knows how many will come
        with Journal(self._output_dir, self._settings()) as journal:
            totals, done = self._what_is_done(journal)
            before = len(done)
            try:
                for samples in arrivals:
                    new = [sample for sample in samples if str(sample.path) not in done]
                    done.update(str(sample.path) for sample in new)
                    if new:
                        self._inspect(new, journal, totals, on_record)
                        self._finish(totals)
            finally:
                report = self._finish(totals)
        return FolderResult(report=report, skipped=before)

    def _what_is_done(self, journal: Journal) -> tuple[Tally, set[str]]:
        """What the lines so far add up to, and the images they are of; and which names they have taken."""
        totals, done = Tally(), set()
        for record in journal.records():
            done.add(record.image_path)
            totals.add(record)
            if isinstance(record, Failure):
                continue
            for saved, folder in ((record.mask_path, "masks"), (record.overlay_path, "overlays")):
                picture = Path(saved or "").absolute()
                place = (self._output_dir / folder).absolute()
                if picture.is_relative_to(place):  # or the folder has been moved since
                    name = picture.relative_to(place).with_suffix("").as_posix()
                    self._names[name] = record.image_path
        return totals, done

    def _finish(self, totals: Tally) -> Report:
        report = totals.report(self._inspector.manifest)
        write_json(self._output_dir / "report.json", report.as_json(), durable=False)  # the lines must last
        if self._options.save_csv:
            with (
                replace_whole(self._output_dir / "preds.csv", durable=False) as temporary,
                temporary.open("w", encoding="utf-8", errors=FILE_NAME_ERRORS) as out,
            ):
                out.writelines(csv_lines(lines_of(self._output_dir / "preds.jsonl")))
        return report

    def _name(self, sample: Sample) -> str:
        """What the pictures of `sample` are called: its id, with a mark where another file has taken that."""
        taken_by = self._names.setdefault(sample.id, str(sample.path))
        if taken_by == str(sample.path):
            return sample.id
        path = PurePosixPath(sample.id)
        mark = hash_value(str(sample.path))[:8]
        name = path.with_name(f"{path.stem}-{mark}{path.suffix}").as_posix()
        self._names[name] = str(sample.path)
        return name

    def _settings(self) -> dict[str, Any]:
        roi = self._inspector.roi
        return {
            "bundle_sha256": self._bundle_sha256,
            "category": self._inspector.manifest.category,
            "policy": self._inspector.policy.config.model_dump(mode="json"),
            "roi": None if roi is None else roi.sha256,
            "save_masks": self._options.save_masks,
            "save_overlays": self._options.save_overlays,
        }

    def _inspect(
        self,
        waiting: Sequence[Sample],
        journal: Journal,
        totals: Tally,
        on_record: Callable[[Record], None] | None = None,
    ) -> None:
        """Each worker takes a few images all the way, from file to pictures: nobody waits for anybody in between."""
        workers = self._options.workers or self._work.core_count
        size = max(1, min(self._options.batch_size, len(waiting) // workers))
        pieces = (
            [Named(sample, self._name(sample)) for sample in waiting[start : start + size]]
            for start in range(0, len(waiting), size)
        )
        make = InspectPieces(self._inspector, self._output_dir, self._options, self._true_mask)
        finished = 0
        for _, records in self._work.share(make, pieces, workers=workers):
            for record in records:
                journal.append(record)
                totals.add(record)
                finished += 1
                if on_record is not None:
                    on_record(record)
            self._work.report("inspect", finished, len(waiting))


@dataclass(frozen=True, slots=True)
class InspectPieces:
    """Makes what a worker does with a few images; it can be pickled, and opens its inspector where it arrives."""

    inspector: Inspector
    output_dir: Path
    options: FolderOptions
    true_mask: TrueMask | None = None

    def __call__(self) -> Callable[[Sequence[Named]], list[Record]]:
        """The worker's function: from samples to the lines they get, their pictures written."""
        return self._records

    def _records(self, named: Sequence[Named]) -> list[Record]:
        start = time.perf_counter()
        placed = [self._place(sample) for sample, _ in named]
        whole = [item for item in placed if not isinstance(item, ImageError)]
        decoded = time.perf_counter()
        inspections = iter(
            self.inspector.inspect_placed(np.stack([p.image for p in whole]), [p.size for p in whole])
            if whole
            else []
        )
        share = 1000 / len(named)
        timings = {
            "decode_ms": (decoded - start) * share,
            "inspect_ms": (time.perf_counter() - decoded) * share,
        }
        return [
            error_record(str(piece.sample.path), item.message, self.inspector.bundle_sha256)
            if isinstance(item, ImageError)
            else self._record(piece, next(inspections), item.original, timings)
            for piece, item in zip(named, placed, strict=True)
        ]

    def _place(self, sample: Sample) -> Placed | ImageError:
        try:
            placed = place_source(sample, self.inspector.placement, keep_original=self.options.save_overlays)
            self.inspector.ensure_fits(placed.size, sample.path)
            return placed
        except ImageError as error:
            return error

    def _record(
        self, named: Named, inspection: Inspection, original: U8 | None, timings: dict[str, float]
    ) -> Prediction:
        return prediction_record(
            str(named.sample.path),
            inspection,
            self.inspector.manifest,
            self.inspector.bundle_sha256,
            gt_label=named.sample.label,
            timings=timings,
            pictures=self._save_pictures(named, inspection, original),
        )

    def _save_pictures(self, named: Named, inspection: Inspection, original: U8 | None) -> dict[str, str]:
        """The whole of the name is kept, suffix too, so that a.jpg and a.png do not meet."""
        saved: dict[str, str] = {}
        if self.options.save_masks:
            path = self.output_dir / "masks" / f"{named.name}.png"
            encode_png(path, inspection.mask)
            saved["mask_path"] = str(path)
        if original is not None:
            path = self.output_dir / "overlays" / f"{named.name}.jpg"
            mask = None
            if self.true_mask is not None:
                mask = self.true_mask(named.sample, (original.shape[0], original.shape[1]))
            encode_jpeg(path, inspection.overlay(original, true_mask=mask))
            saved["overlay_path"] = str(path)
        return saved
