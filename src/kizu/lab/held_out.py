"""The good images that a run held out, and what thresholds they set for the model that is in force."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kizu.bundles.manifest import BundleManifest
from kizu.core.errors import CalibrationError, DataError
from kizu.core.randomness import rng_for
from kizu.core.work import Work
from kizu.data.manifest import Manifest, Sample, read_manifest
from kizu.data.splits import blocks_of
from kizu.decision.calibration import CalibrationConfig, HeldOut, Thresholds, good_thresholds, keep_held_out
from kizu.lab.fit import score_left_out
from kizu.lab.predictions import predict_samples
from kizu.lab.scheme import place_groups
from kizu.pipeline.opened import Pipeline
from kizu.runs.contents import RunMeta
from kizu.runs.folder import RunFolder
from kizu.runs.versions import ADDED, read_history, version_folder


def read_sides(folder: RunFolder, version: int | None = None) -> tuple[list[Sample], list[Sample]]:
    """The samples that a version was fitted on, those of updates last, and those the run held out.

    `version`: None for the one in force.
    """
    fit, held = _trained_sides(folder, folder.read_meta(), read_manifest(folder.manifest))
    return [*fit, *list_added(folder, version)], held


def _trained_sides(folder: RunFolder, meta: RunMeta, manifest: Manifest) -> tuple[list[Sample], list[Sample]]:
    """The samples that the training was fitted on, and those that set its thresholds."""
    by_id = {sample.id: sample for sample in manifest.samples}
    try:
        fit, held = ([by_id[name] for name in side] for side in (meta.fit, meta.calibration))
    except KeyError as error:
        raise DataError(f"{folder.meta} names {error}, which is not in {folder.manifest}") from error
    return fit, held


def list_added(folder: RunFolder, version: int | None = None) -> list[Sample]:
    """What the updates that lead to a version, None for the one in force, have added to the fit."""
    history = read_history(folder.path)
    return [
        sample
        for number in history.lineage(version)
        if number in history.made("update")
        for sample in read_manifest(version_folder(folder.path, number).with_name(ADDED)).samples
    ]


@dataclass(frozen=True, slots=True)
class SetOf:
    """The good images that set a run's thresholds."""

    samples: tuple[Sample, ...]
    groups: Mapping[Sample, int]
    """The number of those that a sample may not be parted from, as the fit was told them."""
    left_out: bool
    """They were fitted on, and each is scored as by a fit without its group."""

    @property
    def numbers(self) -> list[int]:
        """The groups of the samples, in their order."""
        return [self.groups[sample] for sample in self.samples]


def read_set(folder: RunFolder) -> SetOf:
    """Of a run. Raises `CalibrationError` where all were fitted on, and no fit without some of them is known."""
    meta, manifest = folder.read_meta(), read_manifest(folder.manifest)
    fit, held = _trained_sides(folder, meta, manifest)
    if not held or (not meta.left_out and {sample.id for sample in held} <= {sample.id for sample in fit}):
        raise CalibrationError(
            "every good image was fitted on, so none can set a threshold now",
            hint="train anew with this rule, and without folds",
        )
    good = manifest.train_good()
    groups = dict(zip((sample.id for sample in good), blocks_of(good), strict=True))
    return SetOf(tuple(held), {sample: groups[sample.id] for sample in held}, meta.left_out)


def set_held_out_thresholds(
    scorer: Pipeline,
    held: SetOf,
    bundle: BundleManifest,
    config: CalibrationConfig,
    *,
    validation: Sequence[Sample] = (),
    work: Work = Work(),
) -> Thresholds:
    """By the rules of `config`, on the good images that set thresholds; labelled `validation` images serve the
    rules that want them. Raises `CalibrationError` where these cannot support a rule.
    """
    placement = bundle.placement
    labelled = None
    if validation:
        with predict_samples(
            scorer, validation, placement, with_masks=False, stage="validation", work=work
        ) as found:
            labelled = found.scores, np.array([sample.label == "defect" for sample in validation])
    return good_thresholds(config, score_set(scorer, held, bundle, config, work=work), validation=labelled)


def score_set(
    scorer: Pipeline, held: SetOf, bundle: BundleManifest, config: CalibrationConfig, *, work: Work = Work()
) -> HeldOut:
    """What the rules of `config` look at, of the good images that set thresholds, in their order."""
    placement, rng = bundle.placement, rng_for(bundle.seed, "pixels")
    if held.left_out:
        batches = place_groups(held.samples, placement, held.numbers)
        scored = ((scorer.leave_out(images, groups), groups) for images, groups in batches)
        return score_left_out(
            config, scored, rng, count=len(held.samples), monotone=scorer.detector.monotone, work=work
        )
    with predict_samples(
        scorer, held.samples, placement, with_masks=False, stage="calibration", work=work
    ) as found:
        return keep_held_out(config, found.scores, found.net_maps, rng, groups=np.array(held.numbers))
