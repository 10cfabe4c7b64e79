"""Running totals for `report.json`: of each picture only what is in force."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from kizu.bundles.manifest import BundleManifest
from kizu.core.provenance import utc_now
from kizu.data.passed import PassedOver
from kizu.decision.policy import Label
from kizu.inspection.declared import ReportAssumedGood
from kizu.inspection.records import Failure, Record
from kizu.inspection.report import (
    DefectStats,
    Outcome,
    Report,
    ReportPassedOver,
    ReportThresholds,
    ScoreStats,
)


class _Counted(NamedTuple):
    """What of one picture is added up."""

    score: float
    is_anomaly: bool
    num_defects: int
    area: int
    largest: int
    has_more_pages: bool
    is_beyond_scale: bool


class Tally:
    """What the pictures add up to; each counts once, with what was said of it last."""

    def __init__(self) -> None:
        self._counted: dict[str, _Counted] = {}
        self._failed: dict[str, Outcome] = {}
        self.superseded = 0

    def put(self, key: str, record: Record) -> None:
        """Count `record` for the picture `key`, in place of what was counted for it."""
        self.drop(key)
        if isinstance(record, Failure):
            self._failed[key] = record.outcome
            return
        areas = [defect.area for defect in record.defects]
        self._counted[key] = _Counted(
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
        self._failed.pop(key, None)

    def verdict(self, key: str) -> Label | None:
        """What was said of this picture last; None where it could not be inspected, or was not."""
        counted = self._counted.get(key)
        return None if counted is None else "NG" if counted.is_anomaly else "OK"

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
        return Report(
            num_images=n,
            num_ok=n - ng,
            num_ng=ng,
            num_errors=len(self._failed),
            ng_rate=ng / n if n else 0.0,
            ok_rate=(n - ng) / n if n else 0.0,
            defect_stats=self._defect_stats(ng) if n else None,
            created_at=utc_now(),
            outcomes={"inspected": n, **Counter(self._failed.values())},
            num_superseded=self.superseded,
            **optional,
            **head,
        )

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
