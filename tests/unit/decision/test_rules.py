"""A threshold's rule is fields; the words are made from them, and the words of older files become fields again."""

from typing import get_args

import numpy as np
import pytest
from pydantic import ValidationError

from kizu.core.split import Split
from kizu.decision.calibration import CalibrationConfig, HeldOut, good_thresholds
from kizu.decision.conformal import conformal, conformal_confident, maximum
from kizu.decision.rules import Rule, RuleName
from kizu.decision.thresholds import Threshold, f1_max, fpr_target, least_cost, mean_sigma, quantile

SCORES = np.random.default_rng(0).random(400)
FLAWED = np.arange(400) >= 380

EXAMPLES: dict[str, Rule] = {
    "conformal@0.05": Rule(name="conformal", level=0.05),
    "conformal@0.0303": Rule(name="conformal", level=0.0303),
    "conformal@5e-05": Rule(name="conformal", level=5e-5),
    "conformal@0.01 with 95% confidence": Rule(name="conformal_confident", level=0.01, confidence=0.95),
    "conformal@0.05 with 100% confidence": Rule(name="conformal_confident", level=0.05, confidence=1),
    "quantile@0.995": Rule(name="quantile", level=0.995),
    "quantile@1": Rule(name="quantile", level=1),
    "quantile@0": Rule(name="quantile", level=0),
    "maximum": Rule(name="maximum"),
    "mean+3sigma": Rule(name="mean_sigma", sigmas=3),
    "mean+2.5sigma": Rule(name="mean_sigma", sigmas=2.5),
    "mean+1e+06sigma": Rule(name="mean_sigma", sigmas=1e6),
    "fpr@0.01": Rule(name="fpr", level=0.01),
    "f1_max": Rule(name="f1_max"),
    "cost 10:1 at prevalence 0.02, 0.1234 a part": Rule(
        name="cost", escape_cost=10, overkill_cost=1, prevalence=0.02, expected_cost=0.1234
    ),
    "cost 0.5:1e+06 at prevalence 1e-05, 0 a part": Rule(
        name="cost", escape_cost=0.5, overkill_cost=1e6, prevalence=1e-5, expected_cost=0
    ),
    "f1_max of pixels": Rule(name="pixel_f1_max"),
    "iou_max of pixels": Rule(name="pixel_iou_max"),
}
"""Every form that a rule was once written in."""


def test_the_examples_are_of_every_rule() -> None:
    never_a_sentence = {"value"}
    assert {rule.name for rule in EXAMPLES.values()} == set(get_args(RuleName)) - never_a_sentence


@pytest.mark.parametrize("folds", [None, 5])
@pytest.mark.parametrize("sentence", EXAMPLES)
def test_every_sentence_of_before_becomes_fields_that_say_the_same(sentence: str, folds: int | None) -> None:
    told = sentence if folds is None else f"{sentence}, out of {folds} folds"
    rule = EXAMPLES[sentence].model_copy(update={"folds": folds})
    assert Rule.from_sentence(told) == rule
    assert rule.describe() == told


@pytest.mark.parametrize("sentence", ["", "r", "conformal", "conformal@a lot", "f1_max of", "quantile@2"])
def test_other_sentences_are_refused(sentence: str) -> None:
    with pytest.raises(ValueError):
        Rule.from_sentence(sentence)


@pytest.mark.parametrize("sentence", EXAMPLES)
def test_what_is_written_is_the_fields_that_belong_to_the_rule(sentence: str) -> None:
    rule = EXAMPLES[sentence]
    written = rule.model_dump(mode="json")
    assert written["name"] == rule.name
    assert None not in written.values()
    assert Rule.model_validate(written) == rule


@pytest.mark.parametrize(
    "values",
    [
        {"name": "conformal"},
        {"name": "maximum", "level": 0.1},
        {"name": "quantile", "level": 0.5, "confidence": 0.9},
        {"name": "cost", "escape_cost": 1, "overkill_cost": 1, "prevalence": 0.1},
        {"name": "quantile", "level": 1.5},
        {"name": "oracle"},
    ],
)
def test_a_rule_has_its_own_numbers_and_no_others(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Rule.model_validate(values)


def test_a_rule_with_other_numbers_is_told_which_are_its_own() -> None:
    with pytest.raises(ValidationError, match="conformal has level; given: none"):
        Rule(name="conformal")
    with pytest.raises(ValidationError, match="maximum has no number; given: level, sigmas"):
        Rule(name="maximum", level=0.1, sigmas=1)


def test_each_way_to_set_a_threshold_says_the_words_it_always_said() -> None:
    cost = least_cost(SCORES, FLAWED, escape_cost=10, overkill_cost=1, prevalence=0.02)
    said = {
        conformal(SCORES, 1 / 33): "conformal@0.0303",
        conformal_confident(SCORES, 0.05, 0.9): "conformal@0.05 with 90% confidence",
        quantile(SCORES, 0.995): "quantile@0.995",
        maximum(SCORES): "maximum",
        mean_sigma(SCORES, 3): "mean+3sigma",
        fpr_target(SCORES, 0.01, split=Split.VALIDATION): "fpr@0.01",
        f1_max(SCORES, FLAWED): "f1_max",
        cost: f"cost 10:1 at prevalence 0.02, {cost.rule.expected_cost:.4g} a part",
    }
    for threshold, words in said.items():
        assert threshold.rule.describe() == words
        assert threshold.describe().startswith(
            f"{threshold.value:.6g} ({words} on 400 {threshold.split} images"
        )
    assert conformal(SCORES, 1 / 33).rule.level == 1 / 33  # unrounded


def test_a_stored_sentence_is_read_as_fields_with_all_digits_that_stand_beside_it() -> None:
    stored = {
        "value": 1.5,
        "rule": "conformal@0.0303 with 100% confidence",
        "split": "calibration",
        "count": 32,
        "false_alarm_rate": 1 / 33,
        "confidence": 0.995,
    }
    threshold = Threshold.model_validate(stored)
    assert threshold.rule == Rule(name="conformal_confident", level=1 / 33, confidence=0.995)
    assert threshold.rule.describe() == stored["rule"]
    again = Threshold.model_validate(threshold.model_dump(mode="json"))
    assert again == threshold
    alone = Threshold.model_validate({**stored, "false_alarm_rate": None, "confidence": None})
    assert alone.rule == Rule(name="conformal_confident", level=0.0303, confidence=1)
    top = Threshold.model_validate({**stored, "rule": "maximum", "confidence": None})
    assert top.rule == Rule(name="maximum")  # its promise is not a number that it was given


def test_out_of_folds_good_images_promise_nothing_and_labelled_ones_stay() -> None:
    held = HeldOut(SCORES, SCORES, SCORES, SCORES[:, None], np.arange(len(SCORES)))
    config = CalibrationConfig(rule="f1_max", pixel_rule="quantile", zones=(1, 1))
    found = good_thresholds(config, held, validation=(SCORES, FLAWED))
    folded = found.out_of(4)
    assert folded.image == found.image
    assert folded.pixel.rule == Rule(name="quantile", level=0.999, folds=4)
    assert folded.pixel.value == found.pixel.value
    promised = good_thresholds(CalibrationConfig(false_alarm_rate=0.05, zones=(1, 1)), held)
    folded = promised.out_of(4)
    assert folded.image.rule.describe() == "conformal@0.05, out of 4 folds"
    assert folded.zones is not None
    assert folded.zones.zones[0].rule.folds == 4
    for before, after in (
        (promised.image, folded.image),
        (promised.pixel, folded.pixel),
        (promised.zones, folded.zones),
    ):
        assert (before.false_alarm_rate, after.false_alarm_rate) == (0.05, None)
        assert "no guarantee" in after.describe()
    assert conformal_confident(SCORES, 0.05).out_of(3).confidence is None
