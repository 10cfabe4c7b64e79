"""Settings of thresholds: what holds where nothing is said, and what is refused before a fit."""

import numpy as np
import pytest

from kizu.core.errors import CalibrationError, ConfigError
from kizu.decision.calibration import (
    PIXELS_PER_IMAGE,
    CalibrationConfig,
    Thresholds,
    good_thresholds,
    image_threshold,
    keep_held_out,
    pixel_threshold,
    sample_pixels,
)


def test_what_holds_where_nothing_is_said() -> None:
    assert CalibrationConfig().model_dump() == {
        "scheme": "auto",
        "fraction": None,
        "folds": None,
        "rule": "conformal",
        "false_alarm_rate": None,
        "quantile": 0.995,
        "sigmas": 3,
        "confidence": 0.95,
        "escape_cost": 10,
        "overkill_cost": 1,
        "prevalence": None,
        "pixel_rule": "conformal",
        "pixel_quantile": 0.999,
        "zones": None,
    }


@pytest.mark.parametrize(
    ("name", "fine", "refused"),
    [
        ("fraction", (0.01, 0.99), (0, 1, 1.5)),
        ("folds", (2, 10), (1, 0)),
        ("false_alarm_rate", (0.001, 0.999), (0, 1, 1.5)),
        ("quantile", (0, 1), (-0.01, 1.01)),
        ("sigmas", (0, 9), (-1,)),
        ("confidence", (0.001, 0.999), (0, 1, 1.5)),
        ("escape_cost", (0.01, 1e6), (0, -1)),
        ("overkill_cost", (0.01, 1e6), (0, -1)),
        ("prevalence", (0.001, 0.999), (0, 1, 1.5)),
        ("pixel_quantile", (0, 1), (-0.01, 1.01)),
    ],
)
def test_a_setting_out_of_its_range_is_refused_by_its_name(
    name: str, fine: tuple[float, ...], refused: tuple[float, ...]
) -> None:
    for value in fine:
        assert getattr(CalibrationConfig.parse({name: value}, where="test"), name) == value
    for value in refused:
        with pytest.raises(ConfigError, match=name):
            CalibrationConfig.parse({name: value}, where="test")


def test_no_pixel_of_a_map_is_drawn_twice() -> None:
    maps = np.arange(2 * 80 * 80, dtype=np.float32).reshape(2, 80, 80)
    sample = sample_pixels(maps, np.random.default_rng(0))
    assert len(sample) == len(np.unique(sample)) == 2 * PIXELS_PER_IMAGE


def test_without_zones_the_whole_map_is_one() -> None:
    maps = np.random.default_rng(0).random((3, 6, 8), np.float32)
    scores = np.arange(3, dtype=np.float32)
    held = keep_held_out(CalibrationConfig(), scores, maps, np.random.default_rng(0))
    np.testing.assert_array_equal(held.zone_peaks, held.peaks[:, None])
    np.testing.assert_array_equal(held.peaks, [one.max() for one in maps])
    np.testing.assert_array_equal(held.scores, scores)


def test_the_pixels_that_are_kept_are_drawn_by_the_given_chance() -> None:
    maps = np.random.default_rng(0).random((2, 80, 80), np.float32)
    kept = keep_held_out(CalibrationConfig(), maps.max(axis=(1, 2)), maps, np.random.default_rng(5)).pixels
    np.testing.assert_array_equal(kept, sample_pixels(maps, np.random.default_rng(5)))
    assert not np.array_equal(kept, sample_pixels(maps, np.random.default_rng(6)))


def test_some_pixel_rules_look_at_all_pixels_and_the_others_at_the_peaks() -> None:
    """Whichever it is, the threshold rests on so many images."""
    pixels = np.random.default_rng(0).random(1000)
    peaks = np.array([3.0, 5.0, 4.0])
    found = {
        rule: pixel_threshold(
            CalibrationConfig(pixel_rule=rule, quantile=0.1, pixel_quantile=0.9, sigmas=2), peaks, pixels
        )
        for rule in ("quantile", "mean_sigma", "maximum", "conformal")
    }
    assert found["quantile"].value == np.quantile(pixels, 0.9)
    assert found["mean_sigma"].value == pytest.approx(pixels.mean() + 2 * pixels.std(ddof=1))
    assert found["maximum"].value == found["conformal"].value > 5
    assert {threshold.count for threshold in found.values()} == {3}


def test_zones_by_a_quantile_take_that_of_pixels_and_promise_nothing() -> None:
    maps = np.random.default_rng(0).random((20, 8, 8), np.float32)
    config = CalibrationConfig(pixel_rule="quantile", quantile=0.1, pixel_quantile=0.9, zones=(1, 2))
    held = keep_held_out(config, maps.max(axis=(1, 2)), maps, np.random.default_rng(0))
    zones = good_thresholds(config, held).zones
    assert zones is not None
    assert (zones.grid, zones.false_alarm_rate) == ((1, 2), None)
    for zone, column in zip(zones.zones, held.zone_peaks.T, strict=True):
        assert zone.value == np.quantile(column.astype(np.float64), 0.9)


def test_thresholds_of_other_fits_say_so_everywhere() -> None:
    maps = np.random.default_rng(0).random((20, 8, 8), np.float32)
    for zones in (None, (1, 2)):
        config = CalibrationConfig(zones=zones)
        held = keep_held_out(config, maps.max(axis=(1, 2)), maps, np.random.default_rng(0))
        before = good_thresholds(config, held)
        after = before.out_of(4)
        assert after == Thresholds(
            image=before.image.out_of(4),
            pixel=before.pixel.out_of(4),
            zones=None if before.zones is None else before.zones.out_of(4),
        )
        assert (after.image.rule.folds, after.pixel.rule.folds) == (4, 4)
        field = before.pixel_field((8, 8))
        assert (field is None) == (zones is None)


@pytest.mark.parametrize("rule", ["f1_max", "cost"])
def test_a_rule_of_labelled_images_says_what_to_add_where_there_are_none(rule: str) -> None:
    with pytest.raises(CalibrationError, match=f"{rule} needs a labelled validation split") as refused:
        image_threshold(CalibrationConfig(rule=rule), np.arange(3.0))
    assert "validation/good" in (refused.value.hint or "")
