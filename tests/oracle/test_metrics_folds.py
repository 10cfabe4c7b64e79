"""AUROC within folds against counting, its interval against how often it covers."""

import numpy as np
import pytest

from kizu.core.errors import DataError
from kizu.metrics.folds import FoldScores, compare_folds


def fold(
    rng: np.random.Generator, flawed: int, good: int, first: float, second: float, start: int
) -> FoldScores:
    labels = np.arange(flawed + good) < flawed
    shared = rng.standard_normal(flawed + good)  # both methods find the same images hard
    noise = rng.standard_normal((2, flawed + good))
    scores = [
        (0.7 * shared + 0.7 * own + shift * labels).astype(np.float32)
        for own, shift in zip(noise, (first, second), strict=True)
    ]
    return FoldScores(labels, scores[0], scores[1], np.arange(start, start + flawed + good))


def test_the_auroc_is_that_of_pairs_within_a_fold_each_defect_counting_alike() -> None:
    rng = np.random.default_rng(0)
    folds = [fold(rng, 3, 7, 1, 0, 0), fold(rng, 5, 4, 1, 0, 100)]
    found = compare_folds(folds)
    for name, value in (("first", found.first), ("second", found.second)):
        each = []
        for one in folds:
            scores = getattr(one, name)
            good = scores[~one.defective]
            each += [np.mean((score > good) + 0.5 * (score == good)) for score in scores[one.defective]]
        assert value == pytest.approx(np.mean(each))
    assert found.low <= found.value <= found.high


def test_scores_of_different_fits_are_never_compared() -> None:
    rng = np.random.default_rng(1)
    folds = [fold(rng, 4, 10, 1, 0.5, start) for start in (0, 100, 200)]
    shifted = [
        FoldScores(f.defective, f.first + 50 * n, 3 * f.second - n, f.groups) for n, f in enumerate(folds)
    ]
    assert compare_folds(shifted) == compare_folds(folds)


@pytest.mark.parametrize(("first", "second"), [(1.0, 1.0), (1.6, 1.0)])
def test_the_interval_covers_the_true_difference(first: float, second: float) -> None:
    large = fold(np.random.default_rng(9), 4000, 4000, first, second, 0)
    truth = compare_folds([large]).value
    covered = above = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        found = compare_folds([fold(rng, 4, 12, first, second, 100 * n) for n in range(5)])
        covered += found.low <= truth <= found.high
        above += found.low > 0
    assert covered / 300 > 0.91
    if first == second:
        assert above / 300 < 0.06  # how often nothing would be offered as better


def test_copies_are_no_evidence() -> None:
    rng = np.random.default_rng(2)
    folds = [fold(rng, 4, 12, 1.2, 1, 100 * n) for n in range(5)]
    copied = [
        FoldScores(*(np.repeat(v, 4) for v in (f.defective, f.first, f.second, f.groups))) for f in folds
    ]
    one, many = compare_folds(folds), compare_folds(copied)
    assert many.value == pytest.approx(one.value)
    assert many.high - many.low == pytest.approx(one.high - one.low, rel=0.01)


def test_too_few_parts_are_refused() -> None:
    rng = np.random.default_rng(3)
    with pytest.raises(DataError, match="4 parts with defects"):
        compare_folds([fold(rng, 2, 9, 1, 0, 0), fold(rng, 2, 9, 1, 0, 100)])
    with pytest.raises(DataError, match="alone"):
        compare_folds([fold(rng, 9, 0, 1, 0, 0)])
