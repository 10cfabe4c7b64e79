"""Choose settings on development categories, whose test images may be looked at, so that no other test set is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from kizu.core.config import Config, Stored
from kizu.core.errors import ConfigError, DataError
from kizu.core.files import read_stored
from kizu.core.split import Split
from kizu.core.types import F64
from kizu.core.work import Work
from kizu.data.manifest import Manifest
from kizu.decision.standard import StandardThreshold, standardise
from kizu.decision.thresholds import fpr_target
from kizu.detectors import DETECTORS
from kizu.detectors.registry import method as look_up_method
from kizu.lab.trial import run_trial
from kizu.pipeline.config import PipelineConfig, read_yaml
from kizu.protocol.dev import dev_set
from kizu.protocol.freeze import Origin

OBJECTIVE = ("image_auroc", "aupro_030")
"""A candidate's worth is the mean of these, over categories and seeds; one that cannot be measured is left out."""
DEV_RATE = 0.01

Changes = Mapping[str, Any]
"""What a candidate changes: {"detector": {...}, "embedding": {...}, "placement": {...}}."""

METHODS = ("patchcore", "padim", "mahalanobis")
"""Designed where nobody names others."""


def list_candidates() -> dict[str, Sequence[Changes]]:
    """What each method offers to try; the first is its default and wins a tie."""
    return {kind: look_up_method(kind).designs for kind in DETECTORS}


class _Change(Config):
    """What a candidate in a file may change; its settings are checked with the pipeline that they change."""

    detector: dict[str, Any] = Field(default_factory=dict)
    embedding: dict[str, Any] = Field(default_factory=dict)
    placement: dict[str, Any] = Field(default_factory=dict)
    calibration: dict[str, Any] = Field(default_factory=dict)


class Design(Stored):
    """What was chosen, and why: what `kizu freeze --design` reads."""

    pipelines: dict[str, PipelineConfig]
    thresholds: dict[str, StandardThreshold]
    origin: Origin


@dataclass(frozen=True, slots=True)
class _Outcome:
    """One candidate on one category with one seed."""

    metrics: dict[str, float | None]
    good_scores: F64
    """(N,) of the good test images, in spreads of the held-out scores"""


def read_candidates(path: Path) -> dict[str, tuple[Changes, ...]]:
    """Candidates from a YAML file: method -> list of changes; `{}` is the method with its defaults.

    Raises `ConfigError` naming the file, and the method where it is not such a list.
    """
    values = read_yaml(path)
    hint = "write a list of changes for each method, such as patchcore: [{}, {detector: {coreset: 0.1}}]"
    if not isinstance(values, dict) or not values:
        raise ConfigError(f"{path} names no method", hint=hint)
    found: dict[str, tuple[Changes, ...]] = {}
    for method, changes in values.items():
        if not isinstance(changes, list) or not changes:
            raise ConfigError(f"{path}: {method} has no list of changes, but {changes!r}", hint=hint)
        checked = [_Change.parse(change, where=f"{path}, {method}") for change in changes]
        found[str(method)] = tuple(change.model_dump(exclude_unset=True) for change in checked)
    return found


def design(
    manifests: Sequence[Manifest],
    *,
    candidates: Mapping[str, Sequence[Changes]] | None = None,
    seeds: Sequence[int] = (0,),
    base: PipelineConfig = PipelineConfig(),
    rate: float = DEV_RATE,
    work: Work = Work(),
) -> Design:
    """Try every candidate of every method on all `manifests` with all `seeds`, and keep the best of each method.

    `candidates`: by method; None: what those in `METHODS` offer.
    `rate`: of the good test images that the carried threshold may reject. Raises `DataError` without a category.
    """
    if not manifests:
        raise DataError("no development category was given", hint="name at least one")
    if candidates is None:
        candidates = {kind: designs for kind, designs in list_candidates().items() if kind in METHODS}
    hashed = [manifest.with_hashes() for manifest in manifests]
    dev = tuple(dev_set(manifest, work.quiet()) for manifest in hashed)
    total = sum(map(len, candidates.values())) * len(hashed) * len(seeds)
    done = 0
    pipelines, thresholds, evidence = {}, {}, []
    for method, changes in candidates.items():
        tried = []
        for change in changes:
            config = _apply(base, method, change)
            trials = []
            for manifest in hashed:
                for seed in seeds:
                    trials.append(_try(config.model_copy(update={"seed": seed}), manifest, work))
                    done += 1
                    work.report("candidates", done, total)
            tried.append((_worth(trials), config, trials, change))
        _, best, trials, _ = max(tried, key=lambda item: item[0])
        pipelines[method] = best
        thresholds[method] = _carry(np.concatenate([trial.good_scores for trial in trials]), rate, hashed)
        evidence += [
            {
                "method": method,
                "changes": dict(change),
                "worth": worth,
                **_means(trials),
                "chosen": config is best,
            }
            for worth, config, trials, change in sorted(tried, key=lambda item: -item[0])
        ]
    origin = Origin(how="kizu design", dev=dev, evidence=tuple(evidence))
    return Design(pipelines=pipelines, thresholds=thresholds, origin=origin)


def read_design(path: Path) -> Design:
    """What `kizu design` wrote. Raises `ConfigError` for a file that is missing, broken or something else."""
    return read_stored(path, Design, hint="make it with `kizu design`", raises=ConfigError)


def _try(config: PipelineConfig, manifest: Manifest, work: Work) -> _Outcome:
    with run_trial(config, manifest, work=work.quiet()) as trial:
        good = trial.found.scores[~trial.found.defective]
        return _Outcome(trial.evaluation.metrics, standardise(good, trial.fitted.calibration.scores))


def _apply(base: PipelineConfig, method: str, change: Changes) -> PipelineConfig:
    config = base.with_detector(method, change.get("detector", {}))
    others = {section: values for section, values in change.items() if section != "detector"}
    return config.changed(others, where=f"candidate {method}")


def _worth(trials: Sequence[_Outcome]) -> float:
    values = [trial.metrics[key] for trial in trials for key in OBJECTIVE]
    known = [value for value in values if value is not None]
    if not known:
        raise DataError(
            "a development category needs good and defective test images", hint="choose another to design on"
        )
    return float(np.mean(known))


def _means(trials: Sequence[_Outcome]) -> dict[str, float | None]:
    means: dict[str, float | None] = {}
    for key in OBJECTIVE:
        known = [value for trial in trials if (value := trial.metrics[key]) is not None]
        means[key] = float(np.mean(known)) if known else None
    return means


def _carry(good: F64, rate: float, manifests: Sequence[Manifest]) -> StandardThreshold:
    """At most `rate` of the good test images of all categories and seeds lie above."""
    found = fpr_target(good, rate, split=Split.VALIDATION)
    return StandardThreshold(
        value=found.value,
        rule=f"{found.rule.describe()} on development categories",
        count=sum(sample.label == "good" for manifest in manifests for sample in manifest.test()),
    )
