"""What an inspection writes: one line of `preds.jsonl` for each image, and `report.json` for all."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from kizu.bundles.manifest import BundleManifest
from kizu.core.provenance import utc_now
from kizu.decision.calibration import Thresholds
from kizu.decision.thresholds import Threshold
from kizu.decision.zones import ZoneThresholds
from kizu.inspection.inspector import Inspection

Record = dict[str, Any]


def prediction_record(
    image_path: str,
    inspection: Inspection,
    manifest: BundleManifest,
    bundle_sha256: str,
    *,
    gt_label: str | None = None,
    timings: Mapping[str, float] | None = None,
) -> Record:
    """One line of `preds.jsonl`. Coordinates are pixels of the original image; `image_size` is [height, width]."""
    thresholds = manifest.thresholds
    regions = inspection.regions
    return {
        "image_path": image_path,
        "model": manifest.model,
        "category": manifest.category,
        "image_size": list(inspection.map.shape),
        "gt_label": gt_label,
        "pred_score": inspection.score,
        "image_threshold": inspection.threshold,
        "pixel_threshold": thresholds.pixel.value,
        "effective_pixel_threshold": inspection.pixel_threshold,
        "label": inspection.label,
        "is_anomaly": inspection.label == "NG",
        "num_defects": len(regions),
        "total_defect_area": sum(region.area for region in regions),
        "defects": [
            {
                "component_id": number,
                "area": region.area,
                "bbox": list(region.bbox),
                "centroid": list(region.centroid),
                "max_anomaly_value": region.peak,
                "mean_anomaly_value": region.mean,
            }
            for number, region in enumerate(regions, start=1)
        ],
        "timings": {name: round(ms, 3) for name, ms in (timings or {}).items()},
        "bundle_sha256": bundle_sha256,
    }


def error_record(image_path: str, message: str, bundle_sha256: str) -> Record:
    """The line of an image that could not be read."""
    return {"image_path": image_path, "error": message, "bundle_sha256": bundle_sha256}


class Tally:
    """Running totals for `report.json`; its memory does not grow with the number of images."""

    def __init__(self) -> None:
        self.count = self.ng = self.errors = self.defects = self.area = self.largest = 0
        self.low, self.high, self.sum = float("inf"), float("-inf"), 0.0

    def add(self, record: Record) -> None:
        """Count one line of `preds.jsonl`."""
        if "error" in record:
            self.errors += 1
            return
        score = record["pred_score"]
        self.count += 1
        self.ng += record["is_anomaly"]
        self.low, self.high, self.sum = min(self.low, score), max(self.high, score), self.sum + score
        self.defects += record["num_defects"]
        self.area += record["total_defect_area"]
        self.largest = max([self.largest, *(defect["area"] for defect in record["defects"])])

    def report(self, manifest: BundleManifest) -> Record:
        """`report.json`. Without predictions: counts 0, rates 0.0, `defect_stats` null, `score_stats` left out."""
        n = self.count
        report: Record = {
            "model": manifest.model,
            "category": manifest.category,
            "run_id": manifest.run_id,
            "thresholds": _thresholds(manifest.thresholds),
            "num_images": n,
            "num_ok": n - self.ng,
            "num_ng": self.ng,
            "num_errors": self.errors,
            "ng_rate": self.ng / n if n else 0.0,
            "ok_rate": (n - self.ng) / n if n else 0.0,
        }
        if n:
            report["score_stats"] = {"min": self.low, "max": self.high, "mean": self.sum / n}
        report["defect_stats"] = (
            {
                "total_defects": self.defects,
                "avg_defects_per_ng": self.defects / self.ng if self.ng else 0.0,
                "max_defect_area": self.largest,
                "avg_total_defect_area": self.area / self.ng if self.ng else 0.0,
            }
            if n
            else None
        )
        report["created_at"] = utc_now()
        return report


def _thresholds(thresholds: Thresholds) -> Record:
    image, pixel, zones = thresholds.image, thresholds.pixel, thresholds.zones
    by_zone = {} if zones is None else {"pixel_threshold_zones": _rows(zones)}
    return by_zone | {
        "image_threshold": image.value,
        "pixel_threshold": pixel.value,
        "quantile_image": _quantile(image),
        "quantile_pixel": _quantile(pixel),
        "rule": image.rule.describe(),
        "pixel_rule": pixel.rule.describe(),
        "count": image.count,
        "false_alarm_rate": image.false_alarm_rate,
    }


def _quantile(threshold: Threshold) -> float | None:
    return threshold.rule.level if threshold.rule.name == "quantile" else None


def _rows(zones: ZoneThresholds) -> list[list[float]]:
    rows, columns = zones.grid
    return [[zone.value for zone in zones.zones[row * columns : (row + 1) * columns]] for row in range(rows)]


COLUMNS = (
    "image_path",
    "label",
    "pred_score",
    "image_threshold",
    "gt_label",
    "num_defects",
    "total_defect_area",
    "error",
)


def csv_lines(records: Iterable[Record]) -> Iterator[str]:
    """A table of the same lines, a row for each, with its head; what a line has not is empty."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, extrasaction="ignore", restval="", lineterminator="\n")
    writer.writeheader()
    for record in records:
        yield stream.getvalue()
        stream.seek(0)
        stream.truncate()
        writer.writerow({name: "" if record.get(name) is None else record[name] for name in COLUMNS})
    yield stream.getvalue()


@cache
def schema(name: Literal["preds", "report"]) -> dict[str, Any]:
    """The JSON Schema of a line of `preds.jsonl`, or of `report.json`."""
    text = files("kizu.inspection").joinpath(f"schemas/{name}.schema.json").read_text(encoding="utf-8")
    return dict(json.loads(text))
