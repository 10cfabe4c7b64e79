"""What a threshold promised of good pictures, beside what good pictures that it never saw measured.

Two laws answer two questions. How many of m new good pictures does a threshold reject that keeps its promise? Over the
draw of the calibration pictures too, that number is beta-binomial (Vovk 2012, "Conditional validity of inductive
conformal predictors"): an unlucky draw is allowed. And what is the rate of this very threshold? The exact binomial
interval tells (Clopper and Pearson 1934), in which that draw has no part.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, Self

import numpy as np
from scipy.special import betainc, betaincinv, betaln, gammaln

from kizu.core.config import Config
from kizu.core.types import Bool
from kizu.decision.thresholds import Threshold
from kizu.decision.zones import ZoneThresholds

CHANCE = 0.05
"""A promise is called broken where, were it kept, so many false alarms or more had less than this probability."""
LEVEL = 0.95
"""Of the intervals."""
MOST_NEEDED = 1_000_000
"""More pictures than this are not asked of anybody."""

Answer = Literal["kept", "not refuted", "broken"]
Kind = Literal["image", "pixel"]
"""What a good picture is promised not to be: NG, or shown with any region."""
_PROMISED: Mapping[Kind, str] = {"image": "false alarms at most", "pixel": "a region in at most"}
_MEASURED: Mapping[Kind, str] = {"image": "rejected", "pixel": "show a region"}


class Promise(Config):
    """At most this part of new good pictures is rejected: how it is meant, and what it rests on."""

    rate: float
    confidence: float | None = None
    """None: on average over calibration sets; else with this probability for the very threshold that was set."""
    rests_on: int
    """So many calibration pictures, or groups of them, that count as independent."""
    of_groups: bool = False
    out_of_fold: bool = False
    """The scores were of fits that had not seen what they scored. The law below is that of held-out scores of the
    model that runs; that scores out of fold spread no wider is assumed, as theory bounds only their mean."""

    @classmethod
    def of(cls, threshold: Threshold | ZoneThresholds) -> Self | None:
        """None: the threshold promises nothing."""
        first = threshold.zones[0] if isinstance(threshold, ZoneThresholds) else threshold
        if threshold.false_alarm_rate is None:
            return None
        return cls(
            rate=threshold.false_alarm_rate,
            confidence=first.confidence,
            rests_on=first.groups or first.count,
            of_groups=first.groups is not None,
            out_of_fold=first.rule.folds is not None,
        )

    @property
    def law(self) -> tuple[float, float]:
        """(a, b) of the Beta distribution that the true rate has over calibration sets.

        Above the r-th smallest of n scores lies Beta(n + 1 - r, r) of continuous ones, and r is the least that keeps
        the promise: n + 1 - r is floor((n + 1) rate), or the most that holds with the confidence.
        """
        n = self.rests_on
        if self.confidence is None:
            beyond = math.floor((n + 1) * self.rate + 1e-9)
        else:
            above = np.arange(1, n + 1)
            holds = betainc(above, n + 1 - above, self.rate) >= self.confidence - 1e-12
            beyond = int(np.count_nonzero(holds))
        beyond = min(max(beyond, 1), n)
        return float(beyond), float(n + 1 - beyond)

    def tail(self, rejected: int, count: int) -> float:
        """The probability that of `count` new good pictures so many or more are rejected, were the promise kept.

        On average: over the draw of calibration pictures too. With confidence: the larger of that and the binomial one
        at the promised rate, so that neither an allowed unlucky draw nor a rate within the promise is called broken.
        """
        found = beta_binomial_tail(rejected, count, *self.law)
        if self.confidence is None:
            return found
        return max(found, binomial_tail(rejected, count, self.rate))

    def rate_of(self, part: float) -> float:
        """The rate below which this part of the thresholds stay that are set so."""
        return float(betaincinv(*self.law, part))

    def describe(self, kind: Kind = "image") -> str:
        """A few words for a person."""
        of = "groups" if self.of_groups else "images"
        how = (
            "on average over calibration sets"
            if self.confidence is None
            else f"with {self.confidence:.0%} confidence"
        )
        fold = " out of fold" if self.out_of_fold else ""
        return (
            f"{_PROMISED[kind]} {percent(self.rate)} of good parts, {how} ({self.rests_on} {of}{fold};"
            f" nine in ten such thresholds stay below {percent(self.rate_of(0.9))})"
        )


class Measured(Config):
    """False alarms among good pictures that a threshold never saw."""

    pictures: int
    rejected: int
    groups: int
    """Independent ones among them: copies and members of a group count as one."""
    rejected_groups: float
    """Over groups, the part of its pictures that are rejected, added up."""

    @classmethod
    def of(cls, rejected: Bool, groups: Sequence[str] | None = None) -> Self:
        """`rejected`: (m,) of good pictures. `groups`: each one's; None: each is one of its own."""
        number: np.ndarray = np.arange(len(rejected))
        if groups is not None and len(groups) > 0:
            number = np.unique(np.array(groups, dtype=object).astype(str), return_inverse=True)[1]
        sizes = np.bincount(number) if len(number) else np.zeros(0)
        parts = np.bincount(number, weights=rejected.astype(float)) / sizes if len(number) else sizes
        return cls(
            pictures=len(rejected),
            rejected=int(np.count_nonzero(rejected)),
            groups=len(sizes),
            # A sum of thirds must not fall short of a whole number by a last bit.
            rejected_groups=round(float(parts.sum()), 9),
        )

    @property
    def rate(self) -> float:
        """Of a picture of a new group."""
        return self.rejected_groups / self.groups

    @property
    def interval(self) -> tuple[float, float]:
        """Of the true rate, by Clopper and Pearson over groups; what is not whole is rounded outwards."""
        low = clopper_pearson(math.floor(self.rejected_groups), self.groups)[0]
        return low, clopper_pearson(math.ceil(self.rejected_groups), self.groups)[1]

    def describe(self, kind: Kind = "image") -> str:
        """A few words for a person."""
        if self.pictures == 0:
            return "no good picture"
        low, high = self.interval
        span = f"95 % interval {percent(low)} to {percent(high)}"
        told = f"{self.rejected} of {self.pictures} good pictures {_MEASURED[kind]}"
        if self.groups < self.pictures:
            return f"{told}; by their {self.groups} groups {percent(self.rate)} ({span} over groups)"
        return f"{told}: {percent(self.rate)} ({span}, each picture taken as independent)"


class Check(Config):
    """Both beside each other."""

    kind: Kind
    promise: Promise | None
    measured: Measured
    answer: Answer | None
    """None: nothing was promised, or nothing measured."""
    probability: float | None = None
    """Of so many false alarms or more, were the promise kept; None with the answer."""
    needed: int | None = None
    """So many independent good pictures, rejected at the measured rate, would show that the promise is kept; None: no
    reasonable number, or it is known already."""
    met: int = 0
    """So many of the pictures that were measured are siblings of such as the model has seen, and flatter it."""
    causes: tuple[str, ...] = ()
    """Why it may be broken, for a person."""

    @property
    def is_exceeded(self) -> bool:
        """The rate of this very threshold is above the promised one, whatever an unlucky draw may excuse."""
        if self.promise is None or self.answer is None:
            return False
        return self.answer == "broken" or self.measured.interval[0] > self.promise.rate

    def flattered_by(self, met: int) -> Self:
        """The same, when so many of the pictures are siblings of what the model has seen: these show nothing kept."""
        answer = "not refuted" if met and self.answer == "kept" else self.answer
        return self.model_copy(update={"met": met, "answer": answer})

    def rows(self) -> list[tuple[str, str]]:
        """Promised, measured, verdict, likely causes: a name and a sentence for each."""
        promised = "nothing" if self.promise is None else self.promise.describe(self.kind)
        rows = [("promised", promised), ("measured", self.measured.describe(self.kind))]
        return [*rows, ("verdict", self._verdict()), *(("likely", cause) for cause in self.causes)]

    def describe(self) -> str:
        """All of it in one line."""
        return "; ".join(f"{name}: {said}" for name, said in self.rows())

    def _verdict(self) -> str:
        promise, probability = self.promise, self.probability
        if promise is None:
            return "none: nothing was promised of this threshold"
        if self.answer is None or probability is None:
            return "none: nothing was measured"
        if self.answer == "kept":
            return "kept: the whole interval lies within the promise"
        if self.answer == "broken":
            return f"broken: were it kept, so many or more would come with probability {chance(probability)}"
        return f"not refuted: {self._why_open(promise, probability)}"

    def _why_open(self, promise: Promise, probability: float) -> str:
        if self.met and self.measured.rate <= promise.rate:
            return f"{self.met} of these pictures are of groups that the model has seen, so their rate may be too low"
        needed = "" if self.needed is None else f"; {self.needed} at this rate would show that it is kept"
        if self.is_exceeded:
            excuse = f"an unlucky draw of calibration pictures gives as much with probability {chance(probability)}"
            return f"this very threshold does reject more than promised, but {excuse}"
        if self.measured.rate > promise.rate:
            return f"more than promised, but chance gives as much with probability {chance(probability)}"
        return f"too few pictures to tell{needed}"


def check_promise(threshold: Threshold | ZoneThresholds, measured: Measured, kind: Kind = "image") -> Check:
    """What was promised beside what was measured, and whether that refutes it.

    `broken`: `Promise.tail` is below `CHANCE`. `kept`: the upper end of the interval is within the promise. Between
    them nothing is shown, and it says so.
    """
    promise = Promise.of(threshold)
    if promise is None or measured.groups == 0:
        return Check(kind=kind, promise=promise, measured=measured, answer=None)
    probability = promise.tail(math.floor(measured.rejected_groups), measured.groups)
    answer: Answer = "not refuted"
    if probability < CHANCE:
        answer = "broken"
    elif measured.interval[1] <= promise.rate:
        answer = "kept"
    return Check(
        kind=kind,
        promise=promise,
        measured=measured,
        answer=answer,
        probability=probability,
        needed=needed_to_confirm(promise.rate, measured.rate) if answer == "not refuted" else None,
    )


def needed_to_confirm(promised: float, rate: float) -> int | None:
    """How many independent good pictures, of which `rate` are rejected, have an interval that ends within `promised`.

    None: the rate is not below the promise, or more than `MOST_NEEDED` would be needed.
    """

    def is_enough(count: int) -> bool:
        return _upper(math.ceil(rate * count - 1e-9), count) <= promised

    if rate >= promised or not is_enough(MOST_NEEDED):
        return None
    low, high = 0, MOST_NEEDED  # low is too few, high enough
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


def clopper_pearson(hits: int, count: int, level: float = LEVEL) -> tuple[float, float]:
    """The exact interval of a binomial rate: at least `level` of them hold it, whatever it is."""
    beyond = (1 - level) / 2
    low = 0.0 if hits == 0 else float(betaincinv(hits, count - hits + 1, beyond))
    return low, _upper(hits, count, beyond)


def binomial_tail(hits: int, count: int, rate: float) -> float:
    """P(X >= hits) of a binomial number."""
    return 1.0 if hits <= 0 else float(betainc(hits, count - hits + 1, rate))


def beta_binomial_tail(hits: int, count: int, a: float, b: float) -> float:
    """P(X >= hits) of a binomial number of `count` whose rate is Beta(a, b) distributed."""
    if hits <= 0:
        return 1.0
    x = np.arange(hits, count + 1, dtype=np.float64)
    ways = gammaln(count + 1) - gammaln(x + 1) - gammaln(count - x + 1)
    terms = np.exp(ways + betaln(x + a, count - x + b) - betaln(a, b))
    return min(1.0, float(terms.sum()))


def percent(rate: float) -> str:
    """ "3.03 %" """
    return f"{100 * rate:.3g} %"


def chance(probability: float) -> str:
    """Three digits; nothing is said to be impossible that was computed to underflow."""
    return "below 1e-9" if probability < 1e-9 else f"{probability:.2g}"


def _upper(hits: int, count: int, beyond: float = (1 - LEVEL) / 2) -> float:
    return 1.0 if hits >= count else float(betaincinv(hits + 1, count - hits, 1 - beyond))
