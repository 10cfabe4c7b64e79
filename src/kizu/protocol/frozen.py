"""Evaluate a frozen pipeline: fit on train/good, look at each test set once, and keep a record that it was looked at.

<output_dir>/encounters.jsonl                       which frozen pipeline has met which test set
<output_dir>/<category>/<method>/metrics.json       mean, spread over seeds, intervals
<output_dir>/<category>/<method>/meta.json          what is not the same twice: times, machine
<output_dir>/<category>/<method>/seed-<n>/          metrics.json, thresholds.json, preds_test.jsonl
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kizu.core.config import Stored
from kizu.core.errors import DataError
from kizu.core.files import read_json, read_rows, read_stored, shape_as, write_json, write_jsonl, write_stored
from kizu.core.hashing import hash_value
from kizu.core.locks import locked
from kizu.core.parts import sweep_file_parts
from kizu.core.provenance import machine, package_versions, utc_now
from kizu.core.work import Work
from kizu.data.manifest import Manifest
from kizu.decision.standard import StandardThreshold, carry_threshold
from kizu.lab.evaluate import write_predictions
from kizu.lab.predictions import Predictions
from kizu.lab.trial import Trial, run_trial
from kizu.metrics.decisions import confusion
from kizu.metrics.intervals import mean_interval
from kizu.metrics.undefined import Undefined
from kizu.protocol.freeze import FrozenPipeline
from kizu.runs.contents import MetricsFile


class Encounter(Stored):
    """A line of `encounters.jsonl`: a frozen pipeline has met a test set."""

    frozen_sha256: str
    test_sha256: str
    category: str
    dataset: str
    at: str


class Done(Stored):
    """`done.json`: a seed that was evaluated to its end."""

    stamp: str
    """Of the frozen pipeline, the data and the seed."""
    seconds: float


@dataclass(frozen=True, slots=True)
class SeedResult:
    """One fit and what it reached."""

    seed: int
    trial: Trial
    """Its maps are there only while `on_seed` runs."""
    metrics: dict[str, Any]
    """What `seed-<n>/metrics.json` holds."""


@dataclass(frozen=True, slots=True)
class MethodResult:
    """One method on one category."""

    category: str
    method: str
    is_dev: bool
    folder: Path
    metrics: dict[str, Any]
    """What `metrics.json` holds."""
    others: int
    """How many other frozen pipelines have met the same test set in this output folder."""


_RESTORE = "restore it: what has met a test set cannot be counted without it"

OnSeed = Callable[[str, str, SeedResult, Path], None]
"""Called with category, method, what was found and the seed's folder, while the maps are there."""


def evaluate_frozen(
    frozen: FrozenPipeline,
    manifests: Sequence[Manifest],
    output_dir: Path,
    *,
    include_dev: bool = False,
    work: Work = Work(),
    on_seed: OnSeed | None = None,
) -> Iterator[MethodResult]:
    """Every method of `frozen` on every category, seed by seed; what an earlier, stopped call has finished is read.

    Raises `LeakageError` for a category that the pipeline was designed on, unless `include_dev`, before anything is
    fitted; `DataError` for one without test images. For who holds the name `output_dir`.
    """
    hashed = [manifest.with_hashes(work) for manifest in manifests]
    dev = [_is_dev(frozen, manifest, include_dev) for manifest in hashed]
    for manifest, is_dev in zip(hashed, dev, strict=True):
        if not manifest.test():
            raise DataError(f"{manifest.dataset}/{manifest.category} has no test image")
        others = meet(output_dir / "encounters.jsonl", frozen.sha256, manifest)
        for name in frozen.methods:
            folder = output_dir / manifest.category / name
            seeds = {
                seed: _seed_metrics(frozen, name, seed, manifest, folder, work, on_seed)
                for seed in frozen.seeds
            }
            metrics = {
                "category": manifest.category,
                "dataset": manifest.dataset,
                "method": name,
                "is_dev": is_dev,
                "frozen_sha256": frozen.sha256,
                "test_sha256": _test_hash(manifest),
                **_summary(list(seeds.values())),
                "per_seed": {str(seed): values for seed, values in seeds.items()},
            }
            sweep_file_parts(folder)
            write_json(folder / "metrics.json", metrics)
            write_json(
                folder / "meta.json",
                {
                    "written_at": utc_now(),
                    "machine": machine(),
                    "versions": package_versions(),
                    "others": others,
                },
            )
            yield MethodResult(manifest.category, name, is_dev, folder, metrics, others)


def _is_dev(frozen: FrozenPipeline, manifest: Manifest, include_dev: bool) -> bool:
    if not include_dev:
        frozen.refuse_dev(manifest.dataset, manifest.category, manifest.content_hash())
    return any((d.dataset, d.category) == (manifest.dataset, manifest.category) for d in frozen.origin.dev)


def _seed_metrics(
    frozen: FrozenPipeline,
    name: str,
    seed: int,
    manifest: Manifest,
    folder: Path,
    work: Work,
    on_seed: OnSeed | None,
) -> dict[str, Any]:
    """Read when it was finished for this pipeline and this data, else computed and written."""
    here = folder / f"seed-{seed}"
    stamp = hash_value([frozen.sha256, manifest.content_hash(), seed])
    done = here / "done.json"
    again = f"remove {here}, and the same command evaluates it again"
    if done.exists() and read_stored(done, Done, hint=again).stamp == stamp:
        known = read_json(here / "metrics.json", hint=again)
        shape_as(known, MetricsFile, str(here / "metrics.json"), hint=again)
        return known
    sweep_file_parts(here, deep=True)
    start = time.perf_counter()
    method = frozen.methods[name]
    with run_trial(method.config(seed), manifest, run_id=f"seed-{seed}", work=work) as trial:
        fitted, evaluation = trial.fitted, trial.evaluation
        values = {key: value for key, value in evaluation.as_json().items() if key != "seconds"}
        metrics = values | {"at_fpr": _at_carried(method.threshold, fitted.calibration.scores, trial.found)}
        write_json(here / "metrics.json", metrics)
        write_json(here / "thresholds.json", fitted.bundle.manifest.thresholds.model_dump(mode="json"))
        write_predictions(here / "preds_test.jsonl", evaluation.predictions)
        if on_seed is not None:
            on_seed(manifest.category, name, SeedResult(seed, trial, metrics), here)
    write_stored(done, Done(stamp=stamp, seconds=round(time.perf_counter() - start, 3)))
    return metrics


def _at_carried(
    threshold: StandardThreshold | None, held_out: np.ndarray, found: Predictions
) -> dict[str, Any] | None:
    """Decisions at the threshold that was carried over from the development categories."""
    if threshold is None:
        return None
    value = carry_threshold(threshold, held_out)
    counts = confusion(found.defective, found.scores.astype(np.float64), value, noun="images")
    rates: dict[str, float | None] = {}
    for key in ("f1", "precision", "recall", "overkill_rate", "escape_rate"):
        try:
            rates[key] = getattr(counts, key)
        except Undefined:
            rates[key] = None
    return {"rule": threshold.rule, "threshold": value, **rates}


def _summary(seeds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Over seeds, of every number: mean, sample standard deviation, and the interval of the mean by Student's t; None
    where a seed has none. `intervals` are the mean of the seeds' own, where all have one: over images, not over fits.
    Without an interval over seeds: one seed, or the same number from all.
    """
    keys = [key for key, value in seeds[0].items() if key != "at_fpr" and not isinstance(value, dict)]
    columns = {key: [metrics[key] for metrics in seeds] for key in keys}
    columns["image_f1_at_fpr"] = [(metrics["at_fpr"] or {}).get("f1") for metrics in seeds]
    mean: dict[str, float | None] = {}
    spread: dict[str, float | None] = {}
    over_seeds: dict[str, list[float]] = {}
    for key, values in columns.items():
        known = None not in values
        mean[key] = float(np.mean(values)) if known else None
        spread[key] = float(np.std(values, ddof=1)) if known and len(values) > 1 else None
        if spread[key] is not None:
            with suppress(Undefined):
                interval = mean_interval(values, bounds=(0, 1))
                over_seeds[key] = [interval.low, interval.high]
    intervals = {
        key: [float(np.mean([m["intervals"][key][side] for m in seeds])) for side in ("low", "high")]
        for key in seeds[0]["intervals"]
        if all(key in m["intervals"] for m in seeds)
    }
    return {
        "seeds": len(seeds),
        "mean": mean,
        "std": spread,
        "over_seeds": over_seeds,
        "intervals": intervals,
    }


def _test_hash(manifest: Manifest) -> str:
    return hash_value([[s.id, s.label, s.sha256, s.mask_sha256] for s in manifest.test()])


def meet(path: Path, frozen_sha256: str, manifest: Manifest) -> int:
    """Note that this pipeline meets this test set, and count the others that have.

    The folder is held meanwhile, so that two evaluations at once both leave their line.
    """
    test_sha256 = _test_hash(manifest)
    with locked(path.parent):
        known = read_rows(path, Encounter, hint=_RESTORE) if path.exists() else []
        met = {row.frozen_sha256 for row in known if row.test_sha256 == test_sha256}
        if frozen_sha256 not in met:
            row = Encounter(
                frozen_sha256=frozen_sha256,
                test_sha256=test_sha256,
                category=manifest.category,
                dataset=manifest.dataset,
                at=utc_now(),
            )
            write_jsonl(path, [one.model_dump(mode="json") for one in (*known, row)])
    return len(met - {frozen_sha256})
