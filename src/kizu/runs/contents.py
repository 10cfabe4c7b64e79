"""What the files of a run folder hold, to read and to write. Files that older versions wrote are read as well.

`versions.json` is in `versions`, `manifest.jsonl` and `study.json` are of `data`, `export_meta.json` is of `bundles`.
"""

from typing import Any, Self

from pydantic import ConfigDict, Field, computed_field, model_validator

from kizu.core.config import Stored
from kizu.decision.calibration import Thresholds
from kizu.decision.promise import Check, Kind
from kizu.decision.thresholds import Threshold
from kizu.decision.zones import ZoneThresholds


class RunMeta(Stored):
    """`meta.json`: how a run came about."""

    created_at: str
    bundle_sha256: str
    """Of the bundle as it was trained."""
    manifest_sha256: str
    fit: tuple[str, ...]
    """Ids of the images that were fitted on."""
    calibration: tuple[str, ...]
    """Ids of those that set the thresholds, in the order of `calibration_scores`; with folds the same as `fit`."""
    left_out: bool = False
    """They are all that was fitted on, and each was scored as by a fit without its group."""
    skipped: tuple[str, ...] = ()
    """Ids of broken images that were left out."""
    defects: tuple[str, ...] = ()
    """Ids of the labelled defects that were learned from."""
    thresholds: Thresholds
    calibration_scores: tuple[float, ...] = ()
    seconds: dict[str, float] = Field(default_factory=dict)
    """By stage, and "total"."""
    memory_mb: dict[str, int] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    machine: dict[str, Any] = Field(default_factory=dict)


class ToldThreshold(Threshold):
    """A threshold with a sentence for who opens the file."""

    model_config = ConfigDict(extra="ignore")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def says(self) -> str:
        """The threshold in words."""
        return self.describe()


class ToldZones(ZoneThresholds):
    """The same for those of zones."""

    model_config = ConfigDict(extra="ignore")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def says(self) -> str:
        """The thresholds in words."""
        return self.describe()


class ToldThresholds(Stored):
    """All thresholds of a bundle."""

    image: ToldThreshold
    pixel: ToldThreshold
    zones: ToldZones | None = None

    @classmethod
    def of(cls, thresholds: Thresholds) -> Self:
        """The same as a bundle carries them."""
        return cls.model_validate(thresholds.model_dump())

    @classmethod
    def of_file(cls, file: "ThresholdsFile") -> Self:
        """The same as a file tells them to be in force."""
        return cls(image=file.image, pixel=file.pixel, zones=file.zones)

    def as_json(self) -> dict[str, Any]:
        """Zones only where there are any."""
        told = self.model_dump(mode="json")
        return told if self.zones is not None else {key: told[key] for key in told if key != "zones"}


class ThresholdsFile(ToldThresholds):
    """`thresholds.json`: those in force since they were set anew, and those that were before."""

    bundle_sha256: str
    """Of the bundle that carries them."""
    written_at: str
    before: tuple[ToldThresholds, ...] = ()
    """The oldest first."""

    def as_json(self) -> dict[str, Any]:
        """As it lies on disk."""
        return {**super().as_json(), "before": [one.as_json() for one in self.before]}


class ProbabilityFile(Stored):
    """`probability.json`: how a score is shown as a probability, 1 / (1 + exp(-(slope * score + offset)))."""

    slope: float
    offset: float
    rule: str
    split: str
    count: int
    """Labelled images that it was learned from."""
    version: int | None = None
    """Of the model whose scores it was learned with; None: of a time when the file did not say so."""


class PredictionRow(Stored):
    """A line of `preds_test.jsonl` and `preds_train.jsonl`."""

    id: str
    defect: str
    """The kind of flaw; "good" for a good part."""
    gt_label: str | None
    pred_score: float
    is_anomaly: bool


class Span(Stored):
    """A confidence interval."""

    low: float
    high: float


class MeasuredOn(Stored):
    """The data set whose test split was measured."""

    dataset: str
    category: str
    manifest_sha256: str
    """Over ids, labels, splits and the bytes of images and masks."""
    left_out: int = 0
    """Test images on which the run's thresholds were chosen: they are not measured."""
    left_out_ids: tuple[str, ...] = ()
    """Which ones."""


class ToldCheck(Check):
    """A promise beside what was measured, with a sentence for who opens the file."""

    model_config = ConfigDict(extra="ignore")

    says: str


class MetricsFile(Stored):
    """`metrics.json`, as far as it is read: of one category, or of several."""

    values: dict[str, float | None]
    """The metrics, which lie flat in the file; None where the data cannot give one."""
    intervals: dict[str, Span] = Field(default_factory=dict)
    without_interval: dict[str, str] = Field(default_factory=dict)
    """Why a metric of images has no interval."""
    reasons: dict[str, str] = Field(default_factory=dict)
    """Why a metric is None."""
    counts: dict[str, int] | None = None
    """Good and defective images; None: of several categories."""
    mean: dict[str, float | None] = Field(default_factory=dict)
    categories: dict[str, dict[str, float | None]] | None = None
    """The metrics of each of several categories; None: of one."""
    bundle_sha256: str | None = None
    """Of the bundle that was measured; None where it was in memory only."""
    data: MeasuredOn | None = None
    """None: of a time when the file did not say so, and then the run's own."""
    promises: dict[Kind, ToldCheck] = Field(default_factory=dict)
    """"image" and "pixel"; empty: of several categories, or of a time when the file did not say so."""
    promises_by_category: dict[str, dict[Kind, ToldCheck]] = Field(default_factory=dict)
    """The same of each of several categories."""

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, content: Any) -> Any:
        if not isinstance(content, dict):
            return content
        flat = {key: value for key, value in content.items() if key not in cls.model_fields}
        numbers = {
            key: value for key, value in flat.items() if value is None or isinstance(value, int | float)
        }
        return {**{key: value for key, value in content.items() if key not in flat}, "values": numbers}

    @model_validator(mode="after")
    def _holds_something(self) -> Self:
        if self.counts is None and self.categories is None:
            raise ValueError("it holds neither counts nor categories")
        return self


class ConsistencyFile(Stored):
    """`consistency.json`: whether exported files decide as the run does."""

    bundle_sha256: str
    images: int
    random_images: int
    tolerances: dict[str, float]
    agrees: bool
    compared: tuple[dict[str, Any], ...]
    """Each exported file in each runtime."""
    versions: dict[str, str]
    created_at: str
