"""A painted flaw can be seen, is where its mask says and nowhere else, and follows from seed, image and turn."""

from collections import Counter

import numpy as np
import pytest
from tests.support import part_picture

from kizu.core.errors import DataError
from kizu.core.randomness import rng_for
from kizu.core.types import U8
from kizu.data.defects import KINDS, STAGES, paint_stages
from kizu.data.defects.stages import BLEND, SEEN_CHANGE, SEEN_PART, paint_kind
from kizu.data.defects.textures import perlin_noise
from kizu.data.sheet import stage_sheet

OTHERS = [part_picture(seed, 96) for seed in (50, 51)]


def coloured(seed: int) -> U8:
    return np.random.default_rng(seed).integers(60, 200, (80, 100, 3), np.uint8)


@pytest.mark.parametrize(("stage", "kind"), KINDS)
def test_the_mask_is_where_the_image_changed(stage: str, kind: str) -> None:
    image = coloured(1)
    before = image.copy()
    found = [paint_kind(image, stage, kind, rng_for(seed, kind), OTHERS) for seed in range(30)]
    seen = [painted for painted in found if painted is not None]
    assert len(seen) >= 20
    assert np.array_equal(image, before)
    for painted in seen:
        change = np.abs(painted.image.astype(int) - image).max(axis=2)
        assert painted.mask.any()
        assert (change[painted.mask] >= SEEN_CHANGE).mean() >= SEEN_PART
        rim = np.pad(painted.mask, 2)
        near = np.any([np.roll(rim, (dy, dx), (0, 1)) for dy in range(-2, 3) for dx in range(-2, 3)], axis=0)[
            2:-2, 2:-2
        ]
        assert (change[~near] == 0).mean() > 0.998  # a ragged cloud fades out over some pixels


@pytest.mark.parametrize("stage", STAGES)
def test_sides_and_opacities_are_those_of_the_table(stage: str) -> None:
    image = coloured(2)
    found = [paint_stages(image, f"{n}.png", 0, OTHERS, stages=(stage,)) for n in range(200)]
    low, high = STAGES[stage].sides
    sides = np.array([painted.side_px for painted in found]) / 80
    assert sides.min() >= low - 1e-9
    assert sides.max() <= high + 1e-9
    middle = float(np.mean(np.log(sides) < np.log(low * high) / 2))
    assert 0.3 < middle < 0.7  # as many below the geometric mean as above: uniform in the logarithm
    assert {painted.kind for painted in found} == set(STAGES[stage].kinds)
    for painted in found:
        least, most = STAGES[stage].opacities[painted.kind]
        assert least <= painted.opacity <= most
    if stage == "context":
        assert {painted.opacity for painted in found if painted.kind == "blend"} == {BLEND}


def test_all_stages_come_about_as_often() -> None:
    counts = Counter(paint_stages(coloured(3), str(n), 0, OTHERS).stage for n in range(150))
    assert min(counts[stage] for stage in STAGES) > 30


def test_the_same_seed_image_and_turn_give_the_same_flaw_whatever_else_is_painted() -> None:
    image = part_picture(3, 96)
    first = paint_stages(image, "a.png", 4, OTHERS)
    paint_stages(image, "b.png", 4, OTHERS)
    assert np.array_equal(paint_stages(image, "a.png", 4, OTHERS).image, first.image)
    for other in (
        paint_stages(image, "b.png", 4, OTHERS),
        paint_stages(image, "a.png", 5, OTHERS),
        paint_stages(image, "a.png", 4, OTHERS, turn=1),
    ):
        assert not np.array_equal(other.image, first.image)


def test_a_grey_picture_stays_grey() -> None:
    for n in range(40):
        found = paint_stages(part_picture(1, 64), str(n), 0, [coloured(1)]).image
        assert (found == found[..., :1]).all()


def test_a_flaw_that_nobody_could_see_is_refused_by_name() -> None:
    with pytest.raises(DataError, match=r"plain\.png: no flaw of context"):
        paint_stages(np.full((64, 64, 3), 0, np.uint8), "plain.png", 0, stages=("context",))
    with pytest.raises(DataError, match=r"small\.png is 8 x 64 pixels"):
        paint_stages(np.zeros((8, 64, 3), np.uint8), "small.png", 0)


def test_gradient_noise_is_smooth_and_within_one() -> None:
    noise = perlin_noise((64, 90), rng_for(0, "noise"))
    assert np.abs(noise).max() <= 1
    assert np.abs(np.diff(noise, axis=1)).max() < 0.5


def test_the_sheet_has_a_row_for_each_kind() -> None:
    images = [coloured(1), coloured(2)]
    one, same, other = (stage_sheet(images, seed, tile_px=60) for seed in (0, 0, 1))
    rows = one.shape[0] / len(KINDS)
    assert 60 <= rows <= 120
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
