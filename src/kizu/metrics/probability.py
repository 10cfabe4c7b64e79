"""A probability to show to people. It is made last and never measured in place of the raw score."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log1p

from kizu.core.errors import ConfigError
from kizu.core.types import F64, Bool
from kizu.metrics.ranking import Reals, pair
from kizu.metrics.undefined import Undefined


@dataclass(frozen=True, slots=True)
class ProbabilityMap:
    """P(defective) = 1 / (1 + exp(-(slope * score + offset))), rising."""

    slope: float
    offset: float

    def __call__(self, scores: Reals) -> F64:
        """Raw scores (N,) -> probabilities (N,)."""
        probabilities: F64 = expit(self.slope * np.asarray(scores, np.float64) + self.offset)
        return probabilities


def fit_probability(labels: Bool, scores: Reals) -> ProbabilityMap:
    """Platt, "Probabilistic outputs for support vector machines", 1999, with his softened targets.

    `labels` (N,) True = defective, from validation images; with softened targets a perfect separation has a finite
    slope. Raises `Undefined` without both kinds.
    """
    labels, scores = pair(labels, scores)
    bad, good = int(labels.sum()), int((~labels).sum())
    if bad == 0 or good == 0:
        raise Undefined("no defective images" if bad == 0 else "no good images")
    targets = np.where(labels, (bad + 1) / (bad + 2), 1 / (good + 2))
    centre, scale = float(scores.mean()), float(scores.std()) or 1.0
    x = (scores.astype(np.float64) - centre) / scale

    def loss(parameters: F64) -> tuple[float, F64]:
        z = parameters[0] * x + parameters[1]
        residual = expit(z) - targets
        value = np.maximum(z, 0) + log1p(np.exp(-np.abs(z))) - targets * z
        return float(value.sum()), np.array([residual @ x, residual.sum()])

    found = minimize(
        loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(0, None), (None, None)]
    )
    slope, offset = found.x
    return ProbabilityMap(float(slope / scale), float(offset - slope * centre / scale))


@dataclass(frozen=True, slots=True)
class Reliability:
    """Bins of equal width over [0, 1]; empty ones are left out, B are left."""

    count: tuple[int, ...]
    predicted: tuple[float, ...]
    """Mean probability in each."""
    observed: tuple[float, ...]
    """Part that is defective."""


def reliability(labels: Bool, probabilities: Reals, bins: int = 10) -> Reliability:
    """The rows of a reliability diagram. `probabilities` (N,) in [0, 1]; raises `ConfigError` for others."""
    labels, probabilities = _check(labels, probabilities)
    if bins < 1:
        raise ConfigError(f"bins must be at least 1, got {bins}")
    which = np.minimum((probabilities * bins).astype(np.int64), bins - 1)
    held = [which == index for index in range(bins) if (which == index).any()]
    return Reliability(
        tuple(int(inside.sum()) for inside in held),
        tuple(float(probabilities[inside].mean()) for inside in held),
        tuple(float(labels[inside].mean()) for inside in held),
    )


def expected_calibration_error(labels: Bool, probabilities: Reals, bins: int = 10) -> float:
    """Mean distance between predicted and observed in `reliability`, weighted by count (Naeini et al. 2015)."""
    rows = reliability(labels, probabilities, bins)
    distances = np.abs(np.subtract(rows.predicted, rows.observed))
    return float(np.average(distances, weights=rows.count))


def brier(labels: Bool, probabilities: Reals) -> float:
    """Mean squared distance of the probability from what was true (Brier 1950)."""
    labels, probabilities = _check(labels, probabilities)
    return float(((probabilities - labels) ** 2).mean())


def _check(labels: Bool, probabilities: Reals) -> tuple[Bool, Reals]:
    labels, probabilities = pair(labels, probabilities)
    if labels.size == 0:
        raise Undefined("no images")
    if probabilities.min() < 0 or probabilities.max() > 1:
        raise ConfigError("probabilities lie in [0, 1]", hint="raw scores go through fit_probability first")
    return labels, probabilities
