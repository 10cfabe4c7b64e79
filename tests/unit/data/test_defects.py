"""A painted flaw is where its mask says, and nowhere else."""

import numpy as np
import pytest

from kizu.core.randomness import rng_for
from kizu.data.defects import PAINTERS
from kizu.data.discs import draw_disc

KINDS = sorted(PAINTERS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(6))
def test_the_mask_is_where_the_image_changed(kind: str, seed: int) -> None:
    disc = draw_disc(rng_for(seed, "disc"), 256)
    flawed = PAINTERS[kind](disc.image, rng_for(seed, kind), disc.part)
    change = np.abs(flawed.image.astype(int) - disc.image).max(axis=2)
    assert flawed.image.shape == disc.image.shape
    assert flawed.mask.any()
    assert flawed.mask.mean() < 0.1
    assert change[flawed.mask].mean() > 15
    assert change[~flawed.mask].mean() < 0.5
    assert np.count_nonzero(change > 60) <= np.count_nonzero(flawed.mask)


@pytest.mark.parametrize("kind", KINDS)
def test_a_flaw_stays_on_the_part_and_the_image_is_left_alone(kind: str) -> None:
    disc = draw_disc(rng_for(0, "disc"), 128)
    before = disc.image.copy()
    flawed = PAINTERS[kind](disc.image, rng_for(0, kind), disc.part)
    assert np.array_equal(disc.image, before)
    corner = np.s_[:10, :10]
    assert np.array_equal(flawed.image[corner], before[corner])
    if kind != "chip":  # a chip takes the part's rim along
        assert not (flawed.mask & ~disc.part).any()


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_randomness_gives_the_same_flaw(kind: str) -> None:
    plate = np.full((90, 140, 3), 128, np.uint8)
    one, same, other = (PAINTERS[kind](plate, rng_for(seed, kind), None) for seed in (0, 0, 1))
    assert np.array_equal(one.image, same.image)
    assert np.array_equal(one.mask, same.mask)
    assert not np.array_equal(one.mask, other.mask)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hw", [(1, 1), (2, 9), (40, 17)])
def test_any_size_and_any_part_can_be_flawed(kind: str, hw: tuple[int, int]) -> None:
    plate = np.full((*hw, 3), 128, np.uint8)
    for part in (None, np.ones(hw, bool), np.zeros(hw, bool)):
        flawed = PAINTERS[kind](plate, rng_for(0, kind), part)
        assert flawed.mask.shape == hw
        assert flawed.mask.any()


def test_no_two_discs_are_alike_but_each_can_be_drawn_again() -> None:
    one, same, other = (draw_disc(rng_for(seed, "disc"), 64) for seed in (0, 0, 1))
    assert np.array_equal(one.image, same.image)
    assert not np.array_equal(one.image, other.image)
    assert 0.3 < one.part.mean() < 0.6
    assert not one.part[32, 32]  # the bore
