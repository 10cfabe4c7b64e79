"""Zones: each has its own threshold, and together they keep the promise of one."""

import numpy as np
import pytest

from kizu.core.errors import CalibrationError, ConfigError
from kizu.core.split import Split
from kizu.decision.calibration import CalibrationConfig, good_thresholds, keep_held_out, zone_thresholds
from kizu.decision.policy import Policy
from kizu.decision.rules import Rule
from kizu.decision.thresholds import Threshold
from kizu.decision.zones import ZoneThresholds, zone_peaks
from kizu.imaging.placement import PlacementConfig, map_back

RNG = np.random.default_rng


def maps_with_a_restless_left(count: int, hw: tuple[int, int] = (24, 30)) -> np.ndarray:
    maps = RNG(0).random((count, *hw)).astype(np.float32)
    maps[:, :, : hw[1] // 2] *= 10
    return maps


@pytest.mark.parametrize("grid", [(1, 1), (2, 3), (5, 7), (24, 30)])
def test_peaks_of_zones_are_the_highest_pixels_of_equal_cells(grid):
    maps = RNG(1).random((3, 24, 30)).astype(np.float32)
    rows, columns = (np.arange(side) * cells // side for side, cells in zip((24, 30), grid, strict=True))
    expected = [
        [image[np.ix_(rows == r, columns == c)].max() for r in range(grid[0]) for c in range(grid[1])]
        for image in maps
    ]
    np.testing.assert_array_equal(zone_peaks(maps, grid), expected)


def test_a_calm_zone_gets_a_lower_threshold():
    maps = maps_with_a_restless_left(50)
    peaks = zone_peaks(maps, (1, 2))
    zones = zone_thresholds(CalibrationConfig(zones=(1, 2)), (1, 2), peaks)
    left, right = (zone.value for zone in zones.zones)
    assert left > 5
    assert peaks[:, 1].max() < right < 1.001  # the highest peak, and the margin above it


def test_a_rate_is_shared_out_among_the_zones():
    peaks = RNG(2).random((99, 4)).astype(np.float32)
    zones = zone_thresholds(CalibrationConfig(false_alarm_rate=0.04), (2, 2), peaks)
    assert [zone.false_alarm_rate for zone in zones.zones] == [0.01] * 4
    assert zones.false_alarm_rate == pytest.approx(0.04)
    with pytest.raises(CalibrationError, match="99 calibration images cannot support"):
        zone_thresholds(CalibrationConfig(false_alarm_rate=0.03), (2, 2), peaks)


def test_the_promise_is_kept_by_new_good_images():
    rng = RNG(3)
    alarms = []
    for _ in range(300):
        peaks = rng.random((40, 4)).astype(np.float32)
        zones = zone_thresholds(CalibrationConfig(false_alarm_rate=0.2), (2, 2), peaks[:-1])
        alarms.append(any(p > z.value for p, z in zip(peaks[-1], zones.zones, strict=True)))
    assert np.mean(alarms) <= 0.2 + 3 * np.sqrt(0.2 * 0.8 / 300)


def test_a_promise_of_nothing_is_not_made():
    peaks = RNG(4).random((3, 4)).astype(np.float32)
    zones = zone_thresholds(CalibrationConfig(), (2, 2), peaks)  # 4 x 1/4
    assert zones.false_alarm_rate is None
    assert "no guarantee" in zones.describe()


@pytest.mark.parametrize("size", [(240, 300), (17, 23), (24, 30)])
def test_the_calibration_maps_exceed_their_own_zones_nowhere_in_the_original_image(size):
    maps = maps_with_a_restless_left(9)
    config = CalibrationConfig(zones=(2, 3), pixel_rule="maximum")
    thresholds = good_thresholds(config, keep_held_out(config, maps.max(axis=(1, 2)), maps, RNG(0)))
    field = thresholds.pixel_field((24, 30))
    placement = PlacementConfig(image_size=(24, 30))
    back = map_back(field, size, placement)
    # The margin is well above the rounding of a linear interpolation in float32.
    assert all((map_back(m, size, placement) < back).all() for m in maps)


def test_a_flaw_in_a_calm_zone_is_marked_where_one_threshold_for_all_misses_it():
    maps = maps_with_a_restless_left(50)
    scores = maps.max(axis=(1, 2)) / 100
    config = CalibrationConfig(zones=(1, 2))
    thresholds = good_thresholds(config, keep_held_out(config, scores, maps, RNG(0)))
    flawed = maps[0].copy()
    flawed[10:14, 20:24] = 3
    one = Policy(thresholds).decide(1.0, flawed)
    zoned = Policy(thresholds).decide(1.0, flawed, thresholds.pixel_field((24, 30)))
    assert not one.regions.found
    assert [region.bbox for region in zoned.regions.found] == [(20, 10, 24, 14)]


def test_more_zones_than_pixels_are_refused():
    with pytest.raises(ConfigError, match="25 zones do not fit into 24 pixels"):
        zone_peaks(maps_with_a_restless_left(2), (25, 2))


def zones_of(*values, grid=(2, 2)):
    zones = [Threshold(value=v, rule=Rule(name="maximum"), split=Split.CALIBRATION, count=9) for v in values]
    return ZoneThresholds(grid=grid, zones=tuple(zones))


def test_a_field_is_never_below_its_thresholds_and_exact_where_float32_can_be():
    values = (0.1, 0.3, 1.0, 1 + 2.0**-40)
    assert float(np.float32(0.3)) > 0.3
    assert float(np.float32(1 + 2.0**-40)) < 1 + 2.0**-40
    field = zones_of(*values).field((2, 2)).ravel()
    assert field.dtype == np.float32
    for narrow, value in zip(field, values, strict=True):
        assert float(narrow) >= value > float(np.nextafter(narrow, np.float32(0)))


def test_zones_say_their_range_and_what_they_are_of():
    assert zones_of(3.0, 1.25, 4.5, 2.0, grid=(1, 4)).describe() == (
        "1.25 to 4.5 in 1 x 4 zones (maximum on 9 calibration images; no guarantee)"
    )


def test_one_zone_is_described_and_so_is_what_all_promise_together():
    assert "1.5 to 1.5 in 1 x 1 zones" in zones_of(1.5, grid=(1, 1)).describe()
    promising = zones_of(1.0, 2.0, 3.0, 4.0).model_copy(update={"false_alarm_rate": 0.0625})
    assert promising.describe().endswith("; a region in at most 0.0625 of good parts)")


def test_zones_of_other_fits_say_so_each_and_promise_nothing():
    zones = zone_thresholds(CalibrationConfig(false_alarm_rate=0.04), (2, 2), RNG(2).random((99, 4)))
    folded = zones.out_of(3)
    assert [zone.value for zone in folded.zones] == [zone.value for zone in zones.zones]
    assert [zone.rule.folds for zone in folded.zones] == [3] * 4
    assert {folded.false_alarm_rate, *(zone.false_alarm_rate for zone in folded.zones)} == {None}


def test_a_grid_has_a_threshold_for_each_cell_and_not_too_many_cells():
    with pytest.raises(ValueError, match="4 thresholds for a grid of 2 x 3"):
        zones_of(1.0, 2.0, 3.0, 4.0, grid=(2, 3))
    assert CalibrationConfig(zones=(64, 64)).zones == (64, 64)
    for grid in ((65, 2), (2, 65), (0, 2)):
        with pytest.raises(ConfigError, match="zones"):
            CalibrationConfig.parse({"zones": grid}, where="test")
