"""Evaluate a frozen pipeline: fit on train/good, look at each test set once, and keep a record that it was looked at.

<output_dir>/encounters.jsonl           which frozen pipeline has met which test set (one of several ledgers)
<output_dir>/<sha256>/                  all else, by the first characters of the frozen file's hash:
    <category>/<method>/metrics.json    mean, spread over seeds, intervals
    <category>/<method>/meta.json       what is not the same twice: times, machine
    <category>/<method>/seed-<n>/       metrics.json, thresholds.json, preds_test.jsonl

Before, categories lay in `output_dir` itself, where a second pipeline wrote over the first one's; what was finished
there is taken over, and left as it is.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kizu.core.config import Stored
from kizu.core.errors import DataError, LeakageError
from kizu.core.files import read_json, read_stored, shape_as, write_bytes, write_json, write_stored
from kizu.core.hashing import hash_value
from kizu.core.parts import sweep_file_parts
from kizu.core.provenance import machine, package_versions, utc_now
from kizu.core.work import Work
from kizu.data.manifest import Manifest
from kizu.data.marks import ImageMark, mark_images
from kizu.decision.standard import StandardThreshold, carry_threshold
from kizu.lab.evaluate import write_predictions
from kizu.lab.predictions import Predictions
from kizu.lab.trial import Trial, run_trial
from kizu.metrics.decisions import confusion
from kizu.metrics.intervals import mean_interval
from kizu.metrics.undefined import Undefined
from kizu.protocol.dev import Looked, look_for_dev, name_unchecked
from kizu.protocol.freeze import FrozenPipeline
from kizu.protocol.ledger import LEDGER, hash_test, meet
from kizu.runs.contents import MetricsFile

NAME_LENGTH = 12
"""Characters of the hash in a folder's name."""


class Done(Stored):
    """`done.json`: a seed that was evaluated to its end."""

    stamp: str
    """Of the frozen pipeline, the data and the seed."""
    seconds: float


@dataclass(frozen=True, slots=True)
class Place:
    """Of one method on one category."""

    folder: Path
    before: Path
    """Where results of older versions lie."""


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
    """How many other frozen pipelines have met the same test set, by all ledgers."""
    caveats: tuple[str, ...] = ()
    """What is to be said beside its numbers."""


OnSeed = Callable[[str, str, SeedResult, Path], None]
"""Called with category, method, what was found and the seed's folder, while the maps are there."""


def pipeline_folder(output_dir: Path, frozen: FrozenPipeline) -> Path:
    """Where in `output_dir` the results of this frozen pipeline lie, and no other's."""
    return output_dir / frozen.sha256[:NAME_LENGTH]


def evaluate_frozen(
    frozen: FrozenPipeline,
    manifests: Sequence[Manifest],
    output_dir: Path,
    *,
    ledgers: Sequence[Path] = (),
    include_dev: bool = False,
    work: Work = Work(),
    on_seed: OnSeed | None = None,
) -> Iterator[MethodResult]:
    """Every method of `frozen` on every category, seed by seed; what an earlier, stopped call has finished is read.

    `ledgers`: those beside that of `output_dir` that encounters are noted in. Raises `LeakageError` for a category
    that the pipeline was designed on, unless `include_dev`, and `DataError` for one without test images, before
    anything is fitted. For who holds the name of `pipeline_folder`.
    """
    home = pipeline_folder(output_dir, frozen)
    for manifest, marks, looked in _look(frozen, manifests, include_dev, work):
        met = meet([output_dir / LEDGER, *ledgers], frozen.sha256, manifest, marks)
        caveats = (*looked.caveats, *met.caveats(manifest.category))
        work.note(*caveats)
        for name in frozen.methods:
            place = Place(home / manifest.category / name, output_dir / manifest.category / name)
            seeds = {
                seed: _seed_metrics(frozen, name, seed, manifest, place, work, on_seed)
                for seed in frozen.seeds
            }
            metrics = {
                "category": manifest.category,
                "dataset": manifest.dataset,
                "method": name,
                "is_dev": looked.leak is not None,
                "frozen_sha256": frozen.sha256,
                "test_sha256": hash_test(manifest),
                **_summary(list(seeds.values())),
                "per_seed": {str(seed): values for seed, values in seeds.items()},
            }
            _write_result(place.folder, metrics, met.others)
            yield MethodResult(
                manifest.category,
                name,
                looked.leak is not None,
                place.folder,
                metrics,
                met.others,
                caveats,
            )


def _write_result(folder: Path, metrics: dict[str, Any], others: int) -> None:
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


def _look(
    frozen: FrozenPipeline, manifests: Sequence[Manifest], include_dev: bool, work: Work
) -> list[tuple[Manifest, tuple[ImageMark, ...], Looked]]:
    """Each manifest with its hashes and marks, and what it has to do with the categories of the design."""
    found = []
    work.note(*name_unchecked(frozen.origin.dev))
    for manifest in manifests:
        hashed = manifest.with_hashes(work)
        if not hashed.test():
            raise DataError(f"{manifest.dataset}/{manifest.category} has no test image")
        marks = mark_images(hashed.samples, work)
        looked = look_for_dev(frozen.origin.dev, hashed, marks)
        if looked.leak is not None and not include_dev:
            raise LeakageError(
                looked.leak, hint="evaluate others, or show it apart and marked with --include-dev"
            )
        found.append((hashed, marks, looked))
    return found


def _seed_metrics(
    frozen: FrozenPipeline,
    name: str,
    seed: int,
    manifest: Manifest,
    place: Place,
    work: Work,
    on_seed: OnSeed | None,
) -> dict[str, Any]:
    """Read when it was finished for this pipeline and this data, else computed and written."""
    here = place.folder / f"seed-{seed}"
    stamp = hash_value([frozen.sha256, manifest.content_hash(), seed])
    done = here / "done.json"
    again = f"remove {here}, and the same command evaluates it again"
    if not done.exists():
        _take_over(place.before / f"seed-{seed}", here, stamp)
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


def _take_over(before: Path, here: Path, stamp: str) -> None:
    """Copy a seed that was finished where results lay before, for the same pipeline and data; its `done.json` last."""
    done = before / "done.json"
    if not done.exists() or read_stored(done, Done, hint=f"remove {before}").stamp != stamp:
        return
    files = [path for path in sorted(before.rglob("*")) if path.is_file() and not path.name.startswith(".")]
    for path in (*(path for path in files if path != done), done):
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}", hint=f"remove {before}") from error
        write_bytes(here / path.relative_to(before), content)


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
