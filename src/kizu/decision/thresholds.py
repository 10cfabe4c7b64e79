"""Thresholds that know where they come from.

An image is NG when its score is strictly greater than the threshold. Where a rule names one of the scores, the
threshold lies between that one and the next larger (see `cuts`), so that each falls clearly on its side.
"""

import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from pydantic import model_validator

from kizu.core.config import Config
from kizu.core.errors import CalibrationError, LeakageError
from kizu.core.split import Split
from kizu.core.types import F32, F64, I64, Bool
from kizu.decision.cuts import just_above, margin
from kizu.decision.good_scores import usable_scores
from kizu.decision.rules import Rule


class Threshold(Config):
    """A number together with the rule that made it and the data it rests on."""

    value: float
    rule: Rule
    split: Split | None
    """None: it rests on no images."""
    count: int
    """How many images it rests on."""
    groups: int | None = None
    """How many groups of images that belong together; None: each is one of its own."""
    false_alarm_rate: float | None = None
    """What the rule guarantees: a new good image is NG with at most this probability (over the draw of the
    calibration images too; they, or their groups, and the new one's being exchangeable). None where the rule
    guarantees nothing."""
    confidence: float | None = None
    """With this probability over the draw of the calibration images the rate holds for the very threshold that was set;
    None: it holds on average over calibration sets."""

    @model_validator(mode="before")
    @classmethod
    def _rule_of_before(cls, values: Any) -> Any:
        """Bundles and exported files of before hold the rule as a sentence, which rounds what stands beside it."""
        if not isinstance(values, Mapping) or not isinstance(values.get("rule"), str):
            return values
        rule = Rule.from_sentence(values["rule"])
        exact = {"level": values.get("false_alarm_rate"), "confidence": values.get("confidence")}
        if rule.name in ("conformal", "conformal_confident"):
            rule = rule.model_copy(update={key: value for key, value in exact.items() if value is not None})
        return {**values, "rule": rule}

    @model_validator(mode="after")
    def _never_from_test(self) -> Self:
        if self.split is Split.TEST:
            raise LeakageError(
                "the test split cannot set a threshold",
                hint="use held-out good images or labelled validation",
            )
        return self

    def is_exceeded_by(self, score: float) -> bool:
        """True: NG."""
        return score > self.value

    def out_of(self, folds: int) -> Self:
        """The same, set on scores of so many other fits: a rate is promised for scores of the model that runs.

        One that was set on labelled images stays as it is: these were scored by that model.
        """
        if self.split is not Split.CALIBRATION:
            return self
        rule = self.rule.model_copy(update={"folds": folds})
        return self.model_copy(update={"rule": rule, "false_alarm_rate": None, "confidence": None})

    def describe(self) -> str:
        """One line for a person."""
        on = "" if self.split is None else f" on {self.count} {self.split} images"
        if self.groups is not None:
            on += f" of {self.groups} groups"
        return f"{self.value:.6g} ({self.rule.describe()}{on}; {self.describe_promise()})"

    def describe_promise(self) -> str:
        """What is promised, in a few words."""
        if self.false_alarm_rate is None:
            return "no guarantee"
        how = " on average" if self.confidence is None else f" with {self.confidence:.0%} confidence"
        return f"false alarms at most {self.false_alarm_rate:.3g} of good parts like these{how}"


def mean_sigma(scores: F32 | F64, sigmas: float, *, split: Split = Split.CALIBRATION) -> Threshold:
    """Mean + `sigmas` * standard deviation of good scores. Guarantees nothing: scores are not normal.

    Raises `CalibrationError` for fewer than two scores.
    """
    scores = usable_scores(scores)
    if len(scores) < 2:
        raise CalibrationError("one score has no standard deviation", hint="hold at least 2 images out")
    return Threshold(
        value=float(scores.mean() + sigmas * scores.std(ddof=1)),
        rule=Rule(name="mean_sigma", sigmas=sigmas),
        split=split,
        count=len(scores),
    )


def fpr_target(good_scores: F32 | F64, rate: float, *, split: Split) -> Threshold:
    """Just above the lowest of n good scores that at most floor(`rate` * n) of them exceed. Guarantees nothing for new
    images.

    For labelled images that are never reported on, such as those of a development category.
    """
    scores = usable_scores(good_scores)
    if not 0 <= rate < 1:
        raise CalibrationError(f"a false-alarm rate of {rate} is not between 0 and 1")
    allowed = math.floor(rate * len(scores) + 1e-9)
    return Threshold(
        value=just_above(scores, len(scores) - allowed),
        rule=Rule(name="fpr", level=rate),
        split=split,
        count=len(scores),
    )


def least_cost(
    scores: F32 | F64,
    defective: Bool,
    *,
    escape_cost: float,
    overkill_cost: float,
    prevalence: float | None = None,
    split: Split = Split.VALIDATION,
) -> Threshold:
    """The threshold with the least expected cost per part on labelled validation images.

    `escape_cost`: of a defective part that passes; `overkill_cost`: of a good part that is rejected; `prevalence`: the
    part of the line's products that is defective, None: as among these images. Among equals the highest threshold.
    Raises `CalibrationError` as `f1_max`, and for prices that are not positive.
    """
    cuts, hits, alarms, bad, good = _cuts(usable_scores(scores), defective, "the cost rule")
    if not (escape_cost > 0 and overkill_cost > 0):
        raise CalibrationError("the costs of an escape and of an overkill must be positive")
    share = bad / (bad + good) if prevalence is None else prevalence
    if not 0 < share < 1:
        raise CalibrationError(f"a prevalence of {share} is not between 0 and 1")
    cost = share * escape_cost * (1 - hits / bad) + (1 - share) * overkill_cost * alarms / good
    best = len(cost) - 1 - int(np.argmin(cost[::-1]))
    return Threshold(
        value=float(cuts[best]),
        rule=Rule(
            name="cost",
            escape_cost=escape_cost,
            overkill_cost=overkill_cost,
            prevalence=share,
            expected_cost=float(cost[best]),
        ),
        split=split,
        count=len(scores),
    )


def quantile(scores: F32 | F64, q: float, *, split: Split = Split.CALIBRATION) -> Threshold:
    """The q-quantile of good scores, linearly interpolated. Guarantees nothing for new images.

    It is that number to the last bit, also where it falls on a score: whoever asks for a quantile can check it.
    """
    scores = usable_scores(scores)
    if not 0 <= q <= 1:
        raise CalibrationError(f"a quantile of {q} is not between 0 and 1", hint="for 99.5 %, give 0.995")
    return Threshold(
        value=float(np.quantile(scores, q)),
        rule=Rule(name="quantile", level=q),
        split=split,
        count=len(scores),
    )


def f1_max(scores: F32 | F64, defective: Bool, *, split: Split = Split.VALIDATION) -> Threshold:
    """The threshold with the highest F1 on labelled validation images, midway between the two scores it parts.

    `scores`, `defective`: (N,). Among equals the highest threshold is taken: fewest false alarms. Raises
    `CalibrationError` unless both good and defective images are there.
    """
    cuts, hits, alarms, bad, _ = _cuts(usable_scores(scores), defective, "F1-max")
    f1 = 2 * hits / (bad + hits + alarms)
    best = len(f1) - 1 - int(np.argmax(f1[::-1]))
    return Threshold(value=float(cuts[best]), rule=Rule(name="f1_max"), split=split, count=len(scores))


def _cuts(scores: F64, defective: Bool, rule: str) -> tuple[F64, I64, I64, int, int]:
    """Thresholds between neighbouring scores and below all, what each finds and falsely rejects, and both totals."""
    if defective.all() or not defective.any():
        raise CalibrationError(
            f"{rule} needs good and defective validation images; there are {int((~defective).sum())} good"
            f" and {int(defective.sum())} defective",
            hint="with good images only, use the conformal or the quantile rule",
        )
    values = np.unique(scores)  # ascending
    beyond = margin(values)
    cuts = np.concatenate([[values[0] - beyond], (values[:-1] + values[1:]) / 2, [values[-1] + beyond]])
    bad, good = np.sort(scores[defective]), np.sort(scores[~defective])
    hits = len(bad) - np.searchsorted(bad, cuts, side="right")
    alarms = len(good) - np.searchsorted(good, cuts, side="right")
    return cuts, hits, alarms, len(bad), len(good)
