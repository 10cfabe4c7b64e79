"""One normal distribution for all vectors, its covariance shrunk towards a multiple of the identity.

With fewer vectors than a few times their dimension the sample covariance is noisy or cannot be inverted. Shrinking
mixes it with the mean variance; how much is told by the data: Ledoit & Wolf, "A well-conditioned estimator for
large-dimensional covariance matrices" (J. Multivariate Analysis 88, 2004), which supposes no distribution, and OAS,
Chen, Wiesel, Eldar & Hero, "Shrinkage algorithms for MMSE covariance estimation" (IEEE Trans. Signal Processing 58,
2010), which supposes a normal one.
"""

from typing import Literal

import numpy as np

from kizu.core.errors import ConfigError
from kizu.core.threads import one_blas_thread
from kizu.core.types import F64
from kizu.scoring.conditioning import inverse_factor, longest
from kizu.scoring.gaussian import Gaussian
from kizu.scoring.moments import Moments

Shrinkage = Literal["ledoit_wolf", "oas", "none"]
"""Which formula says how much."""


def shrinkage_of(moments: Moments, rule: Shrinkage) -> float:
    """The weight of the identity, 0 .. 1; 1 where the vectors have no spread or the same in every direction."""
    if rule == "none":
        return 0.0
    covariance = moments.covariance
    dims, count = len(covariance), moments.count
    square = float(np.sum(covariance * covariance))  # |S|^2 = tr(S^2)
    trace = float(np.trace(covariance))
    distance = square - trace**2 / dims  # of S from the mean variance times the identity, squared
    if not distance > 0:
        return 1.0
    if rule == "ledoit_wolf":  # lemmas 3.2 to 3.4: the expected error of S over its distance
        weight = (moments.quartic / count - square) / (count * distance)
    else:  # equation 23, without its 2 / dims, as scikit-learn has it
        weight = (square + trace**2) / ((count + 1) * distance)
    return min(max(weight, 0.0), 1.0)


def shrink_covariance(moments: Moments, rule: Shrinkage) -> F64:
    """(D, D): (1 - weight) S + weight * mean variance * I."""
    weight = shrinkage_of(moments, rule)
    covariance = moments.covariance
    identity = np.eye(len(covariance)) * (np.trace(covariance) / len(covariance))
    shrunk: F64 = (1 - weight) * covariance + weight * identity
    return shrunk


def fit_shrunk_gaussian(moments: Moments, rule: Shrinkage, epsilon: float) -> Gaussian:
    """A Gaussian of one position, P = 1, with the shrunk covariance + `epsilon` * max(1, mean variance) * I.

    What is added matters only where shrinking leaves the covariance singular: one vector, two (for which Ledoit and
    Wolf's formula gives 0), equal ones. Raises `ConfigError` for an epsilon that is not positive, or too
    small for float32.
    """
    if not epsilon > 0:
        raise ConfigError(f"epsilon must be positive, not {epsilon}")
    covariance = shrink_covariance(moments, rule)
    unit = max(1.0, float(np.trace(covariance)) / len(covariance))
    covariance += epsilon * unit * np.eye(len(covariance))
    size = longest(moments.mean[None], np.diagonal(covariance)[None])
    with one_blas_thread():
        whitener = inverse_factor(covariance, size, epsilon, unit=unit)
    return Gaussian(moments.mean.astype(np.float32)[None], whitener.astype(np.float32)[None])
