"""Other thresholds for a finished run: by another rule on its held-out good images, or on labelled validation images.

They come into force as a new version of the run's bundle, which says by which rules they were set, so that an update
keeps to these, and why; `kizu rollback` takes them back.
"""

from collections.abc import Sequence

from kizu.core.files import write_stored
from kizu.core.types import Scorer
from kizu.core.work import Work
from kizu.data.manifest import Sample, read_manifest
from kizu.decision.calibration import LABELLED_RULES, CalibrationConfig, PixelMetric, Thresholds
from kizu.imaging.placement import PlacementConfig
from kizu.lab.evaluate import Prediction, write_predictions
from kizu.lab.held_out import read_set, read_sides, set_held_out_thresholds
from kizu.lab.labelled import choose_labelled, choose_thresholds
from kizu.lab.predictions import predict_samples
from kizu.lab.versions import Change, put_thresholds
from kizu.pipeline.opened import open_pipeline
from kizu.runs.folder import RunFolder
from kizu.runs.versions import read_history


def compute_thresholds(
    folder: RunFolder, config: CalibrationConfig, *, reason: str | None = None, work: Work = Work()
) -> Thresholds:
    """By the rules of `config` on the good images that the run held out, and where the image rule wants labelled ones,
    on the data set's validation split. `reason`: None: which rule it is.

    Raises `CalibrationError` where these cannot support a rule; `OutputError` while another command changes the run.
    """
    with folder.locked() as still_there:
        bundle = folder.open_bundle().for_category(None)
        fit, held = read_sides(folder)[0], read_set(folder)
        validation = read_manifest(folder.manifest).validation() if config.rule in LABELLED_RULES else ()
        pipeline = open_pipeline(bundle, work)
        thresholds = set_held_out_thresholds(
            pipeline, held, bundle.manifest, config, validation=validation, work=work
        )
        told = reason or f"by the rule {thresholds.image.rule.describe()}"
        put_thresholds(folder, bundle, Change(thresholds, config), told, still_there)
        shown = list(dict.fromkeys([*fit, *held.samples]))
        _write_train_predictions(
            folder,
            pipeline,
            shown,
            bundle.manifest.placement,
            thresholds,
            work,
        )
    return thresholds


def tune_on_validation(
    folder: RunFolder, *, pixel_metric: PixelMetric = "f1", reason: str | None = None, work: Work = Work()
) -> Thresholds:
    """The thresholds with the highest F1 of images, and F1 or IoU of pixels, on labelled validation images.

    Which images, and what they set: `choose_labelled`, `choose_thresholds`. `probability.json` tells how to show a
    score as a probability (Platt), by the same images. `reason`: None: that they were tuned.
    Raises `CalibrationError`, `DataError` when a file has changed since; `OutputError` while another command changes
    the run.
    """
    with folder.locked() as still_there:
        bundle = folder.open_bundle().for_category(None)
        manifest = bundle.manifest
        samples = choose_labelled(folder, seed=manifest.seed, may_draw=True)
        pipeline = open_pipeline(bundle, work)
        chosen = choose_thresholds(
            pipeline,
            samples,
            manifest.placement,
            pixel_metric,
            held=None if read_manifest(folder.manifest).validation() else read_set(folder),
            otherwise=lambda: manifest.thresholds,
            work=work,
        )
        by_hand = manifest.by_hand if chosen.thresholds.pixel == manifest.thresholds.pixel else ()
        change = Change(
            chosen.thresholds,
            manifest.calibration,
            tuned_for=pixel_metric,
            by_hand=tuple(name for name in by_hand if name == "pixel"),
        )
        told = reason or f"highest F1 on {len(samples)} labelled images"
        put_thresholds(folder, bundle, change, told, still_there)
        model = read_history(folder.path).model_of(manifest.version)  # whose scores it was learned with
        write_stored(folder.probability, chosen.probability(model))
        fit, held = read_sides(folder)
        shown = list(dict.fromkeys([*fit, *held]))
        _write_train_predictions(
            folder,
            pipeline,
            shown,
            manifest.placement,
            chosen.thresholds,
            work,
        )
    return chosen.thresholds


def _write_train_predictions(
    folder: RunFolder,
    scorer: Scorer,
    samples: Sequence[Sample],
    placement: PlacementConfig,
    thresholds: Thresholds,
    work: Work,
) -> None:
    """`preds_train.jsonl`: the good images that the run was fitted on, then those it held out."""
    with predict_samples(scorer, samples, placement, with_masks=False, stage="train", work=work) as found:
        write_predictions(
            folder.train_predictions,
            [
                Prediction(sample, float(score), thresholds.image.is_exceeded_by(float(score)))
                for sample, score in zip(found.samples, found.scores, strict=True)
            ],
        )
