"""Comparisons and probabilities against slow versions, tables and scikit-learn."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score

from kizu.core.errors import ConfigError, DataError
from kizu.metrics.auroc_interval import structural_components
from kizu.metrics.compare import (
    delong,
    exchange_test,
    holm,
    wilcoxon_over_categories,
)
from kizu.metrics.probability import brier, expected_calibration_error, fit_probability, reliability
from kizu.metrics.ranking import auroc
from kizu.metrics.undefined import Undefined


def drawn(seed: int = 0, count: int = 60, gain: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3 == 0
    first = np.round(rng.normal(size=count) + 2 * labels, 1)
    return labels, first, np.round(first + rng.normal(size=count) * gain, 1)


def test_structural_components_are_the_counts_of_pairs() -> None:
    labels, scores, _ = drawn()
    bad, good = structural_components(labels, scores)
    pairs = (scores[labels][:, None] > scores[~labels]) + 0.5 * (scores[labels][:, None] == scores[~labels])
    assert bad == pytest.approx(pairs.mean(axis=1))
    assert good == pytest.approx(pairs.mean(axis=0))
    assert bad.mean() == pytest.approx(roc_auc_score(labels, scores))


def test_delong_is_its_definition_where_images_are_many() -> None:
    labels, first, second = drawn(1, 3000)
    found = delong(labels, first, second)
    (a, b), (c, d) = structural_components(labels, first), structural_components(labels, second)
    error = np.sqrt(np.var(a - c, ddof=1) / a.size + np.var(b - d, ddof=1) / b.size)
    assert found.value == pytest.approx(roc_auc_score(labels, first) - roc_auc_score(labels, second))
    assert [found.low, found.high] == pytest.approx(
        [found.value - 1.96 * error, found.value + 1.96 * error], abs=0.1 * error
    )


def test_a_p_value_is_delongs_own_where_that_is_the_larger() -> None:
    """Independent scores, far from 1."""
    seen = 0
    for seed in range(20):
        labels, first, second = drawn(seed, 300, gain=0.5)
        (a, b), (c, d) = structural_components(labels, first), structural_components(labels, second)
        error = np.sqrt(np.var(a - c, ddof=1) / a.size + np.var(b - d, ddof=1) / b.size)
        own = 2 * norm.sf(abs(a.mean() - c.mean()) / error)
        found = delong(labels, first, second).p_value
        assert found >= own * (1 - 1e-9)
        seen += found == pytest.approx(own)
    assert seen > 0


def test_equal_methods_do_not_differ() -> None:
    labels, first, _ = drawn()
    found = delong(labels, first, 97 + 3 * first)
    assert (found.value, found.low, found.high, found.p_value) == (0, 0, 0, 1)


def test_one_image_of_a_kind_is_too_few() -> None:
    labels = np.arange(8) < 1
    with pytest.raises(Undefined, match="1 defective"):
        delong(labels, labels + 0.0, labels + 0.0)
    with pytest.raises(Undefined):
        exchange_test(labels & False, labels + 0.0, labels + 0.0, auroc, rng=np.random.default_rng(0))


def test_holm_by_hand() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == pytest.approx(
        {"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02}
    )
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


def test_wilcoxon_needs_categories_that_differ() -> None:
    first = [0.9, 0.8, 0.7, 0.95, 0.85, 0.75]
    second = [x - 0.01 * (i + 1) for i, x in enumerate(first)]
    assert wilcoxon_over_categories(first, second) == pytest.approx(2 / 2**6)
    with pytest.raises(Undefined, match="5 categories differ: 6 are needed"):
        wilcoxon_over_categories(first[:5], second[:5])  # the least p of five is 2 / 2^5: never significant
    with pytest.raises(Undefined, match="0 categories differ"):
        wilcoxon_over_categories(first, first)
    with pytest.raises(DataError):
        wilcoxon_over_categories(first, first[1:])


def test_a_fitted_probability_is_platts() -> None:
    labels, scores, _ = drawn(2, 90)
    fitted = fit_probability(labels, scores)
    bad, good = labels.sum(), (~labels).sum()
    soft = np.where(labels, (bad + 1) / (bad + 2), 1 / (good + 2))
    twice = np.concatenate([scores, scores])[:, None]
    weighted = LogisticRegression(C=1e10, tol=1e-10, max_iter=10_000).fit(
        twice, np.repeat([True, False], labels.size), sample_weight=np.concatenate([soft, 1 - soft])
    )
    assert fitted.slope == pytest.approx(weighted.coef_[0, 0], rel=1e-3)
    assert fitted.offset == pytest.approx(weighted.intercept_[0], rel=1e-3)
    assert fit_probability(labels, 97 + 3 * scores)(97 + 3 * scores) == pytest.approx(
        fitted(scores), abs=1e-4
    )


def test_a_perfect_separation_has_a_finite_slope() -> None:
    labels = np.arange(20) < 5
    found = fit_probability(labels, np.where(labels, 9.0, 1.0))
    assert np.isfinite(found.slope)
    assert found(np.array([1.0, 9.0])) == pytest.approx([1 / 17, 6 / 7], abs=1e-3)
    with pytest.raises(Undefined, match="no defective"):
        fit_probability(labels & False, np.ones(20))


def test_brier_and_reliability() -> None:
    rng = np.random.default_rng(3)
    probabilities = rng.random(400)
    labels = rng.random(400) < probabilities**2
    assert brier(labels, probabilities) == pytest.approx(brier_score_loss(labels, probabilities))
    rows = reliability(labels, probabilities, bins=5)
    inside = (probabilities >= 0.2) & (probabilities < 0.4)
    assert rows.count[1] == inside.sum()
    assert rows.predicted[1] == pytest.approx(probabilities[inside].mean())
    assert rows.observed[1] == pytest.approx(labels[inside].mean())
    by_hand = sum(c * abs(p - o) for c, p, o in zip(rows.count, rows.predicted, rows.observed, strict=True))
    assert expected_calibration_error(labels, probabilities, bins=5) == pytest.approx(by_hand / 400)
    assert expected_calibration_error(np.array([True, False]), np.array([1.0, 0.0])) == 0
    with pytest.raises(ConfigError, match="fit_probability"):
        brier(labels, 5 * probabilities)
