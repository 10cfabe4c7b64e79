"""Two methods on the same images: their differences, with what chance alone would give."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np

from kizu.core.errors import DataError
from kizu.core.randomness import rng_for
from kizu.core.types import F64, Bool
from kizu.metrics.compare import (
    LEAST_CATEGORIES,
    Difference,
    delong,
    exchange_test,
    holm,
    wilcoxon_over_categories,
)
from kizu.metrics.ranking import auprc
from kizu.metrics.suite import METRICS
from kizu.metrics.undefined import Undefined
from kizu.protocol.frozen import MethodResult
from kizu.runs.contents import PredictionRow
from kizu.runs.folder import RunFolder, read_predictions


@dataclass(frozen=True, slots=True)
class PairedScores:
    """Raw scores of two methods for the N images that both have scored."""

    ids: tuple[str, ...]
    defective: Bool
    """(N,)"""
    first: F64
    """(N,)"""
    second: F64
    """(N,)"""


@dataclass(frozen=True, slots=True)
class MethodDifference:
    """Image AUROC of one method minus another's, on one category or over all."""

    category: str
    first: str
    second: str
    difference: Difference
    corrected_p: float
    """By Holm, over all comparisons of the report."""


def pair_scores(first: Path, second: Path) -> PairedScores:
    """From two files of `preds_test.jsonl`, by image id.

    Raises `DataError` when a file is missing, they share no image, or one image is called good here and defective
    there.
    """
    rows = [_by_id(path) for path in (first, second)]
    ids = tuple(name for name in rows[0] if name in rows[1])
    if not ids:
        raise DataError(
            f"{first} and {second} have no image in common", hint="compare runs on the same test split"
        )
    for name in ids:
        if rows[0][name].gt_label != rows[1][name].gt_label:
            raise DataError(f"{name} is {rows[0][name].gt_label} in {first} and not in {second}")
    scores = [np.array([row[name].pred_score for name in ids], np.float64) for row in rows]
    labels = np.array([rows[0][name].gt_label == "defect" for name in ids])
    return PairedScores(ids, labels, *scores)


def differences(pair: PairedScores, *, seed: int = 0) -> dict[str, Difference]:
    """First minus second for each ranking metric of images: DeLong's for AUROC, ranks exchanged for AUPRC.

    Empty where images of one kind are missing. The p-values are corrected for their number (Holm).
    """
    found = {}
    scores = pair.defective, pair.first, pair.second
    try:
        found["image_auroc"] = delong(*scores)
        found["image_auprc"] = exchange_test(*scores, auprc, rng=rng_for(seed, "exchange", "image_auprc"))
    except Undefined:
        return {}
    corrected = holm({key: difference.p_value for key, difference in found.items()})
    return {key: replace(found[key], p_value=p_value) for key, p_value in corrected.items()}


def between_methods(results: Sequence[MethodResult]) -> list[MethodDifference]:
    """Every pair of methods: on each category DeLong's test on the first seed's scores, and where there are enough
    categories that the pipeline was not designed on, Wilcoxon's over the seeds' mean AUROC; corrected together (Holm).
    """
    found: dict[tuple[str, str, str], Difference] = {}
    by_category: dict[str, dict[str, MethodResult]] = {}
    for result in results:
        by_category.setdefault(result.category, {})[result.method] = result
    for category, methods in by_category.items():
        for first, second in combinations(methods, 2):
            pair = pair_scores(*(_first_seed(methods[name]) for name in (first, second)))
            try:
                found[category, first, second] = delong(pair.defective, pair.first, pair.second)
            except Undefined:
                continue
    for first, second in combinations(dict.fromkeys(r.method for r in results), 2):
        key = (f"over {LEAST_CATEGORIES} or more categories", first, second)
        over = _over_categories(by_category, first, second)
        if over is not None:
            found[key] = over
    corrected = holm({"\0".join(key): difference.p_value for key, difference in found.items()})
    return [
        MethodDifference(*key, difference, corrected["\0".join(key)]) for key, difference in found.items()
    ]


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One metric of both runs."""

    name: str
    first: float | None
    second: float | None
    lower_is_better: bool

    @property
    def better(self) -> str:
        """ "a", "b", or "" where they are equal or one is missing."""
        if self.first is None or self.second is None or self.first == self.second:
            return ""
        return "a" if (self.first > self.second) != self.lower_is_better else "b"


@dataclass(frozen=True, slots=True)
class RunComparison:
    """Two runs of one category, the first minus the second."""

    names: tuple[str, str]
    """How each is called: its model, or where both have one, that with -a and -b."""
    folders: tuple[RunFolder, RunFolder]
    rows: tuple[MetricRow, ...]
    """Empty where one was not evaluated."""
    shared: int | None
    """Images that both have scored; None: not known."""
    differences: dict[str, Difference]
    disagree: tuple[str, ...]
    """Ids of the images whose verdicts differ."""
    missing: tuple[str, ...]
    """What there is not, and the command that makes it."""


def compare_runs(first: RunFolder, second: RunFolder, *, seed: int = 0) -> RunComparison:
    """Raises `DataError` for runs of different categories, or of several."""
    folders = (first, second)
    manifests = [folder.open_bundle().manifest for folder in folders]
    for manifest, folder in zip(manifests, folders, strict=True):
        if manifest.thresholds_by_category:
            raise DataError(f"{folder.path} is of several categories", hint="compare runs of one")
    if manifests[0].category != manifests[1].category:
        raise DataError(f"{manifests[0].category} cannot be compared with {manifests[1].category}")
    models = [manifest.model for manifest in manifests]
    alike = models[0] == models[1]
    names = tuple(f"{model}-{mark}" if alike else model for model, mark in zip(models, "ab", strict=True))
    missing = [
        f"{names[i]} has no {what}: kizu {command} --model {folders[i].path}"
        for i in (0, 1)
        for there, what, command in (
            (folders[i].metrics.exists() and folders[i].predictions.exists(), "metrics", "evaluate"),
            ((folders[i].predictions_dir / "overlays").is_dir(), "overlays", "predict"),
        )
        if not there
    ]
    rows: list[MetricRow] = []
    shared: int | None = None
    found: dict[str, Difference] = {}
    disagree: tuple[str, ...] = ()
    metrics = [folder.read_metrics() for folder in folders]
    if metrics[0] and metrics[1] and all(folder.predictions.exists() for folder in folders):
        both = metrics[0].values, metrics[1].values
        rows = [
            MetricRow(row.key, both[0].get(row.key), both[1].get(row.key), row.lower_is_better)
            for row in METRICS
        ]
        pair = pair_scores(first.predictions, second.predictions)
        shared, found = len(pair.ids), differences(pair, seed=seed)
        verdicts = [_by_id(folder.predictions) for folder in folders]
        disagree = tuple(
            name for name in pair.ids if verdicts[0][name].is_anomaly != verdicts[1][name].is_anomaly
        )
    return RunComparison((names[0], names[1]), folders, tuple(rows), shared, found, disagree, tuple(missing))


def _over_categories(
    by_category: dict[str, dict[str, MethodResult]], first: str, second: str
) -> Difference | None:
    both = [m for m in by_category.values() if first in m and second in m and not m[first].is_dev]
    values = [[m[name].metrics["mean"]["image_auroc"] for m in both] for name in (first, second)]
    if not both or None in values[0] + values[1]:
        return None
    try:
        p_value = wilcoxon_over_categories(values[0], values[1])
    except Undefined:
        return None
    apart = np.subtract(values[0], values[1])
    return Difference(float(apart.mean()), None, None, p_value, "Wilcoxon over categories")


def _first_seed(result: MethodResult) -> Path:
    return result.folder / f"seed-{next(iter(result.metrics['per_seed']))}" / "preds_test.jsonl"


def _by_id(path: Path) -> dict[str, PredictionRow]:
    return {row.id: row for row in read_predictions(path)}
