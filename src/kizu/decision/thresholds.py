"""Thresholds that know where they come from.

An image is NG when its score is strictly greater than the threshold.
"""

import math
from typing import Self

import numpy as np
from pydantic import model_validator

from kizu.core.config import Config
from kizu.core.errors import CalibrationError, LeakageError
from kizu.core.split import Split
from kizu.core.types import F32, F64, Bool


class Threshold(Config):
    """A number together with the rule that made it and the data it rests on."""

    value: float
    rule: str
    """For a person to read: "conformal@0.05", "quantile@0.995", "f1_max"."""
    split: Split
    count: int
    """How many images it rests on."""
    false_alarm_rate: float | None = None
    """What the rule guarantees: a new good image is NG with at most this probability (over the draw of the
    calibration images too, all being exchangeable). None where the rule guarantees nothing."""

    @model_validator(mode="after")
    def _never_from_test(self) -> Self:
        if self.split is Split.TEST:
            raise LeakageError(
                "the test split cannot set a threshold",
                hint="use held-out good images or labelled validation",
            )
        return self

    def exceeded_by(self, score: float) -> bool:
        """True: NG."""
        return score > self.value

    def describe(self) -> str:
        """One line for a person."""
        promise = (
            "no guarantee"
            if self.false_alarm_rate is None
            else f"false alarms at most {self.false_alarm_rate:.3g} of good parts"
        )
        return f"{self.value:.6g} ({self.rule} on {self.count} {self.split} images; {promise})"


def smallest_count(false_alarm_rate: float) -> int:
    """How many calibration images a conformal threshold at this rate needs: n >= 1/a - 1."""
    return math.ceil(1 / false_alarm_rate - 1 - 1e-9)


def conformal(scores: F32 | F64, false_alarm_rate: float, *, split: Split = Split.CALIBRATION) -> Threshold:
    """The ceil((n + 1)(1 - a))-th smallest of n held-out good scores (split conformal prediction; Vovk et al. 2005,
    Bates et al. 2023, "Testing for outliers with conformal p-values").

    A new exchangeable good image exceeds it with probability at most `a`. Raises `CalibrationError` when n is too
    small for the rate, saying how many images would do.
    """
    scores = _usable(scores)
    n = len(scores)
    if not 0 < false_alarm_rate < 1:
        raise CalibrationError(
            f"a false-alarm rate of {false_alarm_rate} is not between 0 and 1",
            hint="for one in a hundred, give 0.01",
        )
    rank = math.ceil((n + 1) * (1 - false_alarm_rate) - 1e-9)
    if rank > n:
        raise CalibrationError(
            f"{n} calibration images cannot support a false-alarm rate of {false_alarm_rate:g}",
            hint=f"use at least {smallest_count(false_alarm_rate)}, or raise the rate to {1 / (n + 1):.3g}",
        )
    return Threshold(
        value=float(np.partition(scores, rank - 1)[rank - 1]),
        rule=f"conformal@{false_alarm_rate:.4g}",
        split=split,
        count=n,
        false_alarm_rate=false_alarm_rate,
    )


def tightest_rate(count: int, target: float) -> float:
    """The target where `count` images can support it, else the lowest rate that they can: 1 / (n + 1)."""
    return max(target, 1 / (count + 1))


def quantile(scores: F32 | F64, q: float, *, split: Split = Split.CALIBRATION) -> Threshold:
    """The q-quantile of good scores, linearly interpolated. Guarantees nothing for new images."""
    scores = _usable(scores)
    if not 0 <= q <= 1:
        raise CalibrationError(f"a quantile of {q} is not between 0 and 1", hint="for 99.5 %, give 0.995")
    return Threshold(
        value=float(np.quantile(scores, q)), rule=f"quantile@{q:g}", split=split, count=len(scores)
    )


def f1_max(scores: F32 | F64, defective: Bool, *, split: Split = Split.VALIDATION) -> Threshold:
    """The threshold with the highest F1 on labelled validation images, midway between the two scores it parts.

    `scores`, `defective`: (N,). Among equals the highest threshold is taken: fewest false alarms. Raises
    `CalibrationError` unless both good and defective images are there.
    """
    scores = _usable(scores)
    if defective.all() or not defective.any():
        raise CalibrationError(
            f"F1-max needs good and defective validation images; there are {int((~defective).sum())} good"
            f" and {int(defective.sum())} defective",
            hint="with good images only, use the conformal or the quantile rule",
        )
    values = np.unique(scores)  # ascending
    below_all = np.nextafter(np.float32(values[0]), np.float32(-np.inf))  # below in either precision
    cuts = np.concatenate([[below_all], (values[:-1] + values[1:]) / 2])
    bad, good = np.sort(scores[defective]), np.sort(scores[~defective])
    hits = len(bad) - np.searchsorted(bad, cuts, side="right")
    alarms = len(good) - np.searchsorted(good, cuts, side="right")
    f1 = 2 * hits / (len(bad) + hits + alarms)
    best = len(f1) - 1 - int(np.argmax(f1[::-1]))
    return Threshold(value=float(cuts[best]), rule="f1_max", split=split, count=len(scores))


def _usable(scores: F32 | F64) -> F64:
    if len(scores) == 0:
        raise CalibrationError("there are no calibration images", hint="hold some good images out of the fit")
    if not np.isfinite(scores).all():
        raise CalibrationError(
            f"calibration score {int(np.flatnonzero(~np.isfinite(scores))[0])} is not finite"
        )
    return scores.astype(np.float64)
