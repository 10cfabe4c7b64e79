"""A verdict says what decided, in words that are true of it."""

import numpy as np
import pytest

from kizu.core.errors import ConfigError
from kizu.core.split import Split
from kizu.core.types import F32
from kizu.decision.calibration import Thresholds
from kizu.decision.policy import Policy, PolicyConfig, told_apart
from kizu.decision.thresholds import Threshold

EVERYWHERE = np.ones((20, 20), bool)
ONE_REGION = [(slice(2, 6), slice(2, 7))]
TWO_REGIONS = [(slice(2, 6), slice(2, 7)), (slice(12, 18), slice(10, 11))]


def thresholds(image: float, pixel: float) -> Thresholds:
    known = {"rule": "quantile@1", "split": Split.CALIBRATION, "count": 1}
    return Thresholds(image=Threshold(value=image, **known), pixel=Threshold(value=pixel, **known))


def a_map(*regions: tuple[slice, slice]) -> F32:
    found = np.ones((20, 20), np.float32)
    for number, region in enumerate(regions):
        found[region] = 3 + number
    return found


@pytest.mark.parametrize(
    ("score", "label", "reason"),
    [
        (2.5, "NG", "score 2.500 > 1.750"),
        (1.75, "OK", "score 1.750 <= 1.750"),
        (0.5, "OK", "score 0.500 <= 1.750"),
        (1.75001, "NG", "score 1.75001 > 1.75000"),
        (1.74999, "OK", "score 1.74999 <= 1.75000"),
    ],
)
def test_of_a_whole_picture_the_score_decides_and_is_named(score: float, label: str, reason: str) -> None:
    policy = Policy(thresholds(image=1.75, pixel=2.0), PolicyConfig(min_defect_area=9))
    for regions in ([], ONE_REGION):
        verdict = policy.decide(score, a_map(*regions))
        assert (verdict.label, verdict.by, verdict.reason) == (label, "score", reason)


@pytest.mark.parametrize(
    ("regions", "area", "label", "reason"),
    [
        ([], 1, "OK", "no region above 2.000"),
        ([], 2, "OK", "no region of 2 px or more above 2.000"),
        ([], 20, "OK", "no region of 20 px or more above 2.000"),
        (ONE_REGION, 1, "NG", "a region of 20 px above 2.000"),
        (ONE_REGION, 20, "NG", "a region of 20 px above 2.000"),
        (ONE_REGION, 21, "OK", "no region of 21 px or more above 2.000"),
        (TWO_REGIONS, 1, "NG", "2 regions above 2.000, the largest 20 px"),
        (TWO_REGIONS[::-1], 6, "NG", "2 regions above 2.000, the largest 20 px"),
        (TWO_REGIONS, 7, "NG", "a region of 20 px above 2.000"),
    ],
)
def test_of_a_part_the_regions_decide_and_are_named(
    regions: list[tuple[slice, slice]], area: int, label: str, reason: str
) -> None:
    policy = Policy(thresholds(image=0.1, pixel=2.0), PolicyConfig(min_defect_area=area))
    verdict = policy.decide_by_map(a_map(*regions), EVERYWHERE)
    assert (verdict.label, verdict.by, verdict.reason) == (label, "regions", reason)


def test_a_multiplied_pixel_threshold_is_named_as_it_is_used() -> None:
    policy = Policy(thresholds(image=0.1, pixel=2.0), PolicyConfig(pixel_threshold_mult=1.25))
    assert policy.decide_by_map(a_map(*ONE_REGION), EVERYWHERE).reason == "a region of 20 px above 2.500"


def test_with_zones_no_single_number_is_named() -> None:
    policy, zones = Policy(thresholds(image=0.1, pixel=9.0)), np.full((20, 20), 2, np.float32)
    found = policy.decide_by_map(a_map(*ONE_REGION), EVERYWHERE, zones)
    assert found.reason == "a region of 20 px above the threshold of its zone"
    assert (
        policy.decide_by_map(a_map(), EVERYWHERE, zones).reason == "no region above the threshold of its zone"
    )


@pytest.mark.parametrize(
    ("score", "limit", "shown"),
    [
        (1.5, 1.25, ("1.500", "1.250")),
        (1.2981, 1.2979, ("1.2981", "1.2979")),
        (1.0, 1.0, ("1.000", "1.000")),
        (2e-5, 1e-5, ("0.00002", "0.00001")),
        (1e-30, 2e-30, ("1e-30", "2e-30")),
    ],
)
def test_numbers_that_differ_are_shown_differently(
    score: float, limit: float, shown: tuple[str, str]
) -> None:
    assert told_apart(score, limit) == shown
    assert told_apart(limit, score) == shown[::-1]


def test_a_multiplier_raises_the_thresholds_of_zones_as_well() -> None:
    policy, zones = Policy(thresholds(1, 9.0), PolicyConfig(pixel_threshold_mult=1.6)), np.full((20, 20), 2)
    mapped = a_map(*TWO_REGIONS)  # 3 and 4, against 3.2
    found = policy.decide(2, mapped, zones.astype(np.float32)).regions.found
    assert [region.peak for region in found] == [4]


def test_a_passed_image_has_an_empty_mask_of_its_own_shape() -> None:
    verdict = Policy(thresholds(1, 1)).decide(0.5, np.ones((3, 8), np.float32))
    assert verdict.regions.mask.shape == (3, 8)
    assert verdict.regions.mask.dtype == np.bool_
    assert not verdict.regions.mask.any()


def test_what_lies_outside_of_a_part_neither_counts_nor_scores() -> None:
    mapped, inside = a_map(*TWO_REGIONS), np.zeros((20, 20), bool)
    inside[:8, :8] = True
    verdict = Policy(thresholds(1, 2.0)).decide_by_map(mapped, inside)
    assert (verdict.label, verdict.score, len(verdict.regions.found)) == ("NG", 3, 1)
    inside[2:6] = False
    verdict = Policy(thresholds(1, 2.0)).decide_by_map(mapped, inside)
    assert (verdict.label, verdict.score, verdict.regions.found) == ("OK", 1, ())


def test_what_lies_outside_is_nothing_also_where_thresholds_are_thousandths() -> None:
    inside = np.zeros((20, 20), bool)
    inside[:8, :8] = True
    mapped = np.where(inside, np.float32(1e-4), np.float32(1))
    verdict = Policy(thresholds(1, 1e-3)).decide_by_map(mapped, inside)
    assert (verdict.label, verdict.regions.found) == ("OK", ())
    assert verdict.score == pytest.approx(1e-4)


def test_thin_marks_go_and_gaps_close_as_the_line_was_told() -> None:
    thin, wide = (slice(2, 3), slice(2, 12)), (slice(10, 14), slice(2, 6))
    beside = (slice(10, 14), slice(8, 12))  # two pixels from `wide`
    for options, boxes in (
        ({}, 3),
        ({"open_px": 3}, 2),
        ({"close_px": 3}, 2),
        ({"open_px": 3, "close_px": 3}, 1),
    ):
        policy = Policy(thresholds(1, 2.0), PolicyConfig(**options))
        assert len(policy.decide(2.0, a_map(thin, wide, beside)).regions.found) == boxes


def test_a_verdict_carries_the_score_that_it_was_given() -> None:
    policy = Policy(thresholds(image=1.75, pixel=2.0))
    assert [policy.decide(score, a_map()).score for score in (1.5, 2.5)] == [1.5, 2.5]


def test_without_a_choice_nothing_is_left_out_and_nothing_is_moved() -> None:
    assert PolicyConfig().model_dump() == {
        "min_defect_area": 1,
        "pixel_threshold_mult": 1.0,
        "open_px": 1,
        "close_px": 1,
    }


@pytest.mark.parametrize("name", ["open_px", "close_px"])
@pytest.mark.parametrize(
    ("side", "is_fine"), [(0, False), (1, True), (2, False), (3, True), (255, True), (257, False)]
)
def test_squares_have_a_centre_and_an_end(name: str, side: int, is_fine: bool) -> None:
    if is_fine:
        assert getattr(PolicyConfig.parse({name: side}, where="test"), name) == side
    else:
        with pytest.raises(ConfigError, match=r"must be odd|than or equal"):
            PolicyConfig.parse({name: side}, where="test")


@pytest.mark.parametrize("values", [{"min_defect_area": 0}, {"pixel_threshold_mult": 0}])
def test_an_area_and_a_multiplier_are_above_0(values: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        PolicyConfig.parse(values, where="test")
