"""A run of several categories, measured on each one's own test split."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kizu.bundles.manifest import Bundle
from kizu.core.files import write_json
from kizu.core.work import Work
from kizu.data.manifest import read_manifest
from kizu.lab.evaluate import Evaluation, evaluate, write_evaluation
from kizu.lab.measured_set import refuse_known
from kizu.lab.promises import read_set_on, told
from kizu.runs.contents import MeasuredOn
from kizu.runs.folder import RunFolder


@dataclass(frozen=True, slots=True)
class MeasuredParts:
    """The same of a run of several categories."""

    by_category: dict[str, Evaluation]
    bundle: Bundle


def evaluate_parts(
    folder: RunFolder, *, work: Work = Work(), on_written: Callable[[MeasuredParts], object] | None = None
) -> MeasuredParts:
    """A run of several categories: each on its own test split with its own thresholds.

    Writes `categories/<category>/metrics.json` and `preds_test.jsonl`, and the run's `metrics.json`: each category's
    metrics and promises, and the mean over the categories that have a metric. `on_written` as for `measure_run`.
    """
    bundle, manifest = folder.open_bundle(), read_manifest(folder.manifest)
    refuse_known(folder, bundle, manifest)
    found = {}
    for name in manifest.parts:
        part = manifest.part(name)
        data = MeasuredOn(dataset=part.dataset, category=name, manifest_sha256=part.content_hash())
        own = bundle.for_category(name)
        set_on = read_set_on(folder, own.manifest, name)
        found[name] = replace(evaluate(own, part.test(), work=work), data=data).explained(set_on)
    measured = MeasuredParts(found, bundle)
    with folder.writing():
        for name, evaluation in found.items():
            write_evaluation(folder.part(name), evaluation)
        content = {
            "bundle_sha256": bundle.bundle_sha256,
            "mean": mean_metrics(list(found.values())),
            "categories": {name: evaluation.metrics for name, evaluation in found.items()},
            "promises_by_category": {name: told(evaluation.promises) for name, evaluation in found.items()},
        }
        write_json(folder.metrics, content)
        if on_written is not None:
            on_written(measured)
    return measured


def mean_metrics(evaluations: Sequence[Evaluation]) -> dict[str, float | None]:
    """Of each metric, over the evaluations that have it; None where none has."""
    means: dict[str, float | None] = {}
    for key in evaluations[0].metrics:
        known = [value for e in evaluations if (value := e.metrics[key]) is not None]
        means[key] = float(np.mean(known)) if known else None
    return means
