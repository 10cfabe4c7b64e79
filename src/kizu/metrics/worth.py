"""How many independent yes-or-no decisions a value in [0, 1] is worth, when images of two kinds have made it.

The variance of a mean over images comes from the images; near 0 and 1 nearly all are alike and their variance says
nothing. So each kind is joined by `PRIOR_IMAGES` with a variance that is assumed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import stdtrit

from kizu.core.types import F64
from kizu.metrics.intervals import score_limits

PRIOR_IMAGES = 4.0
"""Chosen with the prior shares of AUROC and AUPRC by coverage over sizes and shapes of scores."""


@dataclass(frozen=True, slots=True)
class Kind:
    """The K good or the K defective images behind a value."""

    moved: F64
    """(K,) the influence of each, up to a constant: the variance of their mean is this kind's part of the value's."""
    lost: F64
    """(K,) what each takes from the value, in any unit: which share of the loss is its own."""
    prior: float
    """The assumed variance of their mean, as a part of value * (1 - value)."""


@dataclass(frozen=True, slots=True)
class Worth:
    """A value with its uncertainty."""

    value: float
    decisions: float
    """Yes-or-no decisions that would have the same variance."""
    freedom: float
    """Degrees of freedom of this variance (Satterthwaite 1946)."""

    def limits(self, level: float, *, from_one_side: bool = False) -> tuple[float, float]:
        """Lowest and highest. `from_one_side`: at 0 and 1 there is one limit only: all misses may be on its side."""
        is_end = from_one_side and self.value in (0, 1)
        quantile = float(stdtrit(self.freedom, level if is_end else (1 + level) / 2))
        return score_limits(self.value, self.decisions, quantile)


def weigh(value: float, kinds: Sequence[Kind]) -> Worth:
    """The variance as measured and as assumed, weighted by the images that show it and by `PRIOR_IMAGES`."""
    spread = value * (1 - value)
    shares, weights = [], []
    for kind in kinds:
        total = float(kind.lost.sum())
        # Over how many images the loss is spread: one that loses all alone says little of the variance.
        seen = total**2 / float((kind.lost**2).sum()) if total > 0 else 0.0
        measured = float(kind.moved.var(ddof=1)) / kind.moved.size / spread if spread > 0 else 0.0
        weights.append(seen + PRIOR_IMAGES)
        shares.append((seen * measured + PRIOR_IMAGES * kind.prior) / weights[-1])
    whole = sum(shares)
    freedom = whole**2 / sum(share**2 / weight for share, weight in zip(shares, weights, strict=True))
    return Worth(value, 1 / whole, freedom)
