"""The probability that is made of a score for people to read, measured apart from the score."""

from dataclasses import dataclass

from kizu.bundles.manifest import Bundle
from kizu.core.types import F64, Bool
from kizu.metrics.probability import (
    ProbabilityMap,
    Reliability,
    brier,
    expected_calibration_error,
    reliability,
)
from kizu.runs.contents import ProbabilityFile
from kizu.runs.folder import RunFolder
from kizu.runs.versions import read_history


@dataclass(frozen=True, slots=True)
class ShownProbability:
    """How well it holds."""

    ece: float
    """Expected calibration error."""
    brier: float
    reliability: Reliability


def is_of_model(folder: RunFolder, bundle: Bundle, version: int | None) -> bool:
    """Whether `bundle`, which was read from `folder`, gives the scores that `version` gives, whatever its thresholds.

    None: of a time when nobody noted a version, and taken to be.
    """
    history = read_history(folder.path)
    return version is None or history.model_of(version) == history.model_of(bundle.manifest.version)


def measure_shown(learned: ProbabilityFile, defective: Bool, scores: F64) -> ShownProbability:
    """On images that it was not learned on: labels (N,), raw scores (N,)."""
    probabilities = ProbabilityMap(learned.slope, learned.offset)(scores)
    return ShownProbability(
        ece=expected_calibration_error(defective, probabilities),
        brier=brier(defective, probabilities),
        reliability=reliability(defective, probabilities),
    )
