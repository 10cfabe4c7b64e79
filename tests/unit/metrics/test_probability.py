"""A probability that is shown rises with the score, is finite, and is measured in bins that hold every image once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kizu.core.errors import ConfigError
from kizu.metrics.probability import (
    ProbabilityMap,
    brier,
    expected_calibration_error,
    fit_probability,
    reliability,
)
from kizu.metrics.undefined import Undefined

LABELS = np.array([False, False, True, False, True, True])


@given(st.integers(0, 10_000), st.floats(-4, 4), st.sampled_from([1e-3, 1.0, 1e4]))
def test_a_higher_score_is_never_less_probable(seed: int, shift: float, scale: float) -> None:
    """Whatever the validation images say: even where good ones score higher, the map does not fall."""
    rng = np.random.default_rng(seed)
    labels = rng.random(40) < 0.4
    labels[:2] = [True, False]
    scores = scale * (rng.normal(size=40) + shift * labels)
    found = fit_probability(labels, scores)
    assert found.slope >= 0
    probabilities = found(np.sort(scores))
    assert (np.diff(probabilities) >= 0).all()
    assert ((probabilities > 0) & (probabilities < 1)).all()


def test_a_score_that_tells_nothing_gives_the_share_of_defects() -> None:
    """Platt's softened targets: (1 + 1) / (1 + 2) for one defect, 1 / (5 + 2) for each of five good ones."""
    labels = np.arange(6) < 1
    soft = (2 / 3 + 5 / 7) / 6
    assert fit_probability(labels, np.ones(6))(np.ones(1)) == pytest.approx([soft], abs=1e-4)
    falling = fit_probability(np.arange(60) < 10, -np.arange(60.0) + 60 * (np.arange(60) >= 10))
    assert falling.slope == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("good", [1, 5])
def test_one_image_of_each_kind_is_enough(good: int) -> None:
    labels = np.array([True, *[False] * good])
    found = fit_probability(labels, np.where(labels, 2.0, 1.0))
    assert found(np.array([1.0, 2.0])) == pytest.approx([1 / (good + 2), 2 / 3], abs=1e-3)


@pytest.mark.parametrize(
    ("labels", "said"), [(LABELS & False, "no defective images"), (LABELS | True, "no good images")]
)
def test_one_kind_alone_tells_no_probability(labels: np.ndarray, said: str) -> None:
    with pytest.raises(Undefined, match=rf"^{said}$"):
        fit_probability(labels, np.arange(6.0))


def test_scores_of_any_width_give_the_same_map() -> None:
    scores = np.array([1, 2, 4, 3, 5, 7])
    found = [fit_probability(LABELS, scores.astype(kind)) for kind in (np.float32, np.float64)]
    assert found[0].slope == pytest.approx(found[1].slope, rel=1e-6)
    assert ProbabilityMap(2.0, -8.0)(np.array([4], np.float32)).dtype == np.float64
    assert ProbabilityMap(2.0, -8.0)(np.array([4, 5])) == pytest.approx([0.5, 1 / (1 + np.exp(-2))])


def test_bins_hold_their_lower_end_and_the_last_its_upper_too() -> None:
    rows = reliability(LABELS, np.array([0.0, 0.1, 0.19, 0.95, 0.9, 1.0]))
    assert rows.count == (1, 2, 3)
    assert rows.predicted == pytest.approx((0.0, 0.145, 0.95))
    assert rows.observed == pytest.approx((0.0, 0.5, 2 / 3))
    assert reliability(LABELS, np.full(6, 0.5), bins=1).count == (6,)


@given(st.integers(1, 30), st.integers(0, 1000))
def test_every_image_is_in_one_bin(bins: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    probabilities = np.round(rng.random(50), 2)
    labels = rng.random(50) < probabilities
    rows = reliability(labels, probabilities, bins)
    assert sum(rows.count) == 50
    assert len(rows.count) <= bins
    assert list(rows.predicted) == sorted(rows.predicted)
    total = sum(count * observed for count, observed in zip(rows.count, rows.observed, strict=True))
    assert total == pytest.approx(labels.sum())


def test_ten_bins_are_the_rule() -> None:
    probabilities = (np.arange(100) + 0.5) / 100
    labels = np.arange(100) % 3 == 0
    assert len(reliability(labels, probabilities).count) == 10
    assert expected_calibration_error(labels, probabilities) == expected_calibration_error(
        labels, probabilities, 10
    )


@pytest.mark.parametrize("bins", [0, -1])
def test_no_bins_are_refused(bins: int) -> None:
    with pytest.raises(ConfigError, match=f"bins must be at least 1, got {bins}"):
        reliability(LABELS, np.full(6, 0.5), bins)


@pytest.mark.parametrize("measure", [brier, reliability, expected_calibration_error])
def test_what_is_no_probability_is_refused_with_what_to_do(measure) -> None:
    for wrong in (-0.01, 1.01, 1.5):
        with pytest.raises(ConfigError, match=r"^probabilities lie in \[0, 1\]") as refused:
            measure(LABELS, np.array([0.5, 0.5, 0.5, 0.5, 0.5, wrong]))
        assert refused.value.hint == "raw scores go through fit_probability first"
    with pytest.raises(Undefined, match=r"^no images$"):
        measure(LABELS[:0], np.empty(0))


def test_one_image_can_be_measured() -> None:
    assert brier(np.array([True]), np.array([0.75])) == pytest.approx(0.0625)
    assert expected_calibration_error(np.array([True]), np.array([0.75])) == pytest.approx(0.25)
