"""What is said of painted flaws is the AUROC, and a difference is more than chance when pictures bear it out."""

import numpy as np
import pytest

from kizu.lab.judged import Judged, compare
from kizu.metrics.ranking import auroc

PICTURES, EACH = 20, 3


def judged(good: np.ndarray, flawed: np.ndarray) -> Judged:
    """`good` (N,), `flawed` (P, EACH), of the first P pictures."""
    scores, owner, side = [], [], []
    for number, score in enumerate(good):
        own = flawed[number].tolist() if number < len(flawed) else []
        scores += [score, *own]
        owner += [number] * (1 + len(own))
        side += [0, *[(4, 8, 16)[k % 3] for k in range(len(own))]]
    return Judged(np.array(scores, np.float32), np.array(owner), np.array(side), np.arange(len(good)))


def drawn(seed: int, shift: float, painted: int = PICTURES) -> Judged:
    rng = np.random.default_rng(seed)
    return judged(rng.normal(size=PICTURES), rng.normal(shift, 1, (painted, EACH)))


def test_it_is_the_auroc_of_all_and_of_one_side() -> None:
    one = drawn(0, 0.7)
    assert one.auroc() == pytest.approx(auroc(one.is_flawed, one.scores))
    of = (one.side_px == 0) | (one.side_px == 8)
    assert one.auroc(8) == pytest.approx(auroc(one.is_flawed[of], one.scores[of]))
    assert one.auroc(8) != one.auroc(4)
    assert len(one.good) == PICTURES
    assert one.found(0.5, 16).tolist() == (one.scores[one.side_px == 16] > 0.5).tolist()


def test_equal_scores_count_half() -> None:
    same = judged(np.zeros(4), np.zeros((4, 1)))
    assert same.auroc() == 0.5


def test_a_fit_does_not_differ_from_itself() -> None:
    off = compare(drawn(0, 1), drawn(0, 1))
    assert (off.mean, off.low, off.high) == (0, 0, 0)
    assert off.is_noise


def test_a_difference_is_one_less_the_other_over_other_pictures() -> None:
    other = drawn(2, 0.2, painted=12)
    one = judged(np.zeros(PICTURES), np.ones((12, EACH)))
    off = compare(one, other)
    table = 1.0 - other.table()
    apart = ~np.eye(12, PICTURES, dtype=bool)
    assert off.mean == pytest.approx(table[apart].mean())
    assert off.low > 0
    assert not off.is_noise
    back = compare(other, one)
    assert back.mean == pytest.approx(-off.mean)
    assert back.high < 0


def test_chance_is_seldom_taken_for_a_difference() -> None:
    """Two fits that see alike: 5 % at either end, of 60 draws."""
    beyond = sum(not compare(drawn(2 * k, 0.5), drawn(2 * k + 1, 0.5)).is_noise for k in range(60))
    assert beyond <= 14


def test_a_smaller_level_widens_the_interval() -> None:
    wide, narrow = (compare(drawn(0, 1), drawn(1, 0.6), level=level) for level in (0.01, 0.1))
    assert wide.high - wide.low > narrow.high - narrow.low


def test_one_picture_tells_a_mean() -> None:
    one, other = judged(np.zeros(1), np.ones((1, 3))), judged(np.zeros(1), -np.ones((1, 3)))
    assert compare(one, other).mean == 1


def test_pictures_of_one_group_are_one_witness() -> None:
    """Each picture four times: the interval stays as wide as that of the single ones."""
    from dataclasses import replace

    def four(one: Judged) -> Judged:
        flawed = one.scores[one.is_flawed].reshape(PICTURES, EACH)
        copied = judged(np.tile(one.good, 4), np.tile(flawed, (4, 1)))
        return replace(copied, groups=np.tile(np.arange(PICTURES), 4))

    single = compare(drawn(0, 1), drawn(1, 0.6))
    copies = compare(four(drawn(0, 1)), four(drawn(1, 0.6)))
    assert copies.mean == pytest.approx(single.mean)
    assert copies.high - copies.low == pytest.approx(single.high - single.low, rel=0.02)
    alone = replace(four(drawn(0, 1)), groups=np.arange(4 * PICTURES))
    narrow = compare(alone, replace(four(drawn(1, 0.6)), groups=alone.groups))
    assert narrow.high - narrow.low < 0.7 * (single.high - single.low)
