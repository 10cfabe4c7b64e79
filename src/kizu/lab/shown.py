"""The probability that is made of a score for people to read, measured apart from the score."""

from dataclasses import dataclass

from kizu.core.types import F64, Bool
from kizu.metrics.probability import (
    ProbabilityMap,
    Reliability,
    brier,
    expected_calibration_error,
    reliability,
)
from kizu.runs.contents import ProbabilityFile


@dataclass(frozen=True, slots=True)
class ShownProbability:
    """How well it holds."""

    ece: float
    """Expected calibration error."""
    brier: float
    reliability: Reliability


def measure_shown(learned: ProbabilityFile, defective: Bool, scores: F64) -> ShownProbability:
    """On images that it was not learned on: labels (N,), raw scores (N,)."""
    probabilities = ProbabilityMap(learned.slope, learned.offset)(scores)
    return ShownProbability(
        ece=expected_calibration_error(defective, probabilities),
        brier=brier(defective, probabilities),
        reliability=reliability(defective, probabilities),
    )
