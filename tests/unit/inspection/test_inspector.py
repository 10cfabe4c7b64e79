"""What an overlay shows: heat above the pixel threshold, the flaw's outline, and a strip that tells the truth."""

import pickle
import re
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from tests.support import CONFIG, fitted, part_picture, with_flaw

import kizu.inspection.found as module
from kizu.core.errors import ImageError
from kizu.core.types import U8
from kizu.core.work import Work
from kizu.decision.policy import PolicyConfig
from kizu.decision.regions import Spot
from kizu.imaging.overlay import FOUND, GREEN, HEAT_TABLE, PAPER, RED, TRUE, blend
from kizu.imaging.roi import Area, Roi
from kizu.inspection.inspector import Inspection, Inspector


def inspection(anomaly_map: np.ndarray, *, label: str = "NG", mask: np.ndarray | None = None) -> Inspection:
    return Inspection(
        label=label,  # type: ignore[arg-type]
        score=3.0,
        threshold=2.0,
        pixel_threshold=2.0,
        map=anomaly_map.astype(np.float32),
        mask=np.zeros(anomaly_map.shape, bool) if mask is None else mask,
        regions=(),
        by="score",
        reason="score 3.000 > 2.000",
    )


def test_heat_begins_above_the_pixel_threshold_and_is_full_at_twice_that() -> None:
    image = np.full((1, 5, 3), 120, np.uint8)
    drawn = inspection(np.array([[1.9, 2.0, 3.0, 4.0, 99]])).overlay(image, caption=False)[0]
    halfway = blend(image[0, 0], HEAT_TABLE[128], 0.55)
    full = blend(image[0, 0], HEAT_TABLE[255], 0.75)
    assert drawn.tolist() == [[120] * 3, [120] * 3, halfway.tolist(), full.tolist(), full.tolist()]


def test_what_is_below_the_threshold_stays_a_photograph() -> None:
    image = part_picture(3)
    found = inspection(np.full((64, 64), 2.0), label="OK")
    assert (found.overlay(image, caption=False) == image).all()
    assert found.overlay(image).shape[0] < 64 + 30  # the strip alone: no heat, so no scale


@pytest.mark.parametrize("style", ["blend", "side", "outline"])
def test_an_overlay_is_over_beside_or_an_outline_alone(style: Literal["blend", "side", "outline"]) -> None:
    image, mask = part_picture(3), np.zeros((64, 64), bool)
    mask[20:30, 20:30] = True
    found = inspection(np.where(mask, 3.0, 0.0), mask=mask)
    drawn = found.overlay(image, caption=False, style=style)
    assert drawn.shape == (64, 128 if style == "side" else 64, 3)
    assert (drawn[:, -64:] == FOUND).all(axis=2).any()
    assert (drawn[25, -39] == image[25, 25]).all() == (style == "outline")
    if style == "side":
        assert (drawn[:, :64] == image).all()
    captioned = found.overlay(image, style=style)
    strip = captioned.shape[0] - 64
    assert (captioned[-3, 1] == PAPER).all() == (style != "outline")
    assert strip > (10 if style == "outline" else 20)


def test_the_ratio_is_in_units_of_the_threshold_where_that_makes_sense() -> None:
    found = inspection(np.zeros((4, 4)))
    assert found.ratio == 1.5
    assert np.isnan(replace(found, threshold=-1.0).ratio)


def test_what_was_found_and_what_is_there_have_outlines_that_differ() -> None:
    image, mask, truth = (
        np.full((40, 40, 3), 120, np.uint8),
        np.zeros((40, 40), bool),
        np.zeros((40, 40), bool),
    )
    mask[10:14, 10:14], truth[24:28, 24:28] = True, True
    drawn = inspection(np.zeros((40, 40)), mask=mask).overlay(image, caption=False, true_mask=truth)
    assert drawn[9, 11].tolist() == list(FOUND)
    assert drawn[23, 25].tolist() == list(TRUE)
    assert (inspection(np.zeros((40, 40))).overlay(image, caption=False) == image).all()


@pytest.mark.parametrize(("label", "colour"), [("OK", GREEN), ("NG", RED)])
def test_the_strip_says_the_verdict_and_its_reason_in_the_verdicts_colour(
    label: str, colour: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = []
    monkeypatch.setattr(module, "banner", lambda *given: said.append(given[1:]))
    found = inspection(np.zeros((40, 40)), label=label)
    replace(found, reason="no region above 2.000").overlay(np.zeros((40, 40, 3), np.uint8))
    assert said == [(f"{label}  no region above 2.000", colour)]


def test_a_picture_is_judged_by_its_score_and_a_part_of_it_by_its_regions(good_pictures: U8) -> None:
    bundle = fitted(good_pictures).bundle
    flawed, good = with_flaw(part_picture(70), 10, 44), good_pictures[0]
    whole = [Inspector(bundle).inspect(picture) for picture in (flawed, good)]
    assert [found.by for found in whole] == ["score", "score"]
    assert re.fullmatch(r"score [\d.]+ > [\d.]+", whole[0].reason)
    assert re.fullmatch(r"score [\d.]+ <= [\d.]+", whole[1].reason)
    everywhere = Roi(Area(picture=np.ones((2, 2), bool)))
    for area, label, reason in (
        (1, "NG", r"(a region of \d+ px|\d+ regions) above .*"),
        (10_000, "OK", "no region of 10000 px or more above .*"),
    ):
        policy = PolicyConfig(min_defect_area=area)
        found = Inspector(bundle, policy=policy, roi=everywhere).inspect(flawed)
        assert (found.label, found.by) == (label, "regions")
        assert re.fullmatch(reason, found.reason)
        assert found.score > found.threshold  # which is why the score must not be what is said


def outside() -> Roi:
    return Roi(Area((np.array([[100, 100], [140, 100], [140, 140]]),)))


def test_a_picture_that_the_region_of_interest_lies_outside_of_has_no_verdict(good_pictures: U8) -> None:
    inspector = Inspector(fitted(good_pictures).bundle, roi=outside())
    for judged in (
        lambda: inspector.inspect(good_pictures[0]),
        lambda: inspector.inspect_placed(good_pictures[:2], [(64, 64)] * 2),
    ):
        with pytest.raises(
            ImageError, match=r"nothing that is looked at in its 64 x 64 pixels .*region of interest"
        ):
            judged()
    larger = np.repeat(np.repeat(good_pictures[0], 3, axis=0), 3, axis=1)
    assert inspector.inspect(larger).by == "regions"


def test_an_ignored_whole_and_a_region_that_a_crop_cuts_off_are_no_verdict_either(good_pictures: U8) -> None:
    everywhere = Area((np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]]),), is_relative=True)
    bundle = fitted(good_pictures).bundle
    with pytest.raises(ImageError, match="region of interest"):
        Inspector(bundle, roi=Roi(ignore=everywhere)).inspect(good_pictures[0])
    cropped = CONFIG.changed({"placement": {"image_size": 32, "resize": 64}}, where="test")
    centre = fitted(good_pictures[:, 16:48, 16:48], cropped).bundle
    corner = Roi(Area((np.array([[0.0, 0], [12, 0], [12, 12], [0, 12]]),)))
    with pytest.raises(ImageError, match="region of interest"):
        Inspector(centre, roi=corner).inspect(good_pictures[0])


def test_it_is_pickled_with_all_that_it_decides_by(good_pictures: U8) -> None:
    corner = Roi(Area((np.array([[0.0, 0], [40, 0], [40, 40], [0, 40]]),)))
    inspector = Inspector(
        fitted(good_pictures).bundle, policy=PolicyConfig(min_defect_area=2), roi=corner, work=Work(cores=1)
    )
    flawed = with_flaw(good_pictures[3], 10, 10)
    again = pickle.loads(pickle.dumps(inspector))  # noqa: S301 - our own
    assert again.policy.config == inspector.policy.config
    one, other = inspector.inspect(flawed), again.inspect(flawed)
    assert (one.label, one.score, one.reason) == (other.label, other.score, other.reason)
    np.testing.assert_array_equal(one.map, other.map)


def test_an_image_that_is_ng_without_a_flaw_shows_its_highest_spot(good_pictures: U8) -> None:
    """The image score says NG, and not one pixel is above a threshold set that high."""
    bundle = fitted(good_pictures).bundle
    flawed = with_flaw(part_picture(70), 10, 44)
    found = Inspector(bundle, policy=PolicyConfig(pixel_threshold_mult=1000)).inspect(flawed)
    assert (found.label, found.regions) == ("NG", ())
    assert found.spot is not None
    assert found.spot.value == found.map.max() == found.map[found.spot.y, found.spot.x]
    drawn = found.overlay(flawed, caption=False)
    ys, xs = np.nonzero((drawn == FOUND).all(axis=2))
    assert abs(np.mean(xs) - found.spot.x) < 4
    assert abs(np.mean(ys) - found.spot.y) < 4
    assert (drawn[found.spot.y, found.spot.x] == flawed[found.spot.y, found.spot.x]).all()
    plain = Inspector(bundle).inspect(flawed)
    assert plain.regions
    assert plain.spot is None
    assert Inspector(bundle).inspect(good_pictures[0]).spot is None


def test_a_spot_is_ringed_and_the_strip_says_that_it_is_no_flaw(monkeypatch: pytest.MonkeyPatch) -> None:
    said = []
    monkeypatch.setattr(module, "banner", lambda *given: said.append(given[1]))
    replace(inspection(np.zeros((40, 40))), spot=Spot(3, 4, 1.5)).overlay(np.zeros((40, 40, 3), np.uint8))
    assert "no pixel is above its threshold" in said[0]
