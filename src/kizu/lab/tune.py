"""Other thresholds for a finished run: by another rule on its held-out good images, or on labelled validation images.

The bundle gets them, so that what is measured is what runs; `thresholds.json` keeps what was in force before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Literal

from kizu.bundles.manifest import Bundle
from kizu.bundles.store import load, set_thresholds
from kizu.core.errors import CalibrationError
from kizu.core.files import write_json, write_stored
from kizu.core.provenance import utc_now
from kizu.core.randomness import rng_for
from kizu.core.split import Split
from kizu.core.work import Work
from kizu.data.manifest import Sample, read_manifest
from kizu.data.study import load_or_draw
from kizu.decision.calibration import CalibrationConfig, Thresholds
from kizu.decision.rules import Rule
from kizu.decision.thresholds import Threshold, f1_max
from kizu.lab.evaluate import Prediction, write_predictions
from kizu.lab.held_out import held_out_thresholds, sides
from kizu.lab.predictions import Predictions, predicted
from kizu.metrics.pixels import rank_pixels
from kizu.metrics.probability import fit_probability
from kizu.metrics.ranking import oracle_f1_of
from kizu.pipeline.opened import open_pipeline
from kizu.runs.contents import ProbabilityFile, ThresholdsFile, ToldThresholds
from kizu.runs.folder import RunFolder

PixelMetric = Literal["f1", "iou"]
"""Which one the pixel threshold makes highest. IoU = F1 / (2 - F1) rises with F1, so both have the same threshold."""
_PIXEL_RULES: Mapping[PixelMetric, Rule] = {
    "f1": Rule(name="pixel_f1_max"),
    "iou": Rule(name="pixel_iou_max"),
}


def compute_thresholds(
    folder: RunFolder,
    config: CalibrationConfig,
    *,
    work: Work = Work(),
) -> Thresholds:
    """By the rules of `config` on the good images that the run held out.

    Raises `CalibrationError` where these cannot support a rule, or it wants labelled images.
    """
    bundle = load(folder.bundle).for_category(None)
    fit, held = sides(folder)
    if not held or fit == held:
        raise CalibrationError(
            "every good image was fitted on, so none can set a threshold now",
            hint="train anew with this rule",
        )
    thresholds = held_out_thresholds(open_pipeline(bundle, work), held, bundle.manifest, config, work=work)
    put_in_force(folder, bundle, thresholds)
    write_train_predictions(folder, thresholds, work=work)
    return thresholds


def tune_on_validation(
    folder: RunFolder,
    *,
    pixel_metric: PixelMetric = "f1",
    work: Work = Work(),
) -> Thresholds:
    """The thresholds with the highest F1 of images, and F1 or IoU of pixels, on labelled validation images.

    Those are the data set's own validation split; where it has none, the good images that the run held out and part of
    the test defects, which are then no longer measured (`study.json`). Without drawn flaws the pixel threshold and the
    zones' stay; with them one pixel threshold holds everywhere. `probability.json` tells how to show a score as a
    probability (Platt), by the same images.
    Raises `CalibrationError`, `DataError` when a file has changed since.
    """
    bundle = load(folder.bundle).for_category(None)
    manifest = read_manifest(folder.manifest).with_hashes()
    samples: Sequence[Sample] = manifest.validation()
    if not samples:
        seed = bundle.manifest.seed
        cut = load_or_draw(folder.study, manifest, rng_for(seed, "study"), seed=seed)
        fit, held = sides(folder)
        if fit == held:
            raise CalibrationError("every good image was fitted on", hint="train anew without folds")
        samples = [*held, *(s for s in cut.validation() if s.label == "defect")]
    with predicted(
        open_pipeline(bundle, work),
        samples,
        bundle.manifest.placement,
        stage="validation",
        work=work,
    ) as found:
        old = bundle.manifest.thresholds
        pixel = _best_pixel_threshold(found, pixel_metric)
        thresholds = Thresholds(
            image=f1_max(found.scores, found.defective, split=Split.VALIDATION),
            pixel=pixel or old.pixel,
            zones=old.zones if pixel is None else None,
        )
        shown = fit_probability(found.defective, found.scores)
    put_in_force(folder, bundle, thresholds)
    write_stored(
        folder.probability,
        ProbabilityFile(**asdict(shown), rule="Platt", split=Split.VALIDATION, count=len(samples)),
    )
    write_train_predictions(folder, thresholds, work=work)
    return thresholds


def put_in_force(folder: RunFolder, bundle: Bundle, thresholds: Thresholds) -> None:
    """Into the bundle, and into `thresholds.json` with those it had."""
    known = folder.read_thresholds()
    before = () if known is None else known.before
    told = ThresholdsFile(
        **dict(ToldThresholds.of(thresholds)),
        bundle_sha256=set_thresholds(folder.bundle, thresholds),
        written_at=utc_now(),
        before=(*before, ToldThresholds.of(bundle.manifest.thresholds)),
    )
    write_json(folder.thresholds, told.as_json())


def write_train_predictions(
    folder: RunFolder,
    thresholds: Thresholds,
    *,
    work: Work = Work(),
) -> None:
    """`preds_train.jsonl`: the good images that the run was fitted on, then those it held out."""
    bundle = load(folder.bundle)
    fit, held = sides(folder)
    with predicted(
        open_pipeline(bundle, work),
        [*fit, *held],
        bundle.manifest.placement,
        with_masks=False,
        stage="train",
        work=work,
    ) as found:
        write_predictions(
            folder.train_predictions,
            [
                Prediction(sample, float(score), thresholds.image.exceeded_by(float(score)))
                for sample, score in zip(found.samples, found.scores, strict=True)
            ],
        )


def _best_pixel_threshold(found: Predictions, metric: PixelMetric) -> Threshold | None:
    if not found.has_drawn_flaws:
        return None
    best = oracle_f1_of(rank_pixels(found.native_maps(), found.native_masks()).ranking)
    return Threshold(
        value=best.threshold, rule=_PIXEL_RULES[metric], split=Split.VALIDATION, count=len(found.mapped)
    )
