"""The good images that a run held out, and what thresholds they set for the model that is in force."""

from collections.abc import Sequence

import numpy as np

from kizu.bundles.manifest import BundleManifest
from kizu.core.errors import DataError
from kizu.core.randomness import rng_for
from kizu.core.types import Scorer
from kizu.core.work import Work
from kizu.data.manifest import Sample, read_manifest
from kizu.decision.calibration import CalibrationConfig, Thresholds, good_thresholds, keep_held_out
from kizu.lab.predictions import predict_samples
from kizu.runs.folder import RunFolder
from kizu.runs.versions import ADDED, read_history, version_folder


def read_sides(folder: RunFolder, version: int | None = None) -> tuple[list[Sample], list[Sample]]:
    """The samples that a version was fitted on, those of updates last, and those the run held out.

    `version`: None for the one in force.
    """
    meta = folder.read_meta()
    by_id = {sample.id: sample for sample in read_manifest(folder.manifest).samples}
    try:
        fit, held = ([by_id[name] for name in side] for side in (meta.fit, meta.calibration))
    except KeyError as error:
        raise DataError(f"{folder.meta} names {error}, which is not in {folder.manifest}") from error
    return [*fit, *list_added(folder, version)], held


def list_added(folder: RunFolder, version: int | None = None) -> list[Sample]:
    """What the updates that lead to a version, None for the one in force, have added to the fit."""
    history = read_history(folder.path)
    return [
        sample
        for number in history.lineage(version)
        if number in history.made("update")
        for sample in read_manifest(version_folder(folder.path, number).with_name(ADDED)).samples
    ]


def set_held_out_thresholds(
    scorer: Scorer,
    held: Sequence[Sample],
    bundle: BundleManifest,
    config: CalibrationConfig,
    *,
    validation: Sequence[Sample] = (),
    work: Work = Work(),
) -> Thresholds:
    """By the rules of `config`, on good images that `scorer` was not fitted on; labelled `validation` images serve the
    rules that want them. Raises `CalibrationError` where these cannot support a rule.
    """
    placement = bundle.placement
    labelled = None
    if validation:
        with predict_samples(
            scorer, validation, placement, with_masks=False, stage="validation", work=work
        ) as found:
            labelled = found.scores, np.array([sample.label == "defect" for sample in validation])
    with predict_samples(scorer, held, placement, with_masks=False, stage="calibration", work=work) as found:
        seen = keep_held_out(config, found.scores, found.net_maps, rng_for(bundle.seed, "pixels"))
        return good_thresholds(config, seen, validation=labelled)
