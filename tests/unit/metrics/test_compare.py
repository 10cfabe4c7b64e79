"""Comparisons say what they rest on, count what they say they count, and refuse what they cannot compare."""

import numpy as np
import pytest
from scipy.stats import norm

from kizu.core.errors import ConfigError, DataError
from kizu.metrics.compare import delong, holm, paired_bootstrap, wilcoxon_over_categories
from kizu.metrics.ranking import auroc

LABELS = np.arange(40) % 2 == 0


def scores(seed: int, shift: float) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=LABELS.size) + shift * LABELS


FIRST, SECOND = scores(0, 1.0), scores(1, 0.8)


def by_hand(resamples: int, seed: int) -> np.ndarray:
    """The redrawn differences, one after the other, by the generator's own draws."""
    rng = np.random.default_rng(seed)
    sides = np.flatnonzero(LABELS), np.flatnonzero(~LABELS)
    found = []
    for _ in range(resamples):
        drawn = np.concatenate([rng.choice(side, side.size) for side in sides])
        found.append(auroc(LABELS[drawn], FIRST[drawn]) - auroc(LABELS[drawn], SECOND[drawn]))
    return np.array(found)


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_the_interval_cuts_equal_tails(level: float) -> None:
    found = paired_bootstrap(
        LABELS, FIRST, SECOND, auroc, rng=np.random.default_rng(5), resamples=200, level=level
    )
    low, high = np.quantile(by_hand(200, 5), [(1 - level) / 2, (1 + level) / 2])
    assert (found.low, found.high) == (low, high)
    assert found.value == auroc(LABELS, FIRST) - auroc(LABELS, SECOND)


def test_the_p_value_is_twice_the_smaller_side_and_never_nothing() -> None:
    found = paired_bootstrap(LABELS, FIRST, SECOND, auroc, rng=np.random.default_rng(5), resamples=200)
    apart = by_hand(200, 5)
    smaller = min((apart <= 0).sum(), (apart >= 0).sum())
    assert 0 < smaller < 100
    assert found.p_value == pytest.approx(2 * (smaller + 1) / 201)
    other = paired_bootstrap(LABELS, SECOND, FIRST, auroc, rng=np.random.default_rng(5), resamples=200)
    assert other.p_value == pytest.approx(found.p_value)
    assert (other.value, other.low, other.high) == pytest.approx((-found.value, -found.high, -found.low))
    clear = paired_bootstrap(
        LABELS, 9.0 * LABELS, -9.0 * LABELS, auroc, rng=np.random.default_rng(5), resamples=200
    )
    assert clear.p_value == pytest.approx(2 / 201)


def test_a_comparison_says_how_it_was_made() -> None:
    found = paired_bootstrap(LABELS, FIRST, SECOND, auroc, rng=np.random.default_rng(0))
    assert found.method == "paired percentile bootstrap, 2000 resamples"
    assert delong(LABELS, FIRST, SECOND).method == "DeLong"


@pytest.mark.parametrize(
    ("settings", "got"),
    [
        ({"resamples": 0}, "got 0 and 0.95"),
        ({"resamples": 5, "level": 0.0}, "got 5 and 0.0"),
        ({"resamples": 5, "level": 1.0}, "got 5 and 1.0"),
        ({"resamples": 5, "level": 1.5}, "got 5 and 1.5"),
    ],
)
def test_settings_outside_their_range_are_refused(settings: dict[str, float], got: str) -> None:
    with pytest.raises(ConfigError, match=got):
        paired_bootstrap(LABELS, FIRST, SECOND, auroc, rng=np.random.default_rng(0), **settings)  # type: ignore[arg-type]
    once = paired_bootstrap(LABELS, FIRST, SECOND, auroc, rng=np.random.default_rng(0), resamples=1)
    assert once.low == once.high


def test_delongs_p_value_is_two_sided() -> None:
    found = delong(LABELS, FIRST, SECOND, level=0.9)
    error = (found.high - found.value) / norm.ppf(0.95)
    assert found.value - found.low == pytest.approx(found.high - found.value)
    assert found.p_value == pytest.approx(2 * norm.sf(abs(found.value) / error))
    assert delong(LABELS, SECOND, FIRST).p_value == pytest.approx(found.p_value)


def test_a_difference_without_any_error_is_certain() -> None:
    """One method is always right and the other always wrong: no redrawn image would change it."""
    found = delong(LABELS, LABELS + 0.0, ~LABELS + 0.0)
    assert (found.value, found.low, found.high, found.p_value) == (1, 1, 1, 0)


def test_categories_that_do_not_pair_are_counted() -> None:
    with pytest.raises(DataError, match="3 and 2 categories cannot be paired"):
        wilcoxon_over_categories([0.1, 0.2, 0.3], [0.1, 0.2])


def test_corrected_p_values_keep_the_order_they_were_given_in_and_never_fall() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        given = {f"{i}": float(p) for i, p in enumerate(rng.random(7) ** 3)}
        found = holm(given)
        assert list(found) == list(given)
        assert all(given[name] <= found[name] <= 1 for name in given)
        ranked = sorted(given, key=lambda name: given[name])
        assert [found[name] for name in ranked] == sorted(found.values())
        assert found[ranked[0]] == pytest.approx(min(1, 7 * given[ranked[0]]))
