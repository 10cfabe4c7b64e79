"""A flaw has the size that was asked for, wherever it lies and whatever the picture's size is."""

import numpy as np
import pytest
from tests.support import part_picture

from kizu.core.errors import ConfigError
from kizu.core.randomness import rng_for
from kizu.core.types import U8
from kizu.data.defects import PAINTERS
from kizu.data.sized import COMPACT, paint_sized


def coloured(hw: tuple[int, int]) -> U8:
    return np.full((*hw, 3), (120, 128, 140), np.uint8)


@pytest.mark.parametrize("kind", COMPACT)
@pytest.mark.parametrize("side", [6, 16, 40, 64])
@pytest.mark.parametrize("hw", [(200, 300), (640, 160)])
def test_a_flaw_is_as_long_as_was_asked(kind: str, side: int, hw: tuple[int, int]) -> None:
    flaw = paint_sized(coloured(hw), kind, side, rng_for(side, kind))
    rows, columns = np.nonzero(flaw.mask(hw))
    longest = max(np.ptp(rows), np.ptp(columns)) + 1
    assert abs(longest - side) <= max(2, 0.15 * side)


@pytest.mark.parametrize("kind", sorted(PAINTERS))
def test_only_its_place_changes(kind: str) -> None:
    image = coloured((150, 150))
    flaw = paint_sized(image, kind, 30, rng_for(1, kind))
    change = np.abs(flaw.on(image).astype(int) - image).max(axis=2)
    h, w = flaw.change.shape[:2]
    inside = np.zeros((150, 150), bool)
    inside[flaw.top : flaw.top + h, flaw.left : flaw.left + w] = True
    assert not change[~inside].any()
    assert (flaw.mask((150, 150)) <= inside).all()
    assert max(h, w) < 60
    assert np.array_equal(image, coloured((150, 150)))


def test_a_fainter_flaw_changes_less_at_the_same_place() -> None:
    image = coloured((150, 150))
    strong, faint = (paint_sized(image, "chip", 20, rng_for(3), strength=s) for s in (1.0, 0.5))
    assert (strong.top, strong.left) == (faint.top, faint.left)
    assert np.abs(strong.change - 2 * faint.change).max() <= 2


def test_a_grey_camera_sees_no_colour() -> None:
    grey = np.repeat(np.random.default_rng(0).integers(90, 140, (90, 90, 1), np.uint8), 3, axis=2)
    for seed in range(4):
        flawed = paint_sized(grey, "fibre", 40, rng_for(seed)).on(grey)
        assert np.array_equal(flawed[..., 0], flawed[..., 2])
    tinted = [paint_sized(coloured((90, 90)), "fibre", 40, rng_for(seed)).change for seed in range(4)]
    assert any(np.ptp(change, axis=2).max() > 20 for change in tinted)


def test_the_same_randomness_gives_the_same_flaw() -> None:
    image = part_picture(0, 120)
    one, same, other = (paint_sized(image, "stain", 20, rng_for(seed)) for seed in (0, 0, 1))
    assert (one.top, one.left) == (same.top, same.left)
    assert np.array_equal(one.change, same.change)
    assert (one.top, one.left) != (other.top, other.left)


@pytest.mark.parametrize("side", [1, 51])
def test_a_flaw_that_does_not_fit_is_refused(side: int) -> None:
    with pytest.raises(ConfigError, match="does not fit") as refused:
        paint_sized(coloured((100, 140)), "dent", side, rng_for(0))
    assert "2 to 50" in (refused.value.hint or "")
    with pytest.raises(ConfigError, match="dend"):
        paint_sized(coloured((100, 140)), "dend", 9, rng_for(0))
