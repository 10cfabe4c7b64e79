"""Running totals for `report.json`: of each picture only what is in force."""

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from kizu.bundles.manifest import BundleManifest
from kizu.core.provenance import utc_now
from kizu.data.passed import PassedOver
from kizu.decision.policy import Label
from kizu.inspection.declared import ReportAssumedGood
from kizu.inspection.mixed import MixedReport
from kizu.inspection.records import Failure, Prediction, Record
from kizu.inspection.report import (
    DefectStats,
    Outcome,
    Report,
    ReportPassedOver,
    ReportThresholds,
    ScoreStats,
)

TOLD_REJECTED = 10
"""NG pictures that are named at the end of a run."""


class _Counted(NamedTuple):
    """What of one picture is added up."""

    category: str
    score: float
    is_anomaly: bool
    num_defects: int
    area: int
    largest: int
    has_more_pages: bool
    is_beyond_scale: bool


class _Missed(NamedTuple):
    """One that has no verdict."""

    category: str | None
    outcome: Outcome


class Tally:
    """What the pictures add up to; each counts once, with what was said of it last."""

    def __init__(self) -> None:
        self._counted: dict[str, _Counted] = {}
        self._missed: dict[str, _Missed] = {}
        self.superseded = 0
        self._is_part = False

    def put(self, key: str, record: Record) -> None:
        """Count `record` for the picture `key`, in place of what was counted for it."""
        self.drop(key)
        if not isinstance(record, Prediction):
            category = record.category if isinstance(record, Failure) else None
            self._missed[key] = _Missed(category, record.outcome)
            return
        areas = [defect.area for defect in record.defects]
        self._counted[key] = _Counted(
            record.category,
            record.pred_score,
            record.is_anomaly,
            record.num_defects,
            record.total_defect_area,
            max(areas, default=0),
            (record.pages or 1) > 1,
            record.beyond_scale is not None,
        )

    def drop(self, key: str) -> None:
        """Count nothing for this picture any more."""
        self._counted.pop(key, None)
        self._missed.pop(key, None)

    def verdict(self, key: str) -> Label | None:
        """What was said of this picture last; None where it could not be inspected, or was not."""
        counted = self._counted.get(key)
        return None if counted is None else "NG" if counted.is_anomaly else "OK"

    def is_unknown(self, key: str) -> bool:
        """Whether this picture shows none of the products that there are models of."""
        missed = self._missed.get(key)
        return missed is not None and missed.outcome == "unknown"

    def category(self, key: str) -> str | None:
        """Which product's model judged this picture; None where none did."""
        counted = self._counted.get(key)
        return None if counted is None else counted.category

    def part(self, category: str) -> "Tally":
        """What was counted of the pictures of one product."""
        part = Tally()
        part._counted = {key: one for key, one in self._counted.items() if one.category == category}
        part._missed = {key: one for key, one in self._missed.items() if one.category == category}
        part._is_part = True  # of what was superseded it is not known whose picture it was
        return part

    def score(self, key: str) -> float | None:
        """The raw score of this picture; None as for `verdict`."""
        counted = self._counted.get(key)
        return None if counted is None else counted.score

    def report(
        self,
        manifest: BundleManifest,
        passed_over: Sequence[PassedOver] = (),
        assumed_good: ReportAssumedGood | None = None,
    ) -> Report:
        """All of it. Without predictions: counts 0, rates 0.0, `defect_stats` null, `score_stats` left out."""
        head: dict[str, Any] = {
            "model": manifest.model,
            "category": manifest.category,
            "run_id": manifest.run_id,
            "thresholds": ReportThresholds.of(manifest.thresholds),
        }
        if passed_over:
            head["passed_over"] = tuple(map(ReportPassedOver.of, passed_over))
        if assumed_good is not None:
            head["assumed_good"] = assumed_good
        return self.report_under(head)

    def report_under(self, head: dict[str, Any]) -> Report:
        """The same with what is not counted as given: `model`, `category`, `run_id`, `thresholds`, and where there is
        any, `passed_over` and `assumed_good`."""
        counted = self._counted.values()
        n, ng = len(counted), sum(item.is_anomaly for item in counted)
        optional: dict[str, Any] = {}
        if n:
            optional["score_stats"] = _score_stats([item.score for item in counted])
        told = {
            "num_more_pages": sum(item.has_more_pages for item in counted),
            "num_beyond_scale": sum(item.is_beyond_scale for item in counted),
        }
        optional |= {name: count for name, count in told.items() if count}
        if not self._is_part:
            optional["num_superseded"] = self.superseded
        return Report(
            num_images=n,
            num_ok=n - ng,
            num_ng=ng,
            num_errors=len(self._missed),
            ng_rate=ng / n if n else 0.0,
            ok_rate=(n - ng) / n if n else 0.0,
            defect_stats=self._defect_stats(ng) if n else None,
            created_at=utc_now(),
            outcomes=self._outcomes(),
            **optional,
            **head,
        )

    def mixed_report(
        self, products: Mapping[str, Report], passed_over: Sequence[PassedOver] = ()
    ) -> MixedReport:
        """All of it, with the `products`' own reports."""
        n, ng = len(self._counted), sum(item.is_anomaly for item in self._counted.values())
        outcomes = self._outcomes()
        optional: dict[str, Any] = {}
        if passed_over:
            optional["passed_over"] = tuple(map(ReportPassedOver.of, passed_over))
        return MixedReport(
            products=dict(products),
            num_images=n,
            num_ok=n - ng,
            num_ng=ng,
            num_unknown=outcomes.get("unknown", 0),
            num_errors=len(self._missed) - outcomes.get("unknown", 0),
            ng_rate=ng / n if n else 0.0,
            ok_rate=(n - ng) / n if n else 0.0,
            created_at=utc_now(),
            outcomes=outcomes,
            num_superseded=self.superseded,
            **optional,
        )

    def _outcomes(self) -> dict[Outcome, int]:
        return {"inspected": len(self._counted), **Counter(one.outcome for one in self._missed.values())}

    def _defect_stats(self, ng: int) -> DefectStats:
        counted = self._counted.values()
        defects = sum(item.num_defects for item in counted)
        return DefectStats(
            total_defects=defects,
            avg_defects_per_ng=defects / ng if ng else 0.0,
            max_defect_area=max(item.largest for item in counted),
            avg_total_defect_area=sum(item.area for item in counted) / ng if ng else 0.0,
        )


def _score_stats(scores: list[float]) -> ScoreStats:
    return ScoreStats(min=min(scores), max=max(scores), mean=math.fsum(scores) / len(scores))


def told_rejected(tally: Tally, keys: Sequence[str]) -> tuple[str, ...]:
    """The highest scores first; of several products by turns, for scores of two models cannot be compared."""
    scored = sorted(((tally.score(key) or 0.0, key) for key in keys), reverse=True)
    places = Counter[str]()
    ranked = []
    for score, key in scored:
        product = tally.category(key) or ""
        places[product] += 1
        ranked.append((places[product], -score, key))
    shared = os.path.commonprefix(keys) if len(keys) > 1 else ""  # noqa: RUF071 - it is cut at a slash
    cut = shared.rfind("/") + 1
    lines = [f"NG  {-score:<9.4g} {key[cut:]}" for _, score, key in sorted(ranked)[:TOLD_REJECTED]]
    more = len(scored) - len(lines)
    return (*lines, f"and {more} more") if more else tuple(lines)
