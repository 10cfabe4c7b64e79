import numpy as np
import pytest
from scipy import ndimage

from kizu.core.split import Split
from kizu.decision.calibration import Thresholds
from kizu.decision.policy import Policy, PolicyConfig
from kizu.decision.regions import Spot, find_regions, highest_spot
from kizu.decision.rules import Rule
from kizu.decision.thresholds import Threshold


def thresholds(image: float, pixel: float) -> Thresholds:
    return Thresholds(
        **{
            name: Threshold(value=value, rule=Rule(name="maximum"), split=Split.CALIBRATION, count=1)
            for name, value in (("image", image), ("pixel", pixel))
        }
    )


def test_a_rectangle_is_described_exactly() -> None:
    anomaly_map = np.zeros((20, 30), dtype=np.float32)
    anomaly_map[4:7, 10:15] = 2
    anomaly_map[5, 12] = 5
    (region,) = find_regions(anomaly_map, 1.0).found
    assert region.bbox == (10, 4, 15, 7)
    assert region.area == 15
    assert region.centroid == (12.0, 5.0)
    assert region.peak == 5
    assert region.mean == pytest.approx((14 * 2 + 5) / 15)


def test_pixels_that_touch_at_a_corner_are_one_region() -> None:
    assert len(find_regions(np.eye(5, dtype=np.float32), 0.5).found) == 1


def test_small_regions_leave_list_and_mask() -> None:
    anomaly_map = np.zeros((10, 10), dtype=np.float32)
    anomaly_map[0, 0] = 9
    anomaly_map[5:8, 5:8] = 1
    regions = find_regions(anomaly_map, 0.5, min_area_px=2)
    assert [region.area for region in regions.found] == [9]
    assert regions.mask.sum() == 9
    assert [region.area for region in find_regions(anomaly_map, 0.5).found] == [1, 9]  # highest peak first


def test_nothing_above_the_threshold_is_no_region() -> None:
    regions = find_regions(np.ones((3, 3), dtype=np.float32), 1.0)
    assert regions.found == ()
    assert not regions.mask.any()


def test_an_ok_image_lists_no_regions_and_an_ng_image_does() -> None:
    anomaly_map = np.zeros((4, 4), dtype=np.float32)
    anomaly_map[1, 1] = 3
    policy = Policy(thresholds(image=2.0, pixel=1.0))
    assert policy.decide(2.0, anomaly_map).label == "OK"
    assert policy.decide(2.0, anomaly_map).regions.found == ()
    assert len(policy.decide(2.1, anomaly_map).regions.found) == 1


def test_the_multiplier_moves_the_pixel_threshold_only() -> None:
    anomaly_map = np.full((4, 4), 3, dtype=np.float32)
    policy = Policy(thresholds(image=2.0, pixel=1.0), PolicyConfig(pixel_threshold_mult=4))
    verdict = policy.decide(2.1, anomaly_map)
    assert verdict.label == "NG"
    assert verdict.regions.found == ()


def test_a_region_of_just_the_least_area_is_listed_and_in_the_mask() -> None:
    anomaly_map = np.zeros((10, 10), dtype=np.float32)
    anomaly_map[0, :3], anomaly_map[5, :4] = 2, 1
    regions = find_regions(anomaly_map, 0.5, min_area_px=4)
    assert [region.area for region in regions.found] == [4]
    np.testing.assert_array_equal(regions.mask, anomaly_map == 1)


def test_by_default_a_single_pixel_is_a_region() -> None:
    anomaly_map = np.zeros((5, 7), dtype=np.float32)
    anomaly_map[2, 3] = 1
    anomaly_map[2, 5] = 1  # and a gap of one pixel stays
    assert [region.area for region in find_regions(anomaly_map, 0.5).found] == [1, 1]
    assert (find_regions(anomaly_map, 0.5).mask == (anomaly_map > 0)).all()


def test_opening_drops_what_is_thin_but_not_what_the_border_cuts() -> None:
    anomaly_map = np.zeros((20, 20), dtype=np.float32)
    anomaly_map[:2, :2] = 1  # may go on beyond the border
    anomaly_map[8:11, 8:11] = 1
    anomaly_map[15:17, 4:10] = 1
    opened = find_regions(anomaly_map, 0.5, open_px=3)
    assert sorted(region.bbox for region in opened.found) == [(0, 0, 2, 2), (8, 8, 11, 11)]
    assert opened.mask.sum() == 4 + 9


def filled_by_squares(marked: np.ndarray, side: int) -> np.ndarray:
    """All squares of `side` round a pixel of the image that lie in what is marked; beyond the border all is."""
    reach = side // 2
    around = np.pad(marked, reach, constant_values=True)
    found = np.zeros_like(around)
    for top, left in np.ndindex(marked.shape):
        square = (slice(top, top + side), slice(left, left + side))
        found[square] |= around[square].all()
    return found[reach:-reach, reach:-reach]


@pytest.mark.parametrize("side", [3, 5])
@pytest.mark.parametrize("share", [0.5, 0.85, 0.95])
def test_opening_keeps_the_squares_of_what_is_marked_and_closing_those_of_what_is_not(
    side: int, share: float
) -> None:
    anomaly_map = np.random.default_rng(side).random((30, 24), dtype=np.float32)
    for threshold, named, marked_of in (
        (1 - share, "open_px", lambda mask: mask),
        (share, "close_px", lambda mask: ~mask),
    ):
        expected = filled_by_squares(marked_of(anomaly_map > threshold), side)
        found = find_regions(anomaly_map, threshold, **{named: side})
        np.testing.assert_array_equal(marked_of(found.mask), expected)


def test_closing_joins_what_a_narrow_gap_parts_and_no_more() -> None:
    anomaly_map = np.zeros((9, 24), dtype=np.float32)
    anomaly_map[3:6, 2:6] = anomaly_map[3:6, 8:12] = anomaly_map[3:6, 16:19] = 1  # gaps of 2 and 4 pixels
    closed = find_regions(anomaly_map, 0.5, close_px=3)
    assert sorted(region.bbox for region in closed.found) == [(2, 3, 12, 6), (16, 3, 19, 6)]
    assert len(find_regions(anomaly_map, 0.5, close_px=1).found) == 3


@pytest.mark.parametrize("share", [0.02, 0.4, 0.97])
def test_a_centroid_is_the_mean_of_its_pixels_to_the_last_bit(share: float) -> None:
    rng = np.random.default_rng(0)
    scores = (rng.random((70, 110)) < share).astype(np.float32)
    labelled, _ = ndimage.label(scores, structure=np.ones((3, 3)))
    boxes = ndimage.find_objects(labelled)
    expected = []
    for label, (rows, columns) in enumerate(boxes, start=1):
        ys, xs = np.nonzero(labelled[rows, columns] == label)
        expected.append((xs.mean() + columns.start, ys.mean() + rows.start, len(ys)))
    found = [(*region.centroid, region.area) for region in find_regions(scores, 0.5).found]
    assert sorted(found) == sorted(expected)


def test_the_highest_spot_is_the_one_nearest_to_its_own_threshold() -> None:
    anomaly_map = np.zeros((4, 6), np.float32)
    anomaly_map[1, 5], anomaly_map[3, 2] = 0.9, 0.7
    assert highest_spot(anomaly_map, 1.0) == Spot(5, 1, pytest.approx(0.9))
    zones = np.full((4, 6), 1.0, np.float32)
    zones[2:] = 0.75  # a stricter zone: 0.05 is missing there, 0.1 elsewhere
    assert highest_spot(anomaly_map, zones) == Spot(2, 3, pytest.approx(0.7))
