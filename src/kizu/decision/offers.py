"""All rules beside each other on the scores at hand: what each would set and promise, or what it lacks."""

from dataclasses import dataclass

from kizu.core.errors import CalibrationError
from kizu.core.types import F32, Bool
from kizu.decision.calibration import (
    DEFAULT_RATE,
    LABELLED_RULES,
    CalibrationConfig,
    ImageRule,
    image_threshold,
)
from kizu.decision.conformal import smallest_confident_count, smallest_count
from kizu.decision.good_scores import GoodScores
from kizu.decision.rules import Rule
from kizu.decision.thresholds import Threshold

CONFIDENT_RATE = 0.05
"""For `conformal_confident` where no rate was asked for: 59 images are enough for it; 1 % takes 299."""
RULES: tuple[ImageRule, ...] = (
    "conformal", "conformal_confident", "maximum", "quantile", "mean_sigma", "f1_max", "cost",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Offer:
    """What one rule makes of the scores."""

    rule: ImageRule
    threshold: Threshold | None
    needs: str
    """What it lacks, in a few words; empty where it has a threshold."""


def list_offers(
    config: CalibrationConfig,
    good_scores: F32 | GoodScores,
    *,
    folds: int | None = None,
    labelled: tuple[F32, Bool] | None = None,
) -> list[Offer]:
    """Of all image rules, with the numbers of `config`: rate, confidence, quantile, sigmas, costs.

    `good_scores`: (N,) of good images, `folds`: out of so many fits. `labelled`: scores (M,)
    and whether each is defective (M,).
    """
    return [_offer(config.model_copy(update={"rule": rule}), good_scores, folds, labelled) for rule in RULES]


def _offer(
    config: CalibrationConfig, scores: F32 | GoodScores, folds: int | None, labelled: tuple[F32, Bool] | None
) -> Offer:
    rule = config.rule
    if rule == "conformal_confident" and config.false_alarm_rate is None:
        config = config.model_copy(update={"false_alarm_rate": CONFIDENT_RATE})
    if rule in LABELLED_RULES and labelled is None:
        return Offer(rule, None, "needs labels")
    try:
        found = image_threshold(config, scores, validation=labelled)
    except CalibrationError as error:
        return Offer(rule, None, _needs(config, GoodScores.of(scores)) or error.message)
    return Offer(rule, found if folds is None else found.out_of(folds), "")


def _needs(config: CalibrationConfig, good: GoodScores) -> str:
    if good.left_out and config.rule == "conformal_confident":
        return "needs held-out images"
    rate = config.false_alarm_rate or DEFAULT_RATE
    counts = {
        "conformal": smallest_count(rate, good.factor),
        "conformal_confident": smallest_confident_count(rate, config.confidence),
        "mean_sigma": 2,
    }
    if config.rule in counts:
        return f"needs {counts[config.rule]} images"
    return "needs both kinds" if config.rule in LABELLED_RULES else ""


def given_threshold(value: float) -> Threshold:
    """A value that somebody gave: it rests on no images and promises nothing. Raises `CalibrationError` for one that is
    not finite."""
    if not abs(value) < float("inf"):
        raise CalibrationError(f"a threshold of {value} is no number", hint="give a score, such as 1.38")
    return Threshold(value=float(value), rule=Rule(name="value"), split=None, count=0)
