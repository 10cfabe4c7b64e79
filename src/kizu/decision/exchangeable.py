"""Do good pictures that were fitted on, and good ones that were not, score as if drawn from one hat?

That is what every promise about false alarms assumes. Scores of calibration pictures are compared with those that
fitted pictures get from a fit that leaves them (and their groups) out: of exchangeable pictures both are drawn alike,
so their ranks are mixed (Mann and Whitney, On a test of whether one of two random variables is stochastically larger
than the other, 1947).
"""

from dataclasses import dataclass
from math import comb
from typing import Literal

import numpy as np
from scipy import stats

from kizu.core.errors import CalibrationError
from kizu.core.types import F32, F64

LEVEL = 0.01
"""A warning that is wrong in one of a hundred sets."""
_SMALL = 8
"""The normal law holds where both samples are larger (as `scipy.stats.mannwhitneyu` takes it)."""
_DRAWS = 9_999


@dataclass(frozen=True, slots=True)
class Exchangeability:
    """Two samples of scores, compared."""

    p_value: float
    """The chance of ranks at least so uneven, were they drawn alike; two-sided"""
    higher: float
    """The part of all (held out, fitted) pairs in which the held-out one scores higher, ties as halves; .5: alike"""
    fitted_count: int
    held_count: int

    @property
    def least_p_value(self) -> float:
        """No two samples of these sizes give a lower one."""
        return min(1.0, 2 / comb(self.fitted_count + self.held_count, self.held_count))

    def can_tell(self, level: float = LEVEL) -> bool:
        """Whether samples of these sizes could be found different at all."""
        return self.least_p_value <= level

    def warning(self, level: float = LEVEL) -> str | None:
        """What to say of samples that differ; None where they need not, which is no proof that they are alike."""
        if self.p_value > level:
            return None
        which = "higher" if self.higher > 0.5 else "lower"
        return (
            f"the {self.held_count} held-out good images do not score like the {self.fitted_count} others would if they"
            f" had been left out: {which} in {max(self.higher, 1 - self.higher):.0%} of pairs (p = {self.p_value:.2g}),"
            " so no promise about false alarms holds; look for images of one part on two sides (kizu data check), or"
            " for images that were taken differently"
        )


def compare_samples(fitted: F32 | F64, held: F32 | F64, *, rng: np.random.Generator) -> Exchangeability:
    """Mann-Whitney of scores (n,) that fitted pictures get when left out, and those (m,) of held-out ones.

    One score per independent group, where there are groups: of siblings only one counts. Exact without ties in small
    samples, by 9,999 permutations from `rng` with ties there, by the normal law in large ones. Raises
    `CalibrationError` for an empty sample and for scores that are no numbers.
    """
    one, other = np.asarray(fitted, np.float64).ravel(), np.asarray(held, np.float64).ravel()
    if not one.size or not other.size:
        raise CalibrationError(
            f"{one.size} fitted and {other.size} held-out scores cannot be compared",
            hint="at least one of each",
        )
    if not np.isfinite([one.sum(), other.sum()]).all():
        raise CalibrationError("scores that are not finite numbers cannot be compared")
    method: Literal["asymptotic", "exact"] | stats.PermutationMethod = "asymptotic"
    if min(one.size, other.size) <= _SMALL:
        ties = len(np.unique(np.concatenate([one, other]))) < one.size + other.size
        method = stats.PermutationMethod(n_resamples=_DRAWS, rng=rng) if ties else "exact"
    found = stats.mannwhitneyu(other, one, alternative="two-sided", method=method)
    return Exchangeability(
        p_value=float(min(1.0, found.pvalue)),
        higher=float(found.statistic) / (one.size * other.size),
        fitted_count=one.size,
        held_count=other.size,
    )
