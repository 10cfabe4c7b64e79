"""Settings of thresholds: what holds where nothing is said, and what is refused before a fit."""

import numpy as np
import pytest

from kizu.core.errors import ConfigError
from kizu.decision.calibration import PIXELS_PER_IMAGE, CalibrationConfig, keep_held_out, sample_pixels


def test_what_holds_where_nothing_is_said() -> None:
    assert CalibrationConfig().model_dump() == {
        "fraction": 0.1,
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
