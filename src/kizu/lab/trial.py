"""One cell of any study: fit a pipeline on a data set, score its test split, measure it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from kizu.core.work import Work
from kizu.data.manifest import Manifest
from kizu.lab.cut import cut_good
from kizu.lab.evaluate import Evaluation, measure_predictions
from kizu.lab.fit import FittedBundle, Identity, fit_bundle
from kizu.lab.grouping import group_good
from kizu.lab.predictions import Predictions, predict_samples
from kizu.lab.promises import SetOn
from kizu.pipeline.config import PipelineConfig
from kizu.pipeline.placing import choose_placement


@dataclass(frozen=True, slots=True)
class Trial:
    """What one pipeline reached on one data set."""

    fitted: FittedBundle
    found: Predictions
    """Its maps are there only until the block ends."""
    evaluation: Evaluation


@contextmanager
def run_trial(
    config: PipelineConfig, manifest: Manifest, *, run_id: str = "", work: Work = Work()
) -> Iterator[Trial]:
    """Fit on the good training images of a hashed manifest, cut by the config's seed, and measure on its test split.

    Nothing is written. `run_id`: what the bundle will call itself. Raises as `cut_good`, `fit_bundle` and
    `predict_samples`.
    """
    identity = Identity(manifest.category, run_id, manifest.dataset, manifest.content_hash())
    cut = cut_good(
        group_good(manifest, config.placement, with_defects=config.detector.learns_defects, work=work), config
    )
    config = choose_placement(config, cut.fit, work)
    fitted = fit_bundle(config, cut.sides(config), identity, work=work)
    start = time.perf_counter()
    with predict_samples(fitted.pipeline, manifest.test(), config.placement, work=work) as found:
        seconds = {"predict": time.perf_counter() - start}
        with work.limit():
            evaluation = measure_predictions(found, fitted.bundle.manifest.thresholds)
        set_on = SetOn.of(cut.fit, cut.calibration, fitted.calibration.scores.astype(np.float64))
        evaluation = evaluation.explained(set_on)
        yield Trial(fitted, found, replace(evaluation, seconds=seconds | evaluation.seconds))
