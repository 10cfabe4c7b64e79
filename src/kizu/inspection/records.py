"""What an inspection writes: one record for each image, and a report on all.

A line of `preds.jsonl`, a row of `preds.csv` (`table`), the JSON Schema and an answer of a program are views of the
record.
"""

import math
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, TypeAdapter, model_validator
from pydantic.config import JsonDict

from kizu.bundles.manifest import BundleManifest
from kizu.core.errors import ConfigError, DataError, ScoreError
from kizu.data.manifest import Label as TrueLabel
from kizu.decision.policy import Basis, Label
from kizu.decision.regions import Region, Spot
from kizu.inspection.inspector import Inspection
from kizu.inspection.mixed import MixedReport
from kizu.inspection.redecided import Redecided
from kizu.inspection.report import Count, Outcome, Report
from kizu.inspection.source import OF_SOURCE, OF_SUPERSEDED, Source
from kizu.inspection.unknown import Share, Unknown
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


class HighestSpot(Written):
    """Where the map is highest, in an NG image in which nothing is above the pixel threshold: a hint, no flaw."""

    x: Count = Field(description="pixel of the original image")
    y: Count = Field(description="pixel of the original image")
    anomaly_value: float = Field(description="the map's value there")

    @classmethod
    def of(cls, spot: Spot) -> Self:
        """The same, as it is written."""
        return cls(x=spot.x, y=spot.y, anomaly_value=spot.value)


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
    decided_by: MayBeAbsent[Basis] = Field(
        default=None, description="the image score, or in a region of interest the regions of the map"
    )
    reason: MayBeAbsent[str] = Field(default=None, description="why the label is so, for a person")
    highest_spot: MayBeAbsent[HighestSpot] = Field(
        default=None, description="of an NG image that lists no defect: where to look"
    )
    pages: MayBeAbsent[Size] = Field(
        default=None,
        description="pictures in its file, where there are more than the first, which alone was judged",
    )
    beyond_scale: MayBeAbsent[Annotated[float, Field(gt=0, le=1)]] = Field(
        default=None,
        description="the part of its numbers that lies outside of the scale of the model, where any does",
    )
    class_name: MayBeAbsent[str] = Field(
        default=None, description="with several models: the product that the picture shows, by its looks"
    )
    class_confidence: MayBeAbsent[Share] = Field(
        default=None, description="that product's part of the votes of the references that are nearest"
    )
    outcome: Literal["inspected"] = Field(default="inspected", description="it was inspected")
    source: MayBeAbsent[Source] = Field(default=None, description=OF_SOURCE)
    redecided: MayBeAbsent[Redecided] = Field(
        default=None, description="that the verdict was made again from the score, without the picture"
    )
    superseded: bool = Field(default=False, description=OF_SUPERSEDED)

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
    """An image that could not be inspected."""

    image_path: str = Field(description="as it was given")
    error: str = Field(description="why not")
    bundle_sha256: MayBeAbsent[str] = Field(
        default=None,
        description="hash of the bundle that would have judged; absent where one of several was to be found first",
    )
    category: MayBeAbsent[str] = Field(
        default=None, description="with several models: whose picture it is, where that was found"
    )
    outcome: Outcome = Field(
        default="damaged",
        description="damaged: its content is no picture that Kizu reads. mismatched: a sound one of another size or"
        " depth than the model takes, or beside the region of interest. unreadable: the file could not be read then."
        " unfinished: it was being written then. failed: anything else. The last three are tried again by the next"
        " call",
    )
    source: MayBeAbsent[Source] = Field(default=None, description=OF_SOURCE)
    superseded: bool = Field(default=False, description=OF_SUPERSEDED)


Record = Prediction | Failure | Unknown


def prediction_record(
    image_path: str,
    inspection: Inspection,
    manifest: BundleManifest,
    bundle_sha256: str,
    *,
    gt_label: TrueLabel | None = None,
    timings: Mapping[str, float] | None = None,
    details: Mapping[str, Any] | None = None,
) -> Prediction:
    """The record of an image that was inspected. `timings`: ms. `details`: of the keys that may be absent, those that
    are known: `source`, `mask_path`, `overlay_path`, `pages`, `beyond_scale`, `class_name`, `class_confidence`.

    Raises `ScoreError` for a score that is not finite.
    """
    if not math.isfinite(inspection.score):
        raise ScoreError(f"the score of {image_path} is {inspection.score}")
    optional = dict(details or {})
    if inspection.spot is not None:
        optional["highest_spot"] = HighestSpot.of(inspection.spot)
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
        decided_by=inspection.by,
        reason=inspection.reason,
        outcome="inspected",
        superseded=False,
        **optional,
    )


def error_record(
    image_path: str,
    message: str,
    bundle_sha256: str | None,
    *,
    outcome: Outcome = "damaged",
    source: Source | None = None,
    category: str | None = None,
) -> Failure:
    """The record of an image that could not be inspected."""
    optional: dict[str, Any] = {"bundle_sha256": bundle_sha256, "category": category, "source": source}
    return Failure(
        image_path=image_path,
        error=message,
        outcome=outcome,
        superseded=False,
        **{name: value for name, value in optional.items() if value is not None},
    )


def parse_record(values: Any, *, where: str) -> Record:
    """A record from what JSON holds. Raises `DataError` naming `where`, the key and its value."""
    kinds: dict[str, type[Record]] = {"failure": Failure, "unknown": Unknown, "prediction": Prediction}
    kind = kinds[_kind(values)]
    try:
        return kind.parse(values, where=where)
    except ConfigError as error:
        raise DataError(
            f"{error.message}: this is no record of an inspection",
            hint="remove that line; its image is inspected again",
        ) from error


def _kind(values: Any) -> str:
    if not isinstance(values, dict):
        return "prediction"
    return (
        "failure" if "error" in values else "unknown" if values.get("outcome") == "unknown" else "prediction"
    )


@cache
def schema(name: Literal["preds", "report"]) -> dict[str, Any]:
    """The JSON Schema of a line of `preds.jsonl`, or of `report.json`."""
    if name == "report":
        return json_schema(TypeAdapter(Report | MixedReport), "report.json")
    by_kind = Annotated[
        Annotated[Prediction, Tag("prediction")]
        | Annotated[Failure, Tag("failure")]
        | Annotated[Unknown, Tag("unknown")],
        Discriminator(_kind),
    ]
    return json_schema(TypeAdapter(by_kind), "A line of preds.jsonl")
