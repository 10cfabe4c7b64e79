"""The numbers of a report, in one table: add a metric by adding a row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeVar

import numpy as np

from kizu.core.errors import DataError
from kizu.core.types import I64, Bool
from kizu.metrics.aupro_interval import aupro_intervals
from kizu.metrics.decisions import Confusion, confusion
from kizu.metrics.image_intervals import image_intervals
from kizu.metrics.intervals import Interval
from kizu.metrics.overlap import aupro_of
from kizu.metrics.pimo import aupimo
from kizu.metrics.pixels import PixelRanking, of_submitted_maps, pixel_confusions, rank_pixels, total
from kizu.metrics.ranking import Ranking, Reals, auprc, auroc, fpr_at_tpr, oracle_f1_of, rank
from kizu.metrics.undefined import Undefined

T = TypeVar("T")


@dataclass(frozen=True)
class Evidence:
    """What was measured. Each view is made once, when a metric asks; `Undefined` if a part is missing."""

    image_labels: Bool  # (N,)
    image_scores: Reals  # (N,)
    image_threshold: float | None
    maps: Sequence[Reals] | None  # N times (H, W)
    masks: Sequence[Bool] | None  # N times (H, W)
    pixel_threshold: float | Sequence[Reals] | None
    mapped: I64 | None  # (M,) the images that maps and masks are of

    @cached_property
    def images(self) -> Ranking:
        return rank(self.image_labels, self.image_scores, noun="images")

    @cached_property
    def image_decisions(self) -> Confusion:
        threshold = _present(self.image_threshold, "image threshold")
        return confusion(self.image_labels, self.image_scores, threshold, noun="images")

    @cached_property
    def pixels(self) -> PixelRanking:
        return rank_pixels(_present(self.maps, "maps"), _present(self.masks, "masks"))

    @cached_property
    def decisions_by_image(self) -> list[Confusion]:
        maps, masks = _present(self.maps, "maps"), _present(self.masks, "masks")
        if self.pixel_threshold is None:
            raise Undefined("no pixel threshold")
        return pixel_confusions(maps, masks, self.pixel_threshold)

    @cached_property
    def pixel_decisions(self) -> Confusion:
        return total(self.decisions_by_image)

    @cached_property
    def submitted(self) -> Confusion:
        images = self.decisions_by_image
        threshold = _present(self.image_threshold, "image threshold")
        if self.mapped is None and len(images) != len(self.image_scores):
            raise Undefined("not known which images the maps are of")
        scores = self.image_scores if self.mapped is None else self.image_scores[self.mapped]
        return total(of_submitted_maps(images, scores > np.float64(threshold)))


class Row(NamedTuple):
    """One metric of the suite: its key in reports, what a person calls it, and how it comes from the evidence."""

    key: str
    title: str
    value: Callable[[Evidence], float]
    lower_is_better: bool = False
    short: str | None = None
    """The title where there is little room and the image's metrics come first; None: `title` is short enough."""


AUPRO_LIMITS = {"aupro_030": 0.30, "aupro_005": 0.05}
METRICS = (
    Row("image_auroc", "image AUROC", lambda e: float(auroc.of(e.images)), short="AUROC"),
    Row("image_auprc", "image AUPRC", lambda e: float(auprc.of(e.images)), short="AUPRC"),
    Row("image_f1", "F1 at the image threshold", lambda e: e.image_decisions.f1, short="F1 (deployed)"),
    Row("image_precision", "precision at the image threshold", lambda e: e.image_decisions.precision),
    Row("image_recall", "recall at the image threshold", lambda e: e.image_decisions.recall),
    Row("image_accuracy", "accuracy at the image threshold", lambda e: e.image_decisions.accuracy),
    Row("image_specificity", "specificity at the image threshold", lambda e: e.image_decisions.specificity),
    Row(
        "image_escape_rate",
        "defective parts passed",
        lambda e: e.image_decisions.escape_rate,
        lower_is_better=True,
    ),
    Row(
        "image_overkill_rate",
        "good parts rejected",
        lambda e: e.image_decisions.overkill_rate,
        lower_is_better=True,
    ),
    Row("image_oracle_f1_max", "highest F1 of any image threshold", lambda e: oracle_f1_of(e.images).value),
    Row(
        "image_fpr_at_95_tpr",
        "good parts rejected where 95 % of the defective are found",
        lambda e: float(fpr_at_tpr(0.95).of(e.images)),
        lower_is_better=True,
    ),
    Row("pixel_auroc", "pixel AUROC", lambda e: float(auroc.of(e.pixels.ranking))),
    Row("pixel_auprc", "pixel AUPRC", lambda e: float(auprc.of(e.pixels.ranking))),
    Row("pixel_f1", "F1 at the pixel threshold", lambda e: e.pixel_decisions.f1),
    # The same number, by the name that segmentation has for it.
    Row("pixel_dice", "Dice at the pixel threshold", lambda e: e.pixel_decisions.f1),
    Row("pixel_iou", "IoU at the pixel threshold", lambda e: e.pixel_decisions.iou),
    Row("pixel_precision", "precision at the pixel threshold", lambda e: e.pixel_decisions.precision),
    Row("pixel_recall", "recall at the pixel threshold", lambda e: e.pixel_decisions.recall),
    Row(
        "pixel_oracle_f1_max",
        "highest F1 of any pixel threshold",
        lambda e: oracle_f1_of(e.pixels.ranking).value,
    ),
    Row("seg_f1", "SegF1", lambda e: e.submitted.f1),
    Row("aupro_030", "AU-PRO@0.30", lambda e: aupro_of(e.pixels, AUPRO_LIMITS["aupro_030"])),
    Row("aupro_005", "AU-PRO@0.05", lambda e: aupro_of(e.pixels, AUPRO_LIMITS["aupro_005"])),
    Row("aupimo", "AUPIMO", lambda e: aupimo(_present(e.maps, "maps"), _present(e.masks, "masks"))),
)
ROWS = {row.key: row for row in METRICS}


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """One value per row of `METRICS`, and the reason for each that is None."""

    values: dict[str, float | None]
    reasons: dict[str, str]
    intervals: dict[str, Interval]
    """Over images, as if none depended on another: of the metrics for which one was measured to hold."""
    without_interval: dict[str, str]
    """Why this data gives none of them."""


def evaluate(
    image_labels: Bool,
    image_scores: Reals,
    *,
    image_threshold: float | None,
    maps: Sequence[Reals] | None = None,
    masks: Sequence[Bool] | None = None,
    pixel_threshold: float | Sequence[Reals] | None = None,
    mapped: I64 | None = None,
) -> SuiteResult:
    """All metrics of N images: labels (N,) True = defective, raw scores (N,), maps and masks N times (H, W).

    Maps and masks may be of fewer images than the labels (those whose flaws somebody drew). Sizes may differ
    from image to image; `maps` and `masks` may read lazily and are walked through five times.
    `pixel_threshold`: one number, or a field (H, W) for each map.
    `mapped` (M,): which images they are of; None: all of them, in order. `seg_f1` is that of MVTec AD 2 (Heckler-Kram
    et al. 2025): F1 over all pixels of the binary maps that are handed in, and an image that passes has none marked.
    What cannot be computed is None with a reason, never a flattering number. Raises `DataError` for
    inputs that do not match, `ScoreError` for scores that are not finite.
    """
    if maps is not None and masks is not None and len(maps) != len(masks):
        raise DataError(f"{len(maps)} maps but {len(masks)} masks")
    evidence = Evidence(image_labels, image_scores, image_threshold, maps, masks, pixel_threshold, mapped)
    values: dict[str, float | None] = {}
    reasons: dict[str, str] = {}
    for row in METRICS:
        try:
            values[row.key] = row.value(evidence)
        except Undefined as missing:
            values[row.key] = None
            reasons[row.key] = missing.message
    intervals, lacking = _intervals(evidence)
    without = {key: why for key, why in lacking.items() if values[key] is not None}
    return SuiteResult(values, reasons, intervals, without)


def _intervals(evidence: Evidence) -> tuple[dict[str, Interval], dict[str, str]]:
    intervals, missing = image_intervals(
        evidence.image_labels, evidence.image_scores, evidence.image_threshold
    )
    try:
        maps, masks = _present(evidence.maps, "maps"), _present(evidence.masks, "masks")
        found = aupro_intervals(evidence.pixels, maps, masks, list(AUPRO_LIMITS.values()))
    except Undefined as why:
        return intervals, missing | dict.fromkeys(AUPRO_LIMITS, why.message)
    return intervals | dict(zip(AUPRO_LIMITS, found, strict=True)), missing


def _present(thing: T | None, name: str) -> T:
    if thing is None:
        raise Undefined(f"no {name}")
    return thing
