"""What judges a fit was never seen by it, and is the same for all fits."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.support import BASE, category

from kizu.core.errors import DataError
from kizu.data.manifest import Manifest
from kizu.imaging.codec import decode
from kizu.imaging.placement import PlacementConfig, place
from kizu.lab.painted import FlawPlan, paint_held, part_good

PLAN = FlawPlan(("chip", "dent"), (6, 12))


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return category(tmp_path_factory.mktemp("set"), "plate", 0)


def grouped(plate: Manifest, size: int) -> Manifest:
    good = iter(range(99))
    return replace(
        plate,
        samples=tuple(
            replace(s, group=f"part {next(good) // size}") if s in plate.train_good() else s
            for s in plate.samples
        ),
    )


def test_a_third_is_held_at_most_and_nothing_is_on_both_sides(plate: Manifest) -> None:
    few, many = (part_good(plate, BASE, held) for held in (2, 99))
    assert (len(few.held), len(few.fit), few.count) == (2, 10, 12)
    assert (len(many.held), len(many.fit)) == (4, 8)
    assert not {s.id for s in many.fit} & {s.id for s in many.held}
    assert all("train" in str(s.path) for s in (*many.fit, *many.held))


def test_of_a_group_one_picture_judges_and_none_is_fitted(plate: Manifest) -> None:
    parted = part_good(grouped(plate, 2), BASE, 99)
    assert len(parted.held) == 2
    assert len(parted.fit) == 8
    held = {s.group for s in parted.held}
    assert len(held) == 2
    assert not held & {s.group for s in parted.fit}
    assert parted.numbers(parted.held) == [parted.groups[s] for s in parted.held]


def test_more_pictures_of_a_group_judge_after_the_first_of_each(plate: Manifest) -> None:
    parted = part_good(grouped(plate, 3), BASE, 99, pictures=2)
    assert len(parted.held) == 2
    (group,) = {s.group for s in parted.held}
    assert group not in {s.group for s in parted.fit}
    two = part_good(grouped(plate, 2), BASE, 99, pictures=3)
    assert [s.group for s in two.held[:2]] != [s.group for s in two.held[1:]]
    assert len({s.group for s in two.held[:2]}) == 2
    painted = paint_held(two, PLAN, BASE)
    assert painted.groups.tolist() == two.numbers(two.held)
    assert painted.groups[2] in painted.groups[:2]


def test_three_parts_are_too_few(plate: Manifest) -> None:
    with pytest.raises(DataError, match=r"12 good training image.* of 3 part") as refused:
        part_good(grouped(plate, 4), BASE, 9)
    assert "at least 4" in (refused.value.hint or "")


def test_every_kind_is_painted_in_every_size_or_in_one_by_turns(plate: Manifest) -> None:
    parted = part_good(plate, BASE, 4)
    every = paint_held(parted, PLAN, BASE)
    assert [[(f.kind, f.side_px) for f in flaws] for flaws in every.flaws] == [
        [("chip", 6), ("chip", 12), ("dent", 6), ("dent", 12)]
    ] * 4
    turns = paint_held(parted, replace(PLAN, each_side=False, pictures=3), BASE)
    assert [[(f.kind, f.side_px) for f in flaws] for flaws in turns.flaws] == [
        [("chip", 6), ("dent", 12)],
        [("chip", 12), ("dent", 6)],
        [("chip", 6), ("dent", 12)],
        [],
    ]
    assert turns.side_px.tolist() == [0, 6, 12, 0, 12, 6, 0, 6, 12, 0]
    assert turns.owner.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3]
    assert turns.image_count == 10
    assert turns.first(2).image_count == 6


def test_images_are_the_pictures_with_their_flaws_as_a_placement_sees_them(plate: Manifest) -> None:
    painted = paint_held(part_good(plate, BASE, 3), PLAN, BASE)
    placement = PlacementConfig(image_size=(32, 48))
    images = np.concatenate(list(painted.batches(placement)))
    assert len(images) == painted.image_count == 15
    original = decode(painted.pictures[1].path)
    assert np.array_equal(images[5], place(original, placement))
    assert np.array_equal(images[7], place(painted.flaws[1][1].on(original), placement))


def test_sizes_that_do_not_fit_are_left_out_and_none_is_an_error(plate: Manifest) -> None:
    parted = part_good(plate, BASE, 2)
    some = paint_held(parted, FlawPlan(("chip",), (8, 400)), BASE)
    assert set(some.side_px.tolist()) == {0, 8}
    with pytest.raises(DataError, match="400 px do not fit 64 x 64"):
        paint_held(parted, FlawPlan(("chip",), (400,)), BASE)


def test_the_seed_decides(plate: Manifest, tmp_path: Path) -> None:
    one, same, other = (
        part_good(plate, BASE.model_copy(update={"seed": seed}), 4).held for seed in (0, 0, 1)
    )
    assert one == same
    assert one != other
