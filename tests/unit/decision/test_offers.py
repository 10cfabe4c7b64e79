"""Rules beside each other: each says what it would set, or how many images it lacks, and that number is the least."""

import numpy as np
import pytest

from kizu.core.errors import CalibrationError
from kizu.decision.calibration import CalibrationConfig, image_threshold
from kizu.decision.offers import RULES, given_threshold, list_offers

RNG = np.random.default_rng(3)
GOOD = RNG.normal(10, 1, 40).astype(np.float32)
LABELLED = np.concatenate([GOOD, GOOD + 4]), np.arange(80) >= 40


def test_each_rule_sets_what_it_sets_by_itself() -> None:
    config = CalibrationConfig(quantile=0.9, sigmas=2, escape_cost=5)
    offers = list_offers(config, GOOD, labelled=LABELLED)
    assert [offer.rule for offer in offers] == list(RULES)
    for offer in offers:
        if offer.rule == "conformal_confident":
            assert offer.threshold is None
            continue
        alone = image_threshold(config.model_copy(update={"rule": offer.rule}), GOOD, validation=LABELLED)
        assert offer.threshold == alone
        assert offer.needs == ""


@pytest.mark.parametrize(("rate", "confidence"), [(0.05, 0.95), (0.2, 0.9), (0.01, 0.5)])
def test_what_a_rule_needs_is_enough_and_one_less_is_not(rate: float, confidence: float) -> None:
    config = CalibrationConfig(false_alarm_rate=rate, confidence=confidence)
    for rule in ("conformal", "conformal_confident"):
        [few] = [offer for offer in list_offers(config, GOOD[:2]) if offer.rule == rule]
        assert few.threshold is None
        count = int(few.needs.split()[1])
        for have, works in ((count, True), (count - 1, False)):
            [offer] = [o for o in list_offers(config, RNG.random(have).astype(np.float32)) if o.rule == rule]
            assert (offer.threshold is not None) == works


def test_rules_on_labelled_images_want_both_kinds() -> None:
    for labelled, told in (
        (None, "needs labels"),
        ((GOOD, GOOD > 0), "needs both kinds"),
    ):
        offers = {o.rule: o for o in list_offers(CalibrationConfig(), GOOD, labelled=labelled)}
        for rule in ("f1_max", "cost"):
            assert (offers[rule].threshold, offers[rule].needs) == (None, told)


def test_scores_out_of_folds_promise_nothing() -> None:
    for offer in list_offers(CalibrationConfig(), GOOD, folds=5):
        if offer.threshold is not None:
            assert offer.threshold.false_alarm_rate is None
            assert offer.threshold.rule.folds == 5


def test_a_given_value_promises_nothing_and_says_so() -> None:
    given = given_threshold(1.38)
    assert (given.value, given.false_alarm_rate, given.split, given.count) == (1.38, None, None, 0)
    assert given.describe() == "1.38 (set by hand; no guarantee)"
    for value in (float("nan"), float("inf"), -float("inf")):
        with pytest.raises(CalibrationError, match="is no number"):
            given_threshold(value)
