"""What an inspection writes: one record for each image, and a report on all.

A line of `preds.jsonl`, a row of `preds.csv`, the JSON Schema and an answer of a program are views of the record.
"""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, TypeAdapter, model_validator
from pydantic.config import JsonDict

from kizu.bundles.manifest import BundleManifest
from kizu.core.errors import ConfigError, DataError, ScoreError
from kizu.core.provenance import utc_now
from kizu.core.text import as_cell
from kizu.data.manifest import Label as TrueLabel
from kizu.data.passed import PassedOver
from kizu.decision.policy import Label
from kizu.decision.regions import Region
from kizu.inspection.inspector import Inspection
from kizu.inspection.report import Count, DefectStats, Report, ReportPassedOver, ReportThresholds, ScoreStats
from kizu.inspection.written import Listed, MayBeAbsent, Written, json_schema

Size = Annotated[int, Field(ge=1)]


class Defect(Written):
    """One flaw: pixels that touch each other, all above the pixel threshold."""

    component_id: Size = Field(description="counted from 1, the highest peak first")
    area: Size = Field(description="pixels of the original image")
    bbox: Listed[tuple[Count, Count, Count, Count]] = Field(
        description="[x_min, y_min, x_max, y_max] in pixels of the original image, half open"
    )
    centroid: Listed[tuple[float, float]] = Field(description="[x, y] in pixels of the original image")
    max_anomaly_value: float = Field(description="the map's highest value within")
    mean_anomaly_value: float = Field(description="the mean of the map's values within")

    @classmethod
    def of(cls, number: int, region: Region) -> Self:
        """The `number`-th of an image."""
        return cls(
            component_id=number,
            area=region.area,
            bbox=region.bbox,
            centroid=region.centroid,
            max_anomaly_value=region.peak,
            mean_anomaly_value=region.mean,
        )


_LABEL_AND_VERDICT: JsonDict = {
    "if": {"properties": {"label": {"const": "OK"}}},
    "then": {
        "properties": {
            "is_anomaly": {"const": False},
            "num_defects": {"const": 0},
            "total_defect_area": {"const": 0},
            "defects": {"maxItems": 0},
        }
    },
    "else": {"properties": {"is_anomaly": {"const": True}}},
}


class Prediction(Written, json_schema_extra=_LABEL_AND_VERDICT):
    """An image that was inspected."""

    image_path: str = Field(description="as it was given")
    model: str = Field(description="the detector's name")
    category: str = Field(description="whose thresholds hold")
    image_size: Listed[tuple[Size, Size]] = Field(description="[height, width]")
    gt_label: TrueLabel | None = Field(description="what the image really is; null where it is not known")
    pred_score: float = Field(description="raw; the higher, the more anomalous")
    image_threshold: float = Field(description="what pred_score is compared with")
    pixel_threshold: float = Field(description="as it stands in the bundle")
    effective_pixel_threshold: float = Field(description="pixel_threshold times --pixel-threshold-mult")
    label: Label = Field(description="the verdict")
    is_anomaly: bool = Field(description="whether the label is NG")
    num_defects: Count = Field(description="how many defects are listed")
    total_defect_area: Count = Field(description="their areas together, in pixels of the original image")
    defects: Listed[tuple[Defect, ...]] = Field(
        description="of an NG image, the highest peak first; an OK image lists none"
    )
    timings: dict[str, float] = Field(description="milliseconds")
    bundle_sha256: str = Field(description="hash of the bundle that judged")
    mask_path: MayBeAbsent[str] = Field(
        default=None, description="the picture of the flaws' pixels, where saved"
    )
    overlay_path: MayBeAbsent[str] = Field(
        default=None, description="the image with map, outlines and verdict, where saved"
    )

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if self.is_anomaly != (self.label == "NG"):
            raise ValueError(f"the label is {self.label} and is_anomaly {self.is_anomaly}")
        if self.num_defects != len(self.defects):
            raise ValueError(f"num_defects is {self.num_defects}, and {len(self.defects)} are listed")
        if self.total_defect_area != sum(defect.area for defect in self.defects):
            raise ValueError(
                f"total_defect_area is {self.total_defect_area}, and the listed add up to another"
            )
        if self.label == "OK" and self.defects:
            raise ValueError("an OK image lists no defects")
        return self


class Failure(Written):
    """An image that could not be read."""

    image_path: str = Field(description="as it was given")
    error: str = Field(description="why not")
    bundle_sha256: str = Field(description="hash of the bundle that would have judged")


Record = Prediction | Failure


def prediction_record(
    image_path: str,
    inspection: Inspection,
    manifest: BundleManifest,
    bundle_sha256: str,
    *,
    gt_label: TrueLabel | None = None,
    timings: Mapping[str, float] | None = None,
    pictures: Mapping[str, str] | None = None,
) -> Prediction:
    """The record of an image that was inspected. `timings`: ms. `pictures`: `mask_path`, `overlay_path` where saved.

    Raises `ScoreError` for a score that is not finite.
    """
    if not math.isfinite(inspection.score):
        raise ScoreError(f"the score of {image_path} is {inspection.score}")
    defects = tuple(Defect.of(number, region) for number, region in enumerate(inspection.regions, start=1))
    return Prediction(
        image_path=image_path,
        model=manifest.model,
        category=manifest.category,
        image_size=(inspection.map.shape[0], inspection.map.shape[1]),
        gt_label=gt_label,
        pred_score=inspection.score,
        image_threshold=inspection.threshold,
        pixel_threshold=manifest.thresholds.pixel.value,
        effective_pixel_threshold=inspection.pixel_threshold,
        label=inspection.label,
        is_anomaly=inspection.label == "NG",
        num_defects=len(defects),
        total_defect_area=sum(defect.area for defect in defects),
        defects=defects,
        timings={name: round(ms, 3) for name, ms in (timings or {}).items()},
        bundle_sha256=bundle_sha256,
        **(pictures or {}),
    )


def error_record(image_path: str, message: str, bundle_sha256: str) -> Failure:
    """The record of an image that could not be read."""
    return Failure(image_path=image_path, error=message, bundle_sha256=bundle_sha256)


def parse_record(values: Any, *, where: str) -> Record:
    """A record from what JSON holds. Raises `DataError` naming `where`, the key and its value."""
    kind = Failure if _kind(values) == "failure" else Prediction
    try:
        return kind.parse(values, where=where)
    except ConfigError as error:
        raise DataError(
            f"{error.message}: this is no record of an inspection",
            hint="remove that line; its image is inspected again",
        ) from error


def _kind(values: Any) -> str:
    return "failure" if isinstance(values, dict) and "error" in values else "prediction"


class Tally:
    """Running totals for `report.json`; its memory does not grow with the number of images."""

    def __init__(self) -> None:
        self.count = self.ng = self.errors = self.defects = self.area = self.largest = 0
        self.low, self.high, self.sum = float("inf"), float("-inf"), 0.0

    def add(self, record: Record) -> None:
        """Count one image."""
        if isinstance(record, Failure):
            self.errors += 1
            return
        score = record.pred_score
        self.count += 1
        self.ng += record.is_anomaly
        self.low, self.high, self.sum = min(self.low, score), max(self.high, score), self.sum + score
        self.defects += record.num_defects
        self.area += record.total_defect_area
        self.largest = max([self.largest, *(defect.area for defect in record.defects)])

    def report(self, manifest: BundleManifest, passed_over: Sequence[PassedOver] = ()) -> Report:
        """All of it. Without predictions: counts 0, rates 0.0, `defect_stats` null, `score_stats` left out."""
        n = self.count
        passed: dict[str, Any] = (
            {"passed_over": tuple(map(ReportPassedOver.of, passed_over))} if passed_over else {}
        )
        scores: dict[str, Any] = (
            {"score_stats": ScoreStats(min=self.low, max=self.high, mean=self.sum / n)} if n else {}
        )
        return Report(
            model=manifest.model,
            category=manifest.category,
            run_id=manifest.run_id,
            thresholds=ReportThresholds.of(manifest.thresholds),
            num_images=n,
            num_ok=n - self.ng,
            num_ng=self.ng,
            num_errors=self.errors,
            ng_rate=self.ng / n if n else 0.0,
            ok_rate=(n - self.ng) / n if n else 0.0,
            defect_stats=self._defect_stats() if n else None,
            created_at=utc_now(),
            **scores,
            **passed,
        )

    def _defect_stats(self) -> DefectStats:
        return DefectStats(
            total_defects=self.defects,
            avg_defects_per_ng=self.defects / self.ng if self.ng else 0.0,
            max_defect_area=self.largest,
            avg_total_defect_area=self.area / self.ng if self.ng else 0.0,
        )


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
    """A table of the same records, a row for each, with its head; what a record has not is empty."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for record in records:
        yield stream.getvalue()
        stream.seek(0)
        stream.truncate()
        writer.writerow(_cell(getattr(record, name, None)) for name in COLUMNS)
    yield stream.getvalue()


def _cell(value: object) -> object:
    """What goes into a table: no text that a spreadsheet takes for a formula, and nothing for what is not there."""
    return "" if value is None else as_cell(value) if isinstance(value, str) else value


@cache
def schema(name: Literal["preds", "report"]) -> dict[str, Any]:
    """The JSON Schema of a line of `preds.jsonl`, or of `report.json`."""
    if name == "report":
        return json_schema(TypeAdapter(Report), "report.json")
    by_kind = Annotated[
        Annotated[Prediction, Tag("prediction")] | Annotated[Failure, Tag("failure")], Discriminator(_kind)
    ]
    return json_schema(TypeAdapter(by_kind), "A line of preds.jsonl")
