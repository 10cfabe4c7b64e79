"""What is said of a picture: the fields of the answer, and how they are made from an inspection."""

import time
from base64 import b64encode
from typing import Annotated, Any, NamedTuple, Self

import numpy as np
from pydantic import BaseModel, Field

from kizu.core.errors import ScoreError
from kizu.core.types import F32
from kizu.decision.policy import Basis, Label
from kizu.imaging.codec import Limits, image_info, npy_bytes, png16_bytes, png_bytes
from kizu.imaging.overlay import heat_layer
from kizu.imaging.sniff import sniff_bytes
from kizu.inspection.inspector import HEAT_RANGE, Inspection
from kizu.inspection.records import Defect, HighestSpot
from kizu.inspection.shelf import Shelf, Shelved
from kizu.inspection.shelf_models import ShelfModel
from kizu.service.bodies import DetectOptions
from kizu.service.problems import ProblemError

UNLIMITED = Limits(max_pixels=1 << 62, max_side=1 << 31)
Milliseconds = dict[str, float]


class ModelSaid(BaseModel):
    """Which model judged."""

    name: str
    version: int | None = Field(description="of the run's model, counted from 1")
    sha256: str = Field(description="of its bundle, or of the exported file")

    @classmethod
    def of(cls, model: ShelfModel) -> Self:
        """The same, as it is written."""
        return cls(name=model.name, version=model.version, sha256=model.sha256)


class MapScale(BaseModel):
    """From the numbers of a 16-bit picture to the map's: `offset + step * number`."""

    offset: float
    step: float


class DetectAnswer(BaseModel):
    """The verdict on one picture. Of a product that nobody knows all that a model would say is null."""

    class_name: str | None = Field(description="the product; null where it is none that is known")
    class_confidence: float | None = Field(
        description="0 to 1 where it was found by likeness; null where it was given"
    )
    is_anomalous: bool | None
    label: Label | None = Field(description="OK or NG")
    reason: str | None = Field(description="why, for a person")
    decided_by: Basis | None = Field(
        description="the image score, or in a region of interest the map's regions"
    )
    anomaly_score: float | None = Field(description="raw; the higher, the more anomalous")
    ratio: float | None = Field(description="anomaly_score in parts of the threshold; NG lies above 1")
    threshold: float | None = Field(description="what anomaly_score is compared with")
    pixel_threshold: float | None = Field(description="what the map is cut at; with zones each has its own")
    anomaly_percentage: float | None = Field(
        description="percent of the picture's pixels above pixel_threshold"
    )
    image_size: tuple[int, int] | None = Field(description="[height, width]")
    regions: list[Defect] | None = Field(
        description="as in preds.jsonl; an OK picture has none; null: not asked for"
    )
    highest_spot: HighestSpot | None = Field(description="where to look in an NG picture without a region")
    anomaly_map_base64: str | None = Field(description="(height, width), where it was asked for")
    map_format: str | None
    map_scale: MapScale | None = Field(description="of png16: what its numbers mean")
    processing_time_ms: Annotated[
        Milliseconds, Field(description="total, and its parts: read, queue, inspect, answer")
    ]
    model: ModelSaid | None
    warnings: list[str]
    request_id: str


class BatchItem(BaseModel):
    """One file of several: a result, or what went wrong with it."""

    index: int
    file_name: str | None
    result: DetectAnswer | None = None
    error: dict[str, Any] | None = Field(
        default=None, description="a problem, as the request alone would have had"
    )


class BatchAnswer(BaseModel):
    """In the order of the files."""

    items: list[BatchItem]
    request_id: str


class Asked(NamedTuple):
    """The request that a picture came with."""

    options: DetectOptions
    request_id: str
    started_s: float
    """By `time.perf_counter`, when the request came."""
    read_s: float
    """What reading it took."""


class Looked(NamedTuple):
    """What one inspection found."""

    found: Shelved
    body: bytes
    """The answer, as JSON."""
    stages_s: dict[str, float]


def ensure_picture(data: bytes, max_megapixels: float) -> None:
    """Raises `ProblemError` for what is no picture that is read, or has too many pixels; `ImageError` for a header that
    is broken."""
    sniffed = sniff_bytes(data[:132])
    if sniffed is None or not sniffed.is_read:
        told = "it is no picture" if sniffed is None else f"pictures in {sniffed.format} are not read"
        raise ProblemError("no-picture", told, "send PNG, JPEG, BMP, TIFF or WebP")
    height, width = image_info(data, limits=UNLIMITED).hw
    if height * width > max_megapixels * 1e6:
        detail = f"{width} x {height} pixels are more than the {max_megapixels:g} megapixels allowed"
        raise ProblemError("too-large", detail, "send a smaller picture")


def look(shelf: Shelf, data: bytes, asked: Asked, max_megapixels: float) -> Looked:
    """Inspect a picture and say what was found; runs in a thread. Raises `KizuError`, `ProblemError`."""
    start = time.perf_counter()
    options = asked.options
    ensure_picture(data, max_megapixels)
    found = shelf.inspect(data, name=options.class_name, threshold=options.threshold)
    if options.threshold is not None and found.inspection is not None and found.inspection.by == "regions":
        detail = "in a region of interest the map decides, so no score can be a threshold"
        raise ProblemError("cannot-be-done", detail, "leave threshold out")
    inspected = time.perf_counter()
    answer = _answer(found, options, asked.request_id)
    end = time.perf_counter()
    stages = {
        "read": asked.read_s,
        "queue": start - asked.started_s - asked.read_s,
        "inspect": inspected - start,
        "answer": end - inspected,
    }
    answer.processing_time_ms.update({name: _ms(took) for name, took in stages.items()})
    answer.processing_time_ms["total"] = _ms(end - asked.started_s)
    return Looked(found, answer.model_dump_json().encode(), stages)


def _answer(found: Shelved, options: DetectOptions, request_id: str) -> DetectAnswer:
    known = found.inspection
    confidence = None if found.retrieved is None else found.retrieved.confidence
    if known is None or found.model is None:
        return _unknown(confidence, request_id)
    if not np.isfinite(known.score):
        raise ScoreError(f"the score is {known.score}")
    encoded, scale = _encode(known, options) if options.return_map else (None, None)
    regions = [Defect.of(number, region) for number, region in enumerate(known.regions, start=1)]
    return DetectAnswer(
        class_name=found.model.category,
        class_confidence=confidence,
        is_anomalous=known.label == "NG",
        label=known.label,
        reason=known.reason,
        decided_by=known.by,
        anomaly_score=known.score,
        ratio=ratio(known),
        threshold=known.threshold,
        pixel_threshold=known.pixel_threshold,
        anomaly_percentage=100 * float(np.mean(known.map > known.pixel_threshold)),
        image_size=(known.map.shape[0], known.map.shape[1]),
        regions=regions if options.return_regions else None,
        highest_spot=None if known.spot is None else HighestSpot.of(known.spot),
        anomaly_map_base64=encoded,
        map_format=options.map_format if options.return_map else None,
        map_scale=scale,
        processing_time_ms={},
        model=ModelSaid.of(found.model),
        warnings=[],
        request_id=request_id,
    )


def _unknown(confidence: float | None, request_id: str) -> DetectAnswer:
    """Nobody's picture: no number of a model is said of it."""
    said = dict.fromkeys(DetectAnswer.model_fields)
    return DetectAnswer.model_validate(
        said
        | {
            "class_confidence": confidence,
            "processing_time_ms": {},
            "warnings": ["it looks like none of the products that are served: nobody has inspected it"],
            "request_id": request_id,
        }
    )


def ratio(inspection: Inspection) -> float | None:
    """The score in parts of its threshold; None of one that is 0 or below, where it would say nothing."""
    return inspection.score / inspection.threshold if inspection.threshold > 0 else None


def _encode(inspection: Inspection, options: DetectOptions) -> tuple[str, MapScale | None]:
    if options.map_format == "npy":
        return _as_text(npy_bytes(inspection.map)), None
    if options.map_format == "png16":
        numbers, scale = _as_16_bits(inspection.map)
        return _as_text(png16_bytes(numbers)), scale
    low, high = (factor * inspection.pixel_threshold for factor in HEAT_RANGE)
    return _as_text(png_bytes(heat_layer(inspection.map, low, high))), None


def _as_16_bits(score_map: F32) -> tuple[Any, MapScale]:
    offset, highest = float(score_map.min()), float(score_map.max())
    step = (highest - offset) / 65535 or 1.0
    numbers = np.rint((score_map.astype(np.float64) - offset) / step).astype(np.uint16)
    return numbers, MapScale(offset=offset, step=step)


def _as_text(data: bytes) -> str:
    return b64encode(data).decode("ascii")


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
