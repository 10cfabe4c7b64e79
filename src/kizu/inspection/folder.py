"""Many images to one folder of results: `preds.jsonl`, `masks/`, `overlays/`, `report.json`.

A broken file is recorded and the rest goes on. What was done stays done: the same call again goes on after it.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from kizu.core.config import Config
from kizu.core.errors import ImageError
from kizu.core.files import replacing, write_json
from kizu.core.hashing import hash_value
from kizu.core.provenance import usable_cores
from kizu.core.threads import in_order, one_blas_thread
from kizu.core.types import HW, U8, Bool, Progress
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


class FolderOptions(Config):
    """What is kept, and how many images go through at a time."""

    save_masks: bool = True
    save_overlays: bool = True
    save_csv: bool = False
    batch_size: Annotated[int, Field(ge=1)] = 8
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
        true_mask: Callable[[Sample, HW], Bool | None] | None = None,
    ) -> None:
        """`true_mask`: where a sample of this size is really flawed (H, W); its outline is drawn on the overlay."""
        self._true_mask = true_mask
        self._inspector = inspector
        self._bundle_sha256 = inspector.bundle_sha256
        self._output_dir = output_dir
        self._options = options or FolderOptions()
        self._names: dict[str, str] = {}
        self._naming = Lock()

    def run(self, samples: Sequence[Sample], on_progress: Progress | None = None) -> FolderResult:
        """Inspect `samples` that have no line yet, then write `report.json` over all lines.

        Raises `OutputError` when the folder cannot be written or holds the results of another bundle.
        """
        with Journal(self._output_dir, self._settings()) as journal:
            totals, done = self._what_is_done(journal)
            waiting = [sample for sample in samples if str(sample.path) not in done]
            self._inspect(waiting, journal, totals, on_progress)
        return FolderResult(report=self._finish(totals), skipped=len(samples) - len(waiting))

    def watch(
        self,
        arrivals: Iterable[Sequence[Sample]],
        on_record: Callable[[Record], None] | None = None,
    ) -> FolderResult:
        """Inspect what `arrivals` gives, piece by piece, each file once, until it ends; then `report.json`.

        `report.json` is written after each piece too, and when the arrivals stop with an error or Ctrl-C.
        """
        with Journal(self._output_dir, self._settings()) as journal:
            totals, done = self._what_is_done(journal)
            before = len(done)
            try:
                for samples in arrivals:
                    new = [sample for sample in samples if str(sample.path) not in done]
                    done.update(str(sample.path) for sample in new)
                    if new:
                        self._inspect(new, journal, totals, None, on_record)
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
        write_json(self._output_dir / "report.json", report.as_json())
        if self._options.save_csv:
            with (
                replacing(self._output_dir / "preds.csv") as temporary,
                temporary.open("w", encoding="utf-8") as out,
            ):
                out.writelines(csv_lines(lines_of(self._output_dir / "preds.jsonl")))
        return report

    def _name(self, sample: Sample) -> str:
        """What the pictures of `sample` are called: its id, with a mark where another file has taken that."""
        with self._naming:
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
        on_progress: Progress | None,
        on_record: Callable[[Record], None] | None = None,
    ) -> None:
        """Each worker takes a few images all the way, from file to pictures: nobody waits for anybody in between."""
        workers = self._options.workers or usable_cores()
        size = max(1, min(self._options.batch_size, len(waiting) // workers))
        pieces = (waiting[start : start + size] for start in range(0, len(waiting), size))
        finished = 0
        with one_blas_thread():
            for _, records in in_order(self._records, pieces, workers=workers, ahead=2 * workers):
                for record in records:
                    journal.append(record)
                    totals.add(record)
                    finished += 1
                    if on_record is not None:
                        on_record(record)
                    if on_progress is not None:
                        on_progress(finished, len(waiting))

    def _records(self, samples: Sequence[Sample]) -> list[Record]:
        start = time.perf_counter()
        placed = [self._placed(sample) for sample in samples]
        whole = [item for item in placed if not isinstance(item, ImageError)]
        decoded = time.perf_counter()
        inspections = iter(
            self._inspector.inspect_placed(np.stack([p.image for p in whole]), [p.size for p in whole])
            if whole
            else []
        )
        share = 1000 / len(samples)
        timings = {
            "decode_ms": (decoded - start) * share,
            "inspect_ms": (time.perf_counter() - decoded) * share,
        }
        return [
            error_record(str(sample.path), item.message, self._bundle_sha256)
            if isinstance(item, ImageError)
            else self._record(sample, next(inspections), item.original, timings)
            for sample, item in zip(samples, placed, strict=True)
        ]

    def _placed(self, sample: Sample) -> Placed | ImageError:
        try:
            return place_source(
                sample, self._inspector.manifest.placement, keep_original=self._options.save_overlays
            )
        except ImageError as error:
            return error

    def _record(
        self, sample: Sample, inspection: Inspection, original: U8 | None, timings: dict[str, float]
    ) -> Prediction:
        return prediction_record(
            str(sample.path),
            inspection,
            self._inspector.manifest,
            self._bundle_sha256,
            gt_label=sample.label,
            timings=timings,
            pictures=self._save_pictures(sample, inspection, original),
        )

    def _save_pictures(self, sample: Sample, inspection: Inspection, original: U8 | None) -> dict[str, str]:
        """The whole of the name is kept, suffix too, so that a.jpg and a.png do not meet."""
        saved: dict[str, str] = {}
        if not self._options.save_masks and original is None:
            return saved
        name = self._name(sample)
        if self._options.save_masks:
            path = self._output_dir / "masks" / f"{name}.png"
            encode_png(path, inspection.mask)
            saved["mask_path"] = str(path)
        if original is not None:
            path = self._output_dir / "overlays" / f"{name}.jpg"
            mask = None
            if self._true_mask is not None:
                mask = self._true_mask(sample, (original.shape[0], original.shape[1]))
            encode_jpeg(path, inspection.overlay(original, true_mask=mask))
            saved["overlay_path"] = str(path)
        return saved
