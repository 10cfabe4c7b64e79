"""Thresholds chosen on labelled images of a run: its data set's validation split, or a part of its test defects."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from kizu.core.errors import CalibrationError
from kizu.core.randomness import rng_for
from kizu.core.split import Split
from kizu.core.work import Work
from kizu.data.manifest import Sample, read_manifest
from kizu.data.study import load_or_draw
from kizu.decision.calibration import PixelMetric, Thresholds
from kizu.decision.rules import Rule
from kizu.decision.thresholds import Threshold, f1_max
from kizu.imaging.placement import PlacementConfig
from kizu.lab.held_out import SetOf, read_set
from kizu.lab.predictions import Predictions, predict_samples
from kizu.lab.scheme import place_groups
from kizu.metrics.pixels import rank_pixels
from kizu.metrics.probability import ProbabilityMap, fit_probability
from kizu.metrics.ranking import oracle_f1_of
from kizu.pipeline.opened import Pipeline
from kizu.runs.contents import ProbabilityFile
from kizu.runs.folder import RunFolder

_PIXEL_RULES: Mapping[PixelMetric, Rule] = {
    "f1": Rule(name="pixel_f1_max"),
    "iou": Rule(name="pixel_iou_max"),
}


@dataclass(frozen=True, slots=True)
class Chosen:
    """What labelled images say."""

    thresholds: Thresholds
    shown: ProbabilityMap
    """How a score is shown as a probability."""
    count: int
    """How many images there were."""

    def probability(self, version: int) -> ProbabilityFile:
        """What `probability.json` holds, learned with the scores of that version."""
        return ProbabilityFile(
            slope=self.shown.slope,
            offset=self.shown.offset,
            rule="Platt",
            split=Split.VALIDATION,
            count=self.count,
            version=version,
        )


def choose_labelled(folder: RunFolder, *, seed: int, may_draw: bool) -> list[Sample]:
    """The data set's validation split; where it has none, the good images that the run held out and those test defects
    that `study.json` sets apart, which are then no longer measured.

    `may_draw`: set them apart now, by `seed`, where no such file is there. Raises `CalibrationError` where the run has
    no labelled images to choose on, `DataError` when a file has changed since they were set apart.
    """
    manifest = read_manifest(folder.manifest).with_hashes()
    validation = manifest.validation()
    if validation:
        return list(validation)
    held = read_set(folder).samples
    if not may_draw and not folder.study.exists():
        raise CalibrationError(
            f"{folder.study} is missing, and says on which images the thresholds in force were chosen",
            hint=f"put it back, or set others first: kizu evaluate --model {folder.path} --compute-thresholds",
        )
    cut = load_or_draw(folder.study, manifest, rng_for(seed, "study"), seed=seed)
    return [*held, *(s for s in cut.validation() if s.label == "defect")]


def choose_thresholds(
    scorer: Pipeline,
    samples: Sequence[Sample],
    placement: PlacementConfig,
    metric: PixelMetric,
    *,
    held: SetOf | None = None,
    otherwise: Callable[[], Thresholds],
    work: Work = Work(),
) -> Chosen:
    """The thresholds with the highest F1 of images, and `metric` of pixels, on labelled samples.

    Without drawn flaws the pixel threshold and the zones are those of `otherwise`; with them one pixel threshold holds
    everywhere. `held`: the good images that set thresholds otherwise; those that were fitted on are scored as left out
    of the fit. Raises `CalibrationError` without good or without defective images.
    """
    with predict_samples(scorer, samples, placement, stage="validation", work=work) as found:
        if held is not None and held.left_out:
            _leave_out(scorer, found, held)
        image = f1_max(found.scores, found.defective, split=Split.VALIDATION)
        pixel = _best_pixel_threshold(found, metric)
        shown = fit_probability(found.defective, found.scores)
    if pixel is not None:
        return Chosen(Thresholds(image=image, pixel=pixel), shown, len(samples))
    return Chosen(otherwise().model_copy(update={"image": image}), shown, len(samples))


def _leave_out(scorer: Pipeline, found: Predictions, held: SetOf) -> None:
    """Put in place of what was found of images that were fitted on what a fit without their groups would say."""
    rows = {sample.id: row for row, sample in enumerate(found.samples)}
    among = [sample for sample in held.samples if sample.id in rows]  # none of a validation split
    known = [rows[sample.id] for sample in among]
    done = 0
    for images, groups in place_groups(among, found.placement, [held.groups[sample] for sample in among]):
        scored = scorer.leave_out(images, groups)
        here = known[done : done + len(images)]
        found.scores[here], found.net_maps[here] = scored.image, scored.maps
        done += len(images)


def _best_pixel_threshold(found: Predictions, metric: PixelMetric) -> Threshold | None:
    if not found.has_drawn_flaws:
        return None
    best = oracle_f1_of(rank_pixels(found.native_maps(), found.native_masks()).ranking)
    return Threshold(
        value=best.threshold, rule=_PIXEL_RULES[metric], split=Split.VALIDATION, count=len(found.mapped)
    )
