import math

import numpy as np
import pytest

from kizu.core.errors import CalibrationError, LeakageError
from kizu.core.split import Split
from kizu.decision.calibration import CalibrationConfig, image_threshold, pixel_threshold, sample_pixels
from kizu.decision.thresholds import Threshold, conformal, f1_max, quantile, smallest_count, tightest_rate


@pytest.mark.parametrize(("rate", "needed"), [(0.05, 19), (0.01, 99), (0.005, 199)])
def test_conformal_needs_the_count_it_says(rate: float, needed: int) -> None:
    assert smallest_count(rate) == needed
    conformal(np.arange(needed, dtype=np.float32), rate)
    with pytest.raises(CalibrationError, match=f"{needed - 1} calibration images") as error:
        conformal(np.arange(needed - 1, dtype=np.float32), rate)
    assert error.value.hint is not None
    assert f"at least {needed}" in error.value.hint


def test_conformal_is_the_right_order_statistic() -> None:
    scores = np.random.default_rng(0).permutation(200).astype(np.float32)
    for rate in (0.005, 0.01, 0.05, 0.1, 0.5):
        assert conformal(scores, rate).value == np.sort(scores)[math.ceil(201 * (1 - rate) - 1e-9) - 1]


def test_conformal_keeps_its_promise() -> None:
    """Averaged over draws of the calibration set, a new good score exceeds the threshold with at most the rate."""
    rng = np.random.default_rng(1)
    rate, alarms = 0.05, []
    for _ in range(3000):
        threshold = conformal(rng.gumbel(size=39), rate)
        alarms.append(np.mean(rng.gumbel(size=50) > threshold.value))
    spread = np.std(alarms) / math.sqrt(len(alarms))
    assert np.mean(alarms) <= rate + 3 * spread
    assert np.mean(alarms) >= rate - 1 / 40 - 3 * spread  # and it is not needlessly wide


def test_without_a_rate_the_tightest_that_the_images_support_is_promised() -> None:
    few = image_threshold(CalibrationConfig(), np.arange(9, dtype=np.float32))
    assert few.false_alarm_rate == pytest.approx(0.1)
    assert few.value == 8
    many = image_threshold(CalibrationConfig(), np.arange(1000, dtype=np.float32))
    assert many.false_alarm_rate == pytest.approx(0.01)
    assert tightest_rate(1, 0.01) == 0.5


def test_a_given_rate_is_kept_or_refused() -> None:
    with pytest.raises(CalibrationError, match="cannot support"):
        image_threshold(CalibrationConfig(false_alarm_rate=0.01), np.arange(9, dtype=np.float32))


def test_quantile_interpolates_and_promises_nothing() -> None:
    threshold = quantile(np.array([0.0, 1.0, 2.0, 3.0, 4.0]), 0.9)
    assert threshold.value == pytest.approx(3.6)
    assert threshold.false_alarm_rate is None
    assert "no guarantee" in threshold.describe()


def test_ng_is_strictly_above() -> None:
    threshold = conformal(np.ones(19, dtype=np.float32), 0.05)
    assert not threshold.exceeded_by(1.0)
    assert threshold.exceeded_by(np.nextafter(1.0, 2.0))


def f1_by_trying(scores: np.ndarray, defective: np.ndarray, cut: float) -> float:
    ng = scores > cut
    return 2 * np.sum(ng & defective) / (np.sum(ng) + np.sum(defective))


def test_f1_max_is_the_best_of_all_cuts() -> None:
    rng = np.random.default_rng(2)
    for _ in range(50):
        scores = rng.integers(0, 12, 30).astype(np.float32)
        defective = rng.random(30) < 0.3
        defective[:2] = [True, False]
        best = max(f1_by_trying(scores, defective, cut) for cut in np.arange(-1, 13) + 0.5)
        assert f1_by_trying(scores, defective, f1_max(scores, defective).value) == pytest.approx(best)


def test_f1_max_needs_both_kinds() -> None:
    with pytest.raises(CalibrationError, match="3 good and 0 defective"):
        f1_max(np.arange(3, dtype=np.float32), np.zeros(3, dtype=bool))
    with pytest.raises(CalibrationError, match="has none"):
        image_threshold(CalibrationConfig(rule="f1_max"), np.arange(3, dtype=np.float32))


def test_the_test_split_sets_nothing() -> None:
    with pytest.raises(LeakageError):
        Threshold(value=1.0, rule="f1_max", split=Split.TEST, count=10)
    with pytest.raises(LeakageError):
        quantile(np.arange(5, dtype=np.float32), 0.5, split=Split.TEST)


@pytest.mark.parametrize("scores", [np.empty(0), np.array([1.0, np.nan])])
def test_no_scores_and_broken_scores_are_refused(scores: np.ndarray) -> None:
    with pytest.raises(CalibrationError):
        quantile(scores, 0.5)


def test_the_pixel_threshold_rests_on_peaks_or_on_pixels() -> None:
    peaks = np.arange(19, dtype=np.float32)
    pixels = np.linspace(0, 1, 1001, dtype=np.float32)
    assert pixel_threshold(CalibrationConfig(), peaks, pixels).value == 18
    by_quantile = pixel_threshold(CalibrationConfig(pixel_rule="quantile", pixel_quantile=0.9), peaks, pixels)
    assert by_quantile.value == pytest.approx(0.9)
    assert by_quantile.count == 19


def test_a_sample_of_pixels_is_bounded_and_drawn_from_each_image() -> None:
    maps = np.stack([np.full((100, 100), value, dtype=np.float32) for value in (1, 2, 3)])
    sample = sample_pixels(maps, np.random.default_rng(0))
    assert np.unique(sample, return_counts=True)[1].tolist() == [4096] * 3
    assert len(sample_pixels(maps[:, :5, :5], np.random.default_rng(0))) == 75
