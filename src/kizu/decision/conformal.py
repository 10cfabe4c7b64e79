"""Thresholds that promise a rate of false alarms, by the ranks of good scores."""

import math

import numpy as np
from scipy.special import betainc

from kizu.core.errors import CalibrationError
from kizu.core.split import Split
from kizu.core.types import F32, F64
from kizu.decision.cuts import just_above
from kizu.decision.good_scores import GoodScores
from kizu.decision.rules import Rule
from kizu.decision.thresholds import Threshold


def smallest_count(false_alarm_rate: float, factor: int = 1) -> int:
    """How many calibration images, or groups of them, a conformal threshold at this rate needs: n >= factor / a - 1
    (`GoodScores.factor`)."""
    return math.ceil(factor / false_alarm_rate - 1 - 1e-9)


def smallest_confident_count(false_alarm_rate: float, confidence: float) -> int:
    """The same for `conformal_confident`: n >= log(1 - confidence) / log(1 - a)."""
    return math.ceil(math.log(1 - confidence) / math.log(1 - false_alarm_rate) - 1e-9)


def conformal(
    scores: F32 | F64 | GoodScores, false_alarm_rate: float, *, split: Split = Split.CALIBRATION
) -> Threshold:
    """Just above the score up to which 1 - a of all good scores lie, and of one that is to come; each group counts as
    one (`GoodScores.rank_at`).

    Held-out scores: a new good image, whose group is exchangeable with theirs, exceeds it with probability at most `a`
    (split conformal prediction; Vovk et al. 2005, Bates et al. 2023, "Testing for outliers with conformal p-values").
    Monotone scores of left-out groups: the same, with the model that runs. Had the new image's group been learned too,
    each of theirs would be as a fit on so many groups has it, and all of them exchangeable (full conformal prediction;
    Vovk et al. 2005, over groups Lee, Barber & Willett 2023); as none can rise by what is learned besides, theirs lie
    no lower than that (docs/decisions/0029).
    Other scores of left-out groups: the cut is made at a / 2, for what is promised is twice that (jackknife+; Barber,
    Candes, Ramdas & Tibshirani 2021, "Predictive inference with the jackknife+"). The theory compares a new image with
    the fits that left a group out; that the fit on all scores it no higher than these is assumed. As a rule a / 2 comes
    true.
    Raises `CalibrationError` when n is too small for the rate, saying how many would do.
    """
    good = GoodScores.of(scores)
    if not 0 < false_alarm_rate < 1:
        raise CalibrationError(
            f"a false-alarm rate of {false_alarm_rate} is not between 0 and 1",
            hint="for one in a hundred, give 0.01",
        )
    rank = good.rank_at(false_alarm_rate / good.factor)
    if rank is None:
        what = "groups of calibration images" if good.are_grouped else "calibration images"
        least = smallest_count(false_alarm_rate, good.factor)
        raise CalibrationError(
            f"{good.count} {what} cannot support a false-alarm rate of {false_alarm_rate:g}",
            hint=f"use at least {least}, or raise the rate to {_not_below(tightest_rate(good, 0))}",
        )
    return _promised(good, rank, Rule(name="conformal", level=false_alarm_rate), false_alarm_rate, split)


def _promised(good: GoodScores, rank: int, rule: Rule, rate: float, split: Split) -> Threshold:
    folds = good.count if good.left_out else None
    return Threshold(
        value=just_above(good.values, rank),
        rule=rule.model_copy(update={"folds": folds}),
        split=split,
        count=len(good.values),
        groups=good.count if good.are_grouped else None,
        false_alarm_rate=rate,
        confidence=rule.confidence,
    )


def tightest_rate(good: GoodScores | int, target: float) -> float:
    """The target where so many calibration images, or groups, can support it, else the lowest rate that they can:
    `GoodScores.factor` / (n + 1); below 1."""
    count, factor = (good, 1) if isinstance(good, int) else (good.count, good.factor)
    return min(max(target, factor / (count + 1)), 1 - 1e-9)


SPARED_UP_TO = 0.05
"""More is not promised for the sake of one group that may be unlike the rest."""


def usual_rate(good: GoodScores | int, target: float) -> float:
    """What is promised where nobody asked for a rate: `target`, or the lowest at which one group of good images may lie
    above the threshold, 2 / (n + 1); the tightest where that would be more than `SPARED_UP_TO`.

    The highest of n scores is what one picture makes it: flawed, blurred or just unlike the rest, it would let flaws
    pass that all other scores would tell (docs/choices.md).
    """
    spared = 2 * tightest_rate(good, 0)
    return max(target, spared) if spared <= SPARED_UP_TO else tightest_rate(good, target)


def _not_below(rate: float) -> str:
    """About three digits, rounded up: a rate that is offered can be had."""
    digits = 2 - math.floor(math.log10(rate))
    return f"{math.ceil(rate * 10**digits - 1e-9) / 10**digits:.{digits}g}"


def conformal_confident(
    scores: F32 | F64 | GoodScores,
    false_alarm_rate: float,
    confidence: float = 0.95,
    *,
    split: Split = Split.CALIBRATION,
) -> Threshold:
    """Just above the lowest of n held-out good scores that at most `a` of good parts exceed, with the given confidence.

    The true rate above the r-th smallest score is Beta(n + 1 - r, r) distributed for continuous scores (Vovk 2012,
    "Conditional validity of inductive conformal predictors"), so r is the least with P(Beta <= a) >= confidence. The
    highest score is enough from n >= log(1 - confidence) / log(1 - a). Of a group its highest score counts. Raises
    `CalibrationError` for fewer, and for scores of left-out groups, of which nothing of the kind is known.
    """
    good = GoodScores.of(scores)
    for name, value in (("false-alarm rate", false_alarm_rate), ("confidence", confidence)):
        if not 0 < value < 1:
            raise CalibrationError(
                f"a {name} of {value} is not between 0 and 1", hint="for one in a hundred, give 0.01"
            )
    if good.left_out:
        raise CalibrationError(
            "a rate with a confidence wants good images that the model was not fitted on, and it was fitted on all",
            hint="train anew with calibration: {scheme: held_out}, or use the rule conformal, which holds on average",
        )
    highest = np.full(good.count, -np.inf)
    np.maximum.at(highest, good.groups, good.values)
    n = good.count
    ranks = np.arange(1, n + 1)
    enough = np.flatnonzero(betainc(n + 1 - ranks, ranks, false_alarm_rate) >= confidence - 1e-12)
    if enough.size == 0:
        raise CalibrationError(
            f"{n} calibration {'groups' if good.are_grouped else 'images'} cannot support a false-alarm rate of"
            f" {false_alarm_rate:g} with {confidence:.0%} confidence",
            hint=f"use at least {smallest_confident_count(false_alarm_rate, confidence)}, or the rule conformal, which"
            " holds on average",
        )
    cut = np.sort(highest)[enough[0]]
    rank = int(np.count_nonzero(good.values <= cut))
    rule = Rule(name="conformal_confident", level=false_alarm_rate, confidence=confidence)
    return _promised(good, rank, rule, false_alarm_rate, split)


def maximum(scores: F32 | F64 | GoodScores, *, split: Split = Split.CALIBRATION) -> Threshold:
    """Just above the highest good score. A new good image exceeds it with probability at most 1 / (n + 1), of n groups;
    of scores that are not monotone of left-out groups twice that."""
    good = GoodScores.of(scores)
    return _promised(good, len(good.values), Rule(name="maximum"), tightest_rate(good, 0), split)
