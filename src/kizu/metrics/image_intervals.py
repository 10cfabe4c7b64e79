"""The metrics of images that get an interval over test images, and why one may have none."""

from collections.abc import Callable
from typing import NamedTuple

from kizu.core.types import Bool
from kizu.metrics.auroc_interval import auroc_interval
from kizu.metrics.decision_intervals import decision_intervals
from kizu.metrics.decisions import confusion
from kizu.metrics.intervals import Interval
from kizu.metrics.ranking import Reals
from kizu.metrics.undefined import Undefined

NO_AUPRC = "no interval that was tried holds where good images have outliers"


class ImageIntervals(NamedTuple):
    """By the metric's key in reports."""

    intervals: dict[str, Interval]
    missing: dict[str, str]
    """Why a metric of images has none."""


def image_intervals(
    labels: Bool, scores: Reals, threshold: float | None, *, level: float = 0.95
) -> ImageIntervals:
    """Of N images that do not depend on each other: labels (N,) True = defective, raw scores (N,); errors as `rank`.

    `threshold` None: none of decisions.
    """
    found: dict[str, Interval] = {}
    missing: dict[str, str] = {}

    def keep(key: str, make: Callable[[], Interval]) -> None:
        try:
            found[key] = make()
        except Undefined as reason:
            missing[key] = reason.message

    keep("image_auroc", lambda: auroc_interval(labels, scores, level=level))
    missing["image_auprc"] = NO_AUPRC
    if threshold is None:
        return ImageIntervals(found, missing)
    decided = decision_intervals(confusion(labels, scores, threshold, noun="images"), level=level)
    found |= {f"image_{name}": interval for name, interval in decided.items()}
    return ImageIntervals(found, missing)
