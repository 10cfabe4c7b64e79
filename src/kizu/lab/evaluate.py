"""Score the test split once and measure it, at the masks' own resolution, with the thresholds the bundle carries."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from kizu.bundles.manifest import Bundle
from kizu.core.errors import DataError
from kizu.core.files import write_json
from kizu.core.threads import spread
from kizu.core.types import F32
from kizu.core.work import Work
from kizu.data.manifest import Manifest, Sample
from kizu.decision.calibration import Thresholds
from kizu.decision.promise import Check, Kind
from kizu.lab.measured_set import choose_measured
from kizu.lab.predictions import Predictions, predict_samples
from kizu.lab.promises import Promises, SetOn, check_promises, explain, read_set_on, told
from kizu.lab.shown import ShownProbability, is_of_model, measure_shown
from kizu.metrics.breakdown import Cell, Flaw, breakdown, measure_flaw
from kizu.metrics.decisions import confusion
from kizu.metrics.intervals import Interval
from kizu.metrics.suite import evaluate as measure
from kizu.pipeline.opened import open_pipeline
from kizu.runs.contents import MeasuredOn, PredictionRow
from kizu.runs.folder import RunFolder
from kizu.runs.folder import write_predictions as write_rows


@dataclass(frozen=True, slots=True)
class Prediction:
    """What was said of one test image."""

    sample: Sample
    score: float
    is_anomaly: bool

    @property
    def is_wrong(self) -> bool:
        """A passed defect or a rejected good part."""
        return self.is_anomaly != (self.sample.label == "defect")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Numbers, and what they were counted from."""

    metrics: dict[str, float | None]
    reasons: dict[str, str]
    """Why a metric is None."""
    predictions: tuple[Prediction, ...]
    confusion: dict[str, int]
    """Images at the deployed threshold: tp, fp, tn, fn; positive is NG."""
    intervals: dict[str, Interval]
    """Over test images, as if none depended on another."""
    without_interval: dict[str, str]
    """Why a metric of images has none."""
    breakdown: dict[str, dict[str, Cell]]
    """By kind, size and place of the flaw."""
    seconds: dict[str, float]
    shown: ShownProbability | None = None
    """How well the probability that is shown to people holds, where there is one."""
    bundle_sha256: str | None = None
    """Of the bundle on disk that was measured; None where it is in memory only."""
    data: MeasuredOn | None = None
    """The set that the predictions are of, where they are of one."""
    promises: Promises = field(default_factory=dict[Kind, Check])
    """What the thresholds promise of good images, beside what these measured."""

    def explained(self, set_on: SetOn) -> Self:
        """The same with what may have broken its promises."""
        good = [p for p in self.predictions if p.sample.label == "good"]
        scores = np.array([p.score for p in good])
        return replace(self, promises=explain(self.promises, set_on, [p.sample for p in good], scores))

    def as_json(self) -> dict[str, Any]:
        """`metrics.json`: flat metrics first, then what qualifies them."""
        labels = [p.sample.label for p in self.predictions]
        kinds = sorted({p.sample.defect for p in self.predictions})
        return {
            **self.metrics,
            "reasons": self.reasons,
            "confusion": self.confusion,
            "intervals": {key: asdict(interval) for key, interval in self.intervals.items()},
            "without_interval": self.without_interval,
            "breakdown": {
                axis: {name: asdict(cell) for name, cell in cells.items()}
                for axis, cells in self.breakdown.items()
            },
            **({"promises": told(self.promises)} if self.promises else {}),
            **({} if self.shown is None else {"probability": asdict(self.shown)}),
            **({} if self.bundle_sha256 is None else {"bundle_sha256": self.bundle_sha256}),
            **({} if self.data is None else {"data": self.data.model_dump(mode="json")}),
            "counts": {"good": labels.count("good"), "defect": labels.count("defect")},
            "counts_by_kind": {
                kind: sum(p.sample.defect == kind for p in self.predictions) for kind in kinds
            },
            "seconds": {stage: round(value, 4) for stage, value in self.seconds.items()},
        }


def evaluate(
    bundle: Bundle,
    samples: Sequence[Sample],
    *,
    work: Work = Work(),
) -> Evaluation:
    """Score labelled test images and measure, with the thresholds that the bundle carries.

    A defective image without a mask counts for the image metrics only. Raises `DataError` when there is no image or a
    mask has another size than its image, `ScoreError` for scores that are not finite.
    """
    if not samples:
        raise DataError(
            "there is no test image to evaluate", hint="the test split is <category>/test/<kind>/"
        )
    start = time.perf_counter()
    pipeline = open_pipeline(bundle, work)
    with predict_samples(pipeline, samples, bundle.manifest.placement, work=work) as found, work.limit():
        seconds = time.perf_counter() - start
        evaluation = measure_predictions(found, bundle.manifest.thresholds)
    return replace(
        evaluation,
        seconds={"predict": seconds, **evaluation.seconds},
        bundle_sha256=bundle.stored_sha256,
    )


def measure_predictions(found: Predictions, thresholds: Thresholds) -> Evaluation:
    """All metrics of what was found, at the masks' own resolution."""
    start = time.perf_counter()
    defective, scores = found.defective, found.scores.astype(np.float64)
    has_masks = found.has_drawn_flaws
    field = thresholds.pixel_field((found.net_maps.shape[1], found.net_maps.shape[2]))
    counts = confusion(defective, scores, thresholds.image.value)
    result = measure(
        defective,
        scores,
        image_threshold=thresholds.image.value,
        maps=found.native_maps() if has_masks else None,
        masks=found.native_masks() if has_masks else None,
        pixel_threshold=thresholds.pixel.value if field is None else found.fields(field),
        mapped=found.mapped,
    )
    return Evaluation(
        metrics=result.values,
        reasons=result.reasons,
        predictions=tuple(
            Prediction(sample, float(score), thresholds.image.is_exceeded_by(float(score)))
            for sample, score in zip(found.samples, found.scores, strict=True)
        ),
        confusion={"tp": counts.tp, "fp": counts.fp, "tn": counts.tn, "fn": counts.fn},
        intervals=result.intervals,
        without_interval=result.without_interval,
        breakdown=breakdown(
            defective,
            scores,
            thresholds.image.value,
            kinds=[sample.defect for sample in found.samples],
            flaws=spread(
                lambda index: _flaw(found, index, thresholds.pixel.value if field is None else field),
                range(len(found.samples)),
            ),
        ),
        promises=check_promises(found, thresholds),
        seconds={"measure": time.perf_counter() - start},
    )


def _flaw(found: Predictions, index: int, threshold: float | F32) -> Flaw | None:
    mask = found.masks[index]
    if mask is None or mask.bits is None:
        return None
    here = threshold if isinstance(threshold, float) else found.bring_back(threshold, index)
    return measure_flaw(mask.unpack(), found.map_of(index), here)


@dataclass(frozen=True, slots=True)
class MeasuredRun:
    """A run's numbers, and where they lie."""

    evaluation: Evaluation
    bundle: Bundle
    """What was measured: the version in force when it began."""
    place: RunFolder
    """The run itself, or below it the folder of another data set's numbers."""


def measure_run(
    folder: RunFolder,
    manifest: Manifest | None = None,
    *,
    work: Work = Work(),
    on_written: Callable[[MeasuredRun], object] | None = None,
) -> MeasuredRun:
    """Evaluate a run and write `metrics.json` and `preds_test.jsonl`, and with `on_written` what goes with them, before
    another evaluation writes there.

    `manifest`: another data set to evaluate on, whose numbers get a folder of their own; None: the one that the run was
    trained on. Which of the test images: `choose_measured`, with its errors. A run of several categories has
    `parts.evaluate_parts`.
    """
    bundle, probability = folder.open_bundle().for_category(None), folder.read_probability()
    chosen = choose_measured(folder, bundle, manifest, work=work)
    evaluation = replace(evaluate(bundle, chosen.samples, work=work), data=chosen.data)
    set_on = read_set_on(folder, bundle.manifest)
    if not chosen.is_own:  # groups of another set may have the same names
        set_on = replace(set_on, seen=frozenset())
    evaluation = evaluation.explained(set_on)
    if probability is not None and is_of_model(folder, bundle, probability.version):
        found = evaluation.predictions
        labels = np.array([p.sample.label == "defect" for p in found])
        shown = measure_shown(probability, labels, np.array([p.score for p in found]))
        evaluation = replace(evaluation, shown=shown)
    data, place = chosen.data, folder
    if not chosen.is_own:
        place = folder.elsewhere(data.dataset, data.category, data.manifest_sha256)
    measured = MeasuredRun(evaluation, bundle, place)
    with folder.writing():
        write_evaluation(place, evaluation)
        if on_written is not None:
            on_written(measured)
    return measured


def evaluate_run(folder: RunFolder, manifest: Manifest | None = None, *, work: Work = Work()) -> Evaluation:
    """The numbers of `measure_run`."""
    return measure_run(folder, manifest, work=work).evaluation


def write_evaluation(place: RunFolder, evaluation: Evaluation) -> None:
    """`preds_test.jsonl` and `metrics.json`. For who holds `RunFolder.writing`."""
    write_predictions(place.predictions, evaluation.predictions)
    write_json(place.metrics, evaluation.as_json())


def write_predictions(path: Path, predictions: Iterable[Prediction]) -> None:
    """One line of JSON for each image."""
    write_rows(
        path,
        (
            PredictionRow(
                id=p.sample.id,
                defect=p.sample.defect,
                gt_label=p.sample.label,
                pred_score=p.score,
                is_anomaly=p.is_anomaly,
            )
            for p in predictions
        ),
    )
