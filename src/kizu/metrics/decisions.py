"""What a threshold decides: counts of the four outcomes and the rates made of them."""

from dataclasses import dataclass

import numpy as np

from kizu.core.errors import ScoreError
from kizu.core.types import Bool
from kizu.metrics.ranking import Reals, pair
from kizu.metrics.undefined import Undefined


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts of decisions; "positive" is NG. Rates are fractions in [0, 1] or raise `Undefined`.

    Precision, F1 and IoU need both kinds of sample: with one kind alone they can be perfect by default.
    """

    tp: int
    fp: int
    tn: int
    fn: int
    noun: str = "samples"  # what is counted, for the reason when a rate is undefined

    def __add__(self, other: "Confusion") -> "Confusion":
        return Confusion(
            self.tp + other.tp, self.fp + other.fp, self.tn + other.tn, self.fn + other.fn, self.noun
        )

    @property
    def defective(self) -> int:
        return self.tp + self.fn

    @property
    def good(self) -> int:
        return self.tn + self.fp

    @property
    def recall(self) -> float:
        """Defective samples that were rejected."""
        return self.tp / self._some(self.defective, "defective ")

    @property
    def escape_rate(self) -> float:
        """Defective samples that were passed."""
        return self.fn / self._some(self.defective, "defective ")

    @property
    def specificity(self) -> float:
        """Good samples that were passed."""
        return self.tn / self._some(self.good, "good ")

    @property
    def overkill_rate(self) -> float:
        """Good samples that were rejected."""
        return self.fp / self._some(self.good, "good ")

    @property
    def accuracy(self) -> float:
        """Samples that were decided rightly."""
        return (self.tp + self.tn) / self._some(self.defective + self.good, "")

    @property
    def precision(self) -> float:
        """Rejected samples that were defective."""
        self._require_both_kinds()
        return self.tp / self._some(self.tp + self.fp, "rejected ")

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 when nothing was found."""
        self._require_both_kinds()
        return 2 * self.tp / (2 * self.tp + self.fp + self.fn)

    @property
    def iou(self) -> float:
        """Intersection of defective and rejected over their union."""
        self._require_both_kinds()
        return self.tp / (self.tp + self.fp + self.fn)

    def _require_both_kinds(self) -> None:
        self._some(self.defective, "defective ")
        self._some(self.good, "good ")

    def _some(self, count: int, kind: str) -> int:
        if count == 0:
            raise Undefined(f"no {kind}{self.noun}")
        return count


def confusion(labels: Bool, scores: Reals, threshold: float | Reals, *, noun: str = "samples") -> Confusion:
    """Count decisions: NG when strictly above `threshold`. `labels` (N,) True = defective, raw `scores` (N,).

    `threshold`: one for all, or (N,) of the scores' precision.

    Raises `DataError` for arrays that do not match, `ScoreError` for a score that is not finite or a
    threshold that is nan.
    """
    labels, scores = pair(labels, scores)
    if np.isnan(threshold).any():
        raise ScoreError("the threshold is nan", hint="nan would silently pass every part")
    # A NumPy scalar keeps its width: a Python float would first be rounded to the scores' float32.
    rejected = scores > (threshold if isinstance(threshold, np.ndarray) else np.float64(threshold))
    tp = int(np.count_nonzero(rejected & labels))
    ng, defective = int(np.count_nonzero(rejected)), int(np.count_nonzero(labels))
    return Confusion(tp, ng - tp, labels.size - defective - (ng - tp), defective - tp, noun)
