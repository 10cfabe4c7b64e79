"""Pictures that somebody declares to be of good parts: each NG is a false alarm, and a promise can be measured."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, NamedTuple, Self

import numpy as np
from pydantic import Field

from kizu.core.types import F64
from kizu.decision.calibration import Thresholds
from kizu.decision.causes import Evidence, likely_causes
from kizu.decision.policy import Policy
from kizu.decision.promise import Answer, Check, Kind, Measured, check_promise
from kizu.decision.thresholds import Threshold
from kizu.decision.zones import ZoneThresholds
from kizu.inspection.inspector import Inspector
from kizu.inspection.written import Listed, Written

Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, slots=True)
class Declared:
    """What is known of a model beside its thresholds, which says what good pictures may measure it, and what explains a
    broken promise."""

    seen: frozenset[str] | None = None
    """Hashes of the pictures that it was fitted on or its thresholds were set on; None: nobody knows."""
    calibration: F64 = field(default_factory=lambda: np.zeros(0))
    """(n,) scores of those that set the threshold; none: they are not known."""
    siblings: int = 0
    groups: int | None = None
    """Both as `decision.causes.Evidence` has them."""


class Judged(NamedTuple):
    """A picture that has a verdict."""

    sha256: str
    score: float
    is_anomaly: bool


class ReportAssumedGood(Written):
    """What is promised of good pictures, beside what the pictures measured that were declared to be good."""

    kind: Kind = Field(
        description="image: a good picture is NG with at most the promised rate; pixel: it shows a region, which"
        " decides in a region of interest"
    )
    promised_rate: Share | None = Field(description="at most; null where nothing is promised")
    confidence: Share | None = Field(
        description="with this probability the rate holds for this threshold; null: on average over calibration sets"
    )
    pictures: Count = Field(description="good pictures with a verdict that the model had never seen")
    rejected: Count = Field(description="of these: NG, each a false alarm")
    contents: Count = Field(description="different ones among them: copies count as one in rate and interval")
    left_out: Count = Field(description="pictures that the model was fitted or set on; they measure nothing")
    knows_seen: bool = Field(
        description="whether it is known which pictures the model has seen; an exported file does not say"
    )
    rate: Share | None = Field(description="measured; null without pictures")
    interval: Listed[tuple[Share, Share]] | None = Field(
        description="of the true rate, 95 %, Clopper and Pearson; null without pictures"
    )
    verdict: Answer | None = Field(description="null where nothing is promised or nothing measured")
    probability: Share | None = Field(
        description="of so many false alarms or more, were the promise kept; null with the verdict"
    )
    needed: Count | None = Field(
        description="so many pictures at this rate would show that the promise is kept; null: none, or shown"
    )
    causes: Listed[tuple[str, ...]] = Field(description="what may have broken the promise, in words")
    says: Listed[tuple[Listed[tuple[str, str]], ...]] = Field(
        description="all of it in words: names and sentences"
    )

    @classmethod
    def of(cls, check: Check, *, left_out: int, knows_seen: bool) -> Self:
        """As it is written."""
        promise, measured = check.promise, check.measured
        rows = check.rows()
        if left_out:
            rows.insert(2, ("left out", f"{left_out} pictures that the model was fitted or set on"))
        if not knows_seen:
            rows.insert(
                2, ("unknown", "whether the model has seen any of them: an exported file does not say")
            )
        return cls(
            kind=check.kind,
            promised_rate=None if promise is None else promise.rate,
            confidence=None if promise is None else promise.confidence,
            pictures=measured.pictures,
            rejected=measured.rejected,
            contents=measured.groups,
            left_out=left_out,
            knows_seen=knows_seen,
            rate=measured.rate if measured.groups else None,
            interval=measured.interval if measured.groups else None,
            verdict=check.answer,
            probability=check.probability,
            needed=check.needed,
            causes=check.causes,
            says=tuple(rows),
        )


def measure_declared(declared: Declared, inspector: Inspector, judged: Iterable[Judged]) -> ReportAssumedGood:
    """On what was `judged` and the model had never seen, one for each content, by the promise that decides."""
    all_judged = list(judged)
    new = [one for one in all_judged if declared.seen is None or one.sha256 not in declared.seen]
    rejected = np.array([one.is_anomaly for one in new], np.bool_)
    kind, threshold = _in_force(inspector)
    check = check_promise(threshold, Measured.of(rejected, [one.sha256 for one in new]), kind)
    # Scores of a region of interest are of its part of the map, and those that set thresholds of whole pictures.
    known = declared.calibration if kind == "image" else np.zeros(0)
    evidence = Evidence(known, np.array([one.score for one in new]), declared.siblings, declared.groups)
    check = check.model_copy(update={"causes": likely_causes(check, evidence)})
    return ReportAssumedGood.of(
        check, left_out=len(all_judged) - len(new), knows_seen=declared.seen is not None
    )


def _in_force(inspector: Inspector) -> tuple[Kind, Threshold | ZoneThresholds]:
    """Which promise a verdict rests on: in a region of interest that of regions, which a lowered threshold loses."""
    thresholds: Thresholds = inspector.manifest.thresholds
    if inspector.roi is None:
        return "image", thresholds.image
    return "pixel", _as_turned(thresholds.zones or thresholds.pixel, inspector.policy)


def _as_turned(threshold: Threshold | ZoneThresholds, policy: Policy) -> Threshold | ZoneThresholds:
    if policy.config.pixel_threshold_mult >= 1:
        return threshold
    return threshold.model_copy(update={"false_alarm_rate": None})
