"""Many images to one folder of results: `preds.jsonl`, `masks/`, `overlays/`, `report.json`.

A broken file is recorded and the rest goes on. What was done stays done: the same call again goes on after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kizu.core.config import Config
from kizu.core.errors import ImageError
from kizu.core.files import write_json
from kizu.core.provenance import usable_cores
from kizu.core.threads import in_order, one_blas_thread
from kizu.core.types import U8, Progress
from kizu.data.batches import Placed, place_source
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
    """Threads, each of which takes some images all the way; None: as many as cores."""


@dataclass(frozen=True, slots=True)
class FolderResult:
    """What came of it."""

    report: Record
    skipped: int
    """Images that an earlier, stopped call had done."""


class FolderRunner:
    """One inspector, one output folder."""

    def __init__(self, inspector: Inspector, output_dir: Path, options: FolderOptions | None = None) -> None:
        self._inspector = inspector
        self._bundle_sha256 = inspector.bundle_sha256
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
                    if on_progress is not None:
                        on_progress(finished, len(waiting))

    def _records(self, samples: Sequence[Sample]) -> list[Record]:
        placed = [self._placed(sample) for sample in samples]
        whole = [item for item in placed if not isinstance(item, ImageError)]
        inspections = iter(
            self._inspector.inspect_placed(np.stack([p.image for p in whole]), [p.size for p in whole])
            if whole
            else []
        )
        return [
            error_record(str(sample.path), item.message, self._bundle_sha256)
            if isinstance(item, ImageError)
            else self._record(sample, next(inspections), item.original)
            for sample, item in zip(samples, placed, strict=True)
        ]

    def _placed(self, sample: Sample) -> Placed | ImageError:
        try:
            return place_source(
                sample, self._inspector.manifest.placement, keep_original=self._options.save_overlays
            )
        except ImageError as error:
            return error

    def _record(self, sample: Sample, inspection: Inspection, original: U8 | None) -> Record:
        manifest = self._inspector.manifest
        return {
            **prediction_record(
                str(sample.path), inspection, manifest, self._bundle_sha256, gt_label=sample.label
            ),
            **self._save_pictures(sample, inspection, original),
        }

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
