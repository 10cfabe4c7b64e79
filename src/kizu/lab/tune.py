"""Other thresholds for a finished run: by another rule on its held-out good images, or on labelled validation images.

The bundle gets them, so that what is measured is what runs, and says by which rules they were set, so that an update
keeps to these; `thresholds.json` keeps what was in force before.
"""

from collections.abc import Sequence

from kizu.bundles.manifest import Bundle
from kizu.bundles.store import set_thresholds
from kizu.core.errors import CalibrationError
from kizu.core.files import write_json, write_stored
from kizu.core.provenance import utc_now
from kizu.core.types import Scorer
from kizu.core.work import Work
from kizu.data.manifest import Sample
from kizu.decision.calibration import CalibrationConfig, PixelMetric, Thresholds
from kizu.imaging.placement import PlacementConfig
from kizu.lab.evaluate import Prediction, write_predictions
from kizu.lab.held_out import read_sides, set_held_out_thresholds
from kizu.lab.labelled import choose_labelled, choose_thresholds
from kizu.lab.predictions import predict_samples
from kizu.pipeline.opened import open_pipeline
from kizu.runs.contents import ThresholdsFile, ToldThresholds
from kizu.runs.folder import RunFolder


def compute_thresholds(folder: RunFolder, config: CalibrationConfig, *, work: Work = Work()) -> Thresholds:
    """By the rules of `config` on the good images that the run held out.

    Raises `CalibrationError` where these cannot support a rule, or it wants labelled images; `OutputError` while
    another command changes the run.
    """
    with folder.locked():
        bundle, before = folder.open_bundle().for_category(None), folder.read_thresholds()
        fit, held = read_sides(folder)
        if not held or fit == held:
            raise CalibrationError(
                "every good image was fitted on, so none can set a threshold now",
                hint="train anew with this rule",
            )
        pipeline = open_pipeline(bundle, work)
        thresholds = set_held_out_thresholds(pipeline, held, bundle.manifest, config, work=work)
        now = set_thresholds(folder.bundle, bundle, thresholds, calibration=config)
        _tell(folder, before, bundle, now)
        _write_train_predictions(folder, pipeline, [*fit, *held], bundle.manifest.placement, thresholds, work)
    return thresholds


def tune_on_validation(
    folder: RunFolder, *, pixel_metric: PixelMetric = "f1", work: Work = Work()
) -> Thresholds:
    """The thresholds with the highest F1 of images, and F1 or IoU of pixels, on labelled validation images.

    Which images, and what they set: `choose_labelled`, `choose_thresholds`. `probability.json` tells how to show a
    score as a probability (Platt), by the same images.
    Raises `CalibrationError`, `DataError` when a file has changed since; `OutputError` while another command changes
    the run.
    """
    with folder.locked():
        bundle, before = folder.open_bundle().for_category(None), folder.read_thresholds()
        manifest = bundle.manifest
        samples = choose_labelled(folder, seed=manifest.seed, may_draw=True)
        pipeline = open_pipeline(bundle, work)
        chosen = choose_thresholds(
            pipeline,
            samples,
            manifest.placement,
            pixel_metric,
            otherwise=lambda: manifest.thresholds,
            work=work,
        )
        now = set_thresholds(
            folder.bundle,
            bundle,
            chosen.thresholds,
            calibration=manifest.calibration,
            tuned_for=pixel_metric,
        )
        _tell(folder, before, bundle, now)
        write_stored(folder.probability, chosen.probability(manifest.version))
        fit, held = read_sides(folder)
        _write_train_predictions(folder, pipeline, [*fit, *held], manifest.placement, chosen.thresholds, work)
    return chosen.thresholds


def _tell(folder: RunFolder, known: ThresholdsFile | None, before: Bundle, now: Bundle) -> None:
    """`thresholds.json`: those in force, and those that were, the oldest first.

    Those that the file, or the training, tells as in force were, whatever came between: an update set others, or the
    same call gave these to the bundle before and was killed.
    """
    told = (
        ToldThresholds.of(folder.read_meta().thresholds) if known is None else ToldThresholds.of_file(known)
    )
    earlier = [*(() if known is None else known.before), told]
    was = ToldThresholds.of(before.manifest.thresholds)
    if was not in (told, ToldThresholds.of(now.manifest.thresholds)):
        earlier.append(was)
    content = ThresholdsFile(
        **dict(ToldThresholds.of(now.manifest.thresholds)),
        bundle_sha256=now.bundle_sha256,
        written_at=utc_now(),
        before=tuple(earlier),
    )
    write_json(folder.thresholds, content.as_json())


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
