"""Whether two samples of scores look as if drawn from one hat."""

from itertools import combinations

import numpy as np
import pytest

from kizu.core.errors import CalibrationError
from kizu.decision.exchangeable import LEVEL, compare_samples


def compare(fitted: list[float], held: list[float]):  # type: ignore[no-untyped-def]
    return compare_samples(np.array(fitted), np.array(held), rng=np.random.default_rng(0))


def p_by_counting(fitted: list[float], held: list[float]) -> float:
    """Of all ways to part the scores, how many have as many wins or more, or as few or fewer: the rarer, twice."""
    scores = np.array(fitted + held)

    def wins(chosen: tuple[int, ...]) -> float:
        inside = np.isin(np.arange(len(scores)), chosen)
        return float(sum((h > f) + (h == f) / 2 for h in scores[inside] for f in scores[~inside]))

    seen = wins(tuple(range(len(fitted), len(scores))))
    every = np.array([wins(chosen) for chosen in combinations(range(len(scores)), len(held))])
    return float(min(1, 2 * min(np.mean(every >= seen - 1e-9), np.mean(every <= seen + 1e-9))))


@pytest.mark.parametrize("seed", range(4))
def test_small_samples_are_counted_out(seed: int) -> None:
    rng = np.random.default_rng(seed)
    fitted, held = rng.normal(size=6).tolist(), rng.normal(0.8, size=4).tolist()
    assert compare(fitted, held).p_value == pytest.approx(p_by_counting(fitted, held))


def test_ties_are_drawn() -> None:
    fitted, held = [1.0, 1.0, 2.0, 2.0, 3.0], [2.0, 3.0, 3.0, 4.0]
    assert compare(fitted, held).p_value == pytest.approx(p_by_counting(fitted, held), abs=0.02)


def test_samples_of_one_law_seldom_warn() -> None:
    rng = np.random.default_rng(1)
    found = [compare(rng.normal(size=60).tolist(), rng.normal(size=30).tolist()) for _ in range(400)]
    assert np.mean([one.warning() is not None for one in found]) <= 3 * LEVEL
    assert np.mean([one.p_value < 0.5 for one in found]) == pytest.approx(0.5, abs=0.08)


def test_siblings_on_both_sides_warn() -> None:
    rng = np.random.default_rng(1)
    warning = compare((rng.normal(size=60) + 2).tolist(), rng.normal(size=30).tolist()).warning()
    assert warning is not None
    assert "lower" in warning
    assert "p = " in warning
    higher = compare(rng.normal(size=60).tolist(), (rng.normal(size=30) + 2).tolist()).warning()
    assert higher is not None
    assert "higher" in higher


def test_raw_scores_of_any_scale_give_the_same() -> None:
    fitted, held = [1.0, 5.0, 2.0, 8.0, 9.0], [3.0, 4.0, 7.0]
    assert compare(fitted, held) == compare([1e6 + 3 * x for x in fitted], [1e6 + 3 * x for x in held])


def test_few_scores_cannot_tell() -> None:
    found = compare([1.0, 2.0, 3.0], [9.0])
    assert found.least_p_value == 0.5
    assert not found.can_tell()
    assert found.warning() is None
    assert compare(list(range(10)), list(range(20, 30))).can_tell()


def test_nothing_and_no_numbers_are_refused() -> None:
    with pytest.raises(CalibrationError, match="0 fitted"):
        compare([], [1.0])
    with pytest.raises(CalibrationError, match="finite"):
        compare([1.0], [float("nan")])
