"""`report.json`: what the images of an inspection add up to."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from kizu.data.passed import NOT_READ, PassedOver
from kizu.decision.calibration import Thresholds
from kizu.decision.thresholds import Threshold
from kizu.decision.zones import ZoneThresholds
from kizu.inspection.declared import ReportAssumedGood
from kizu.inspection.written import Listed, MayBeAbsent, Written

Count = Annotated[int, Field(ge=0)]
Rate = Annotated[float, Field(ge=0, le=1)]

Outcome = Literal["inspected", "damaged", "mismatched", "unreadable", "unfinished", "failed", "unknown"]
"""What became of an image: a verdict, or why there is none."""

UTC_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|\+00:00)$"


class ReportThresholds(Written):
    """The thresholds that were in force, and the rules that set them."""

    pixel_threshold_zones: MayBeAbsent[Listed[tuple[Listed[tuple[float, ...]], ...]]] = Field(
        default=None, description="pixel thresholds in force in place of the one: rows of zones, from the top"
    )
    image_threshold: float = Field(description="an image whose score is above it is NG")
    pixel_threshold: float = Field(description="pixels above it are flawed")
    quantile_image: float | None = Field(description="of the rule quantile: which; null for other rules")
    quantile_pixel: float | None = Field(description="the same of the pixel threshold")
    rule: str = Field(description="what set the image threshold")
    pixel_rule: str = Field(description="what set the pixel threshold")
    count: Count = Field(description="how many images the image threshold rests on; 0: it was set by hand")
    false_alarm_rate: float | None = Field(
        description="at most this part of new good images is NG; null where the rule promises nothing"
    )

    @classmethod
    def of(cls, thresholds: Thresholds) -> Self:
        """Those of a bundle."""
        image, pixel, zones = thresholds.image, thresholds.pixel, thresholds.zones
        return cls(
            **({} if zones is None else {"pixel_threshold_zones": _rows(zones)}),
            image_threshold=image.value,
            pixel_threshold=pixel.value,
            quantile_image=_quantile(image),
            quantile_pixel=_quantile(pixel),
            rule=image.rule.describe(),
            pixel_rule=pixel.rule.describe(),
            count=image.count,
            false_alarm_rate=image.false_alarm_rate,
        )


class ScoreStats(Written):
    """Of the raw scores of all images that could be read."""

    min: float = Field(description="the lowest")
    max: float = Field(description="the highest")
    mean: float = Field(description="their mean")


class DefectStats(Written):
    """Of the flaws that are listed; areas in pixels of the original images."""

    total_defects: Count = Field(description="how many there are in all images together")
    avg_defects_per_ng: float = Field(description="how many an NG image has; 0 where none is NG")
    max_defect_area: Count = Field(description="the largest one's area")
    avg_total_defect_area: float = Field(description="of an NG image: its flaws' areas together")


class ReportPassedOver(Written):
    """What of the folder was not inspected, for one reason."""

    reason: str = Field(description="why, in words")
    count: Annotated[int, Field(ge=1)] = Field(description="how many")
    names: Listed[tuple[str, ...]] = Field(description="the first few, as paths below the folder")
    pictures: bool = Field(description="whether these are pictures")

    @classmethod
    def of(cls, passed: PassedOver) -> Self:
        """As a listing tells it."""
        return cls(
            reason=passed.reason.value, count=passed.count, names=passed.names, pictures=passed.is_pictures
        )


class Report(Written):
    """All of `report.json`."""

    model: str = Field(description="the detector's name")
    category: str = Field(description="whose thresholds hold")
    run_id: str = Field(description="the run that the bundle was made by")
    thresholds: ReportThresholds = Field(description="what scores and maps were compared with")
    num_images: Count = Field(description="images that could be read: OK and NG")
    num_ok: Count = Field(description="images without a flaw")
    num_ng: Count = Field(description="images with one")
    num_errors: Count = Field(description="images that could not be inspected")
    ng_rate: Rate = Field(description="num_ng / num_images; 0 without images")
    ok_rate: Rate = Field(description="num_ok / num_images; 0 without images")
    score_stats: MayBeAbsent[ScoreStats] = Field(default=None, description="not there without images")
    defect_stats: DefectStats | None = Field(description="null without images")
    passed_over: MayBeAbsent[Listed[tuple[ReportPassedOver, ...]]] = Field(
        default=None, description="what the folder holds besides, by reason; not there where it is nothing"
    )
    created_at: Annotated[str, Field(pattern=UTC_TIME)] = Field(description="when it was written, UTC")
    outcomes: MayBeAbsent[dict[Outcome, Count]] = Field(
        default=None, description="how many images came to which outcome; those but inspected make num_errors"
    )
    num_more_pages: MayBeAbsent[Count] = Field(
        default=None,
        description="images whose files hold further pages, which were not looked at; absent: none",
    )
    num_beyond_scale: MayBeAbsent[Count] = Field(
        default=None, description="images with numbers beyond the scale of the model; absent: none"
    )
    assumed_good: MayBeAbsent[ReportAssumedGood] = Field(
        default=None,
        description="with --assume-good: promise and measurement, on the pictures of that call alone",
    )
    num_superseded: MayBeAbsent[Count] = Field(
        default=None,
        description="lines that count no more: their picture was judged, or their score decided on, again",
    )

    @property
    def num_unread(self) -> int:
        """Files that were passed over, and may be pictures that somebody wanted looked at."""
        return told_unread(self.passed_over)

    def told(self) -> str:
        """One line for a person."""
        unread = f", {self.num_unread} in other formats passed over" if self.num_unread else ""
        return f"{self.num_images} images: {self.num_ok} OK, {self.num_ng} NG, {self.num_errors} not inspected{unread}"

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.num_ok + self.num_ng != self.num_images:
            raise ValueError(f"{self.num_ok} OK and {self.num_ng} NG are not {self.num_images} images")
        if {self.score_stats is None, self.defect_stats is None} != {self.num_images == 0}:
            raise ValueError("score_stats and defect_stats are there where there are images, and only there")
        return self


def told_unread(passed_over: Sequence[ReportPassedOver] | None) -> int:
    """How many files of these were passed over and may be pictures."""
    return sum(row.count for row in passed_over or () if row.reason in NOT_READ)


def _quantile(threshold: Threshold) -> float | None:
    return threshold.rule.level if threshold.rule.name == "quantile" else None


def _rows(zones: ZoneThresholds) -> tuple[tuple[float, ...], ...]:
    rows, columns = zones.grid
    values = [zone.value for zone in zones.zones]
    return tuple(tuple(values[row * columns : (row + 1) * columns]) for row in range(rows))
