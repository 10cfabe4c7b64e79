"""The scores that a run's thresholds can be set on: those that were kept, and where none were, those of the held-out
images scored again."""

from dataclasses import dataclass

import numpy as np

from kizu.bundles.manifest import Bundle
from kizu.bundles.store import read_fit_hash, read_hash
from kizu.core.types import F32, Bool
from kizu.core.work import Work
from kizu.decision.calibration import CalibrationConfig, HeldOut
from kizu.lab.held_out import read_set, score_set
from kizu.pipeline.opened import open_pipeline
from kizu.runs.folder import RunFolder, read_predictions
from kizu.runs.scores import CalibrationScores, list_labelled, read_calibration
from kizu.runs.versions import read_history, version_folder


@dataclass(frozen=True, slots=True)
class Labelled:
    """Scores of images whose truth is known."""

    scores: F32
    """(N,)"""
    defective: Bool
    """(N,)"""


def read_or_score(folder: RunFolder, bundle: Bundle, work: Work = Work()) -> CalibrationScores:
    """Of the good images that set the thresholds of `bundle`, which is in force. Nothing is written.

    Raises as `score_held_out` where none were kept.
    """
    found = read_calibration(folder.path, bundle.manifest.version)
    if found is not None:
        return found
    config = bundle.manifest.calibration or CalibrationConfig()
    scores, _ = score_held_out(folder, bundle, config, work)
    work.note(f"no scores of {folder.path} were kept: {len(scores.scores)} held-out images were scored again")
    return scores


def score_held_out(
    folder: RunFolder, bundle: Bundle, config: CalibrationConfig, work: Work = Work()
) -> tuple[CalibrationScores, HeldOut]:
    """The good images that the run held out, scored by `bundle`, which is in force; and what the rules of `config` look
    at beside. Raises as `read_set`."""
    held = read_set(folder)
    seen = score_set(open_pipeline(bundle, work), held, bundle.manifest, config, work=work)
    return CalibrationScores.of(read_fit_hash(folder.bundle), held.samples, seen), seen


def list_same_model(folder: RunFolder) -> dict[str, int]:
    """The hashes of the versions that give the same scores as the one in force, and their numbers."""
    history = read_history(folder.path)
    model = history.model_of(history.in_force)
    numbers = {1, history.in_force, *(step.version for step in history.steps)}
    places = {n: version_folder(folder.path, n) for n in numbers if history.model_of(n) == model}
    return {read_hash(place): number for number, place in places.items() if place.is_dir()}


def read_test_scores(folder: RunFolder) -> Labelled | None:
    """What `evaluate` wrote of the run's own test images, to look at and never to set anything by; None where it has
    not measured this model."""
    metrics = folder.read_metrics()
    if metrics is None or metrics.bundle_sha256 not in list_same_model(folder):
        return None
    rows = [row for row in read_predictions(folder.predictions) if row.gt_label is not None]
    return Labelled(
        np.array([row.pred_score for row in rows], np.float32),
        np.array([row.gt_label == "defect" for row in rows], np.bool_),
    )


def read_chosen_scores(folder: RunFolder) -> Labelled | None:
    """The labelled images of a file that thresholds of this model were chosen on before, each once, the latest version
    of those that have any; None: none were."""
    for number in sorted(list_same_model(folder).values(), reverse=True):
        rows = list_labelled(folder.path, number)
        if rows:
            return Labelled(
                np.array([row.score for row in rows], np.float32),
                np.array([row.label == "defect" for row in rows], np.bool_),
            )
    return None
