"""Many images to one folder of results: `preds.jsonl`, `masks/`, `overlays/`, `report.json`.

A broken file is recorded and the rest goes on. What was done stays done: the same call again goes on after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kizu.core.config import Config
from kizu.core.errors import ImageError
from kizu.core.files import write_json
from kizu.core.types import U8, Progress
from kizu.data.batches import PlacedBatch, stream
from kizu.data.manifest import Sample
from kizu.imaging.codec import encode_jpeg, encode_png
from kizu.inspection.inspector import Inspection, Inspector
from kizu.inspection.journal import Journal
from kizu.inspection.records import Record, Tally, error_record, prediction_record


class FolderOptions(Config):
    """What is kept, and how many images go through at a time."""

    save_masks: bool = True
    save_overlays: bool = True
    batch_size: int = 8
    workers: int | None = None
    """Decoding threads; None: as many as cores."""


@dataclass(frozen=True, slots=True)
class FolderResult:
    """What came of it."""

    report: Record
    skipped: int
    """Images that an earlier, stopped call had done."""


class FolderRunner:
    """One inspector, one output folder."""

    def __init__(
        self, inspector: Inspector, bundle_sha256: str, output_dir: Path, options: FolderOptions | None = None
    ) -> None:
        self._inspector = inspector
        self._bundle_sha256 = bundle_sha256
        self._output_dir = output_dir
        self._options = options or FolderOptions()

    def run(self, samples: Sequence[Sample], on_progress: Progress | None = None) -> FolderResult:
        """Inspect `samples` that have no line yet, then write `report.json` over all lines.

        Raises `OutputError` when the folder cannot be written or holds the results of another bundle.
        """
        with Journal(self._output_dir, self._settings()) as journal:
            totals = Tally()
            done = set()
            for record in journal.records():
                done.add(record["image_path"])
                totals.add(record)
            waiting = [sample for sample in samples if str(sample.path) not in done]
            self._inspect(waiting, journal, totals, on_progress)
        report = totals.report(self._inspector.manifest)
        write_json(self._output_dir / "report.json", report)
        return FolderResult(report=report, skipped=len(samples) - len(waiting))

    def _settings(self) -> Record:
        return {
            "bundle_sha256": self._bundle_sha256,
            "policy": self._inspector.policy.config.model_dump(mode="json"),
            "save_masks": self._options.save_masks,
            "save_overlays": self._options.save_overlays,
        }

    def _inspect(
        self, waiting: Sequence[Sample], journal: Journal, totals: Tally, on_progress: Progress | None
    ) -> None:
        finished = 0

        def keep(record: Record) -> None:
            nonlocal finished
            journal.append(record)
            totals.add(record)
            finished += 1
            if on_progress is not None:
                on_progress(finished, len(waiting))

        def broken(sample: Sample, error: ImageError) -> None:
            keep(error_record(str(sample.path), error.message, self._bundle_sha256))

        batches = stream(
            waiting,
            self._inspector.manifest.placement,
            batch_size=self._options.batch_size,
            workers=self._options.workers,
            on_broken=broken,
            keep_originals=self._options.save_overlays,
        )
        for batch in batches:
            for record in self._records(batch):
                keep(record)

    def _records(self, batch: PlacedBatch[Sample]) -> list[Record]:
        inspections = self._inspector.inspect_placed(batch.images, batch.sizes)
        originals: Sequence[U8 | None] = batch.originals or [None] * len(inspections)
        return [
            {
                **prediction_record(
                    str(sample.path),
                    inspection,
                    self._inspector.manifest,
                    self._bundle_sha256,
                    gt_label=sample.label,
                ),
                **self._save_pictures(sample, inspection, original),
            }
            for sample, inspection, original in zip(batch.samples, inspections, originals, strict=True)
        ]

    def _save_pictures(self, sample: Sample, inspection: Inspection, original: U8 | None) -> dict[str, Any]:
        """The whole of the name is kept, suffix too, so that a.jpg and a.png do not meet."""
        saved = {}
        if self._options.save_masks:
            path = self._output_dir / "masks" / f"{sample.id}.png"
            encode_png(path, inspection.mask)
            saved["mask_path"] = str(path)
        if original is not None:
            path = self._output_dir / "overlays" / f"{sample.id}.jpg"
            encode_jpeg(path, inspection.overlay(original))
            saved["overlay_path"] = str(path)
        return saved
