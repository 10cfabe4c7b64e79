"""Where the scores come from that set thresholds, and how images come with the groups they belong to."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom
from tests.support import noise

from kizu.core.errors import ConfigError, ImageError
from kizu.core.types import U8
from kizu.core.work import BATCH
from kizu.data.batches import Source
from kizu.data.manifest import Sample
from kizu.decision.calibration import HeldOut
from kizu.imaging.placement import PlacementConfig, place
from kizu.lab.scheme import (
    MANY_GROUPS,
    held_fraction,
    leaves_out,
    place_grouped,
    place_groups,
    tell_trend,
)
from kizu.pipeline.config import PipelineConfig

SMALL = PlacementConfig(image_size=(16, 24))


def config(calibration: dict[str, Any] | None = None, **sections: dict[str, Any]) -> PipelineConfig:
    return PipelineConfig.parse({"calibration": calibration or {}, **sections}, where="test")


@pytest.mark.parametrize(
    ("calibration", "groups", "expected"),
    [
        ({}, 1, False),  # without it nothing would be left
        ({}, 2, True),
        ({}, MANY_GROUPS - 1, True),
        ({}, MANY_GROUPS, False),
        ({"scheme": "left_out"}, 1, False),
        ({"scheme": "left_out"}, MANY_GROUPS, True),
        ({"scheme": "left_out"}, 10 * MANY_GROUPS, True),
        ({"scheme": "held_out"}, 50, False),
        ({"fraction": 0.3}, 50, False),
        ({"fraction": 0.3, "scheme": "left_out"}, 50, True),
        ({"folds": 3}, 50, False),
        ({"rule": "conformal_confident"}, 50, False),
        ({"pixel_rule": "conformal_confident"}, 50, False),
        ({"rule": "maximum", "pixel_rule": "quantile"}, 50, True),
        ({"rule": "f1_max"}, 50, True),
    ],
)
def test_which_scheme_for_which_settings(calibration: dict[str, Any], groups: int, *, expected: bool) -> None:
    assert leaves_out(config(calibration), groups) is expected


@pytest.mark.parametrize(
    ("calibration", "sections", "said"),
    [
        ({"folds": 3}, {}, "folds"),
        ({"rule": "conformal_confident"}, {}, "confidence"),
        ({"pixel_rule": "conformal_confident"}, {}, "confidence"),
        ({}, {"placement": {"image_size": 64, "resize": 256, "tile_overlap": 0.25}}, "tiles"),
        ({}, {"detector": {"kind": "patchcore", "image_score": "reweighted_max"}}, "patchcore with these"),
        ({}, {"detector": {"kind": "padim", "covariance": "low_rank"}}, "padim with these"),
        ({}, {"detector": {"kind": "ensemble"}}, "ensemble with these"),
    ],
)
def test_what_cannot_be_had_is_held_out_and_refused_with_the_reason_when_asked_for(
    calibration: dict[str, Any], sections: dict[str, Any], said: str
) -> None:
    assert not leaves_out(config(calibration, **sections), 50)
    assert not leaves_out(config({**calibration, "scheme": "held_out"}, **sections), 50)
    for groups in (1, 50, MANY_GROUPS):
        with pytest.raises(ConfigError, match=f"scheme left_out cannot be had: .*{said}") as refused:
            leaves_out(config({**calibration, "scheme": "left_out"}, **sections), groups)
        assert "held_out" in (refused.value.hint or "")


@pytest.mark.parametrize("groups", [1, 2, 20, 150, 199, 200, 399, 400, 500, 989, 1990, 1991, 5000])
def test_the_part_that_is_held_out_promises_one_in_a_hundred_where_it_can(groups: int) -> None:
    """A tenth; of many groups 99 or 199 at least, which leaves the fit one half and more."""
    held = held_fraction(config(), groups)
    if groups < 200:
        assert held == 0.1
    else:
        assert round(held * groups) == max(199 if groups >= MANY_GROUPS else 99, round(groups / 10))
        assert held < 0.5
    assert held_fraction(config({"scheme": "held_out"}), groups) == 0.1
    assert held_fraction(config({"fraction": 0.37}), groups) == 0.37
    assert held_fraction(config({"fraction": 0.37, "scheme": "held_out"}), groups) == 0.37


def drawn(count: int) -> list[Source]:
    """So many pictures, all unlike."""
    return [noise(seed) for seed in range(count)]


def seen(sources: list[Source]) -> U8:
    """(N, H, W, 3), one by one."""
    return np.stack([place(source, SMALL) for source in sources if isinstance(source, np.ndarray)])


def runs(sizes: list[int]) -> list[int]:
    """Groups of these sizes, one after the other; their numbers are not in order."""
    return [number for place_, size in enumerate(sizes) for number in [97 - 5 * place_] * size]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([1] * (2 * BATCH + 3), [BATCH, BATCH, 3]),
        ([1] * (2 * BATCH), [BATCH, BATCH]),
        ([3] * 7, [9, 9, 3]),
        ([20], [20]),
        ([20, 1], [20, 1]),
        ([1, 20, 1, 1], [21, 2]),
        ([7, 2, 8, 9, 1], [9, 8, 9, 1]),
        ([2], [2]),
        ([], []),
    ],
)
def test_groups_come_whole_and_in_order(sizes: list[int], expected: list[int]) -> None:
    assert BATCH == 8  # what the sizes are made for
    groups, sources = runs(sizes), drawn(sum(sizes))
    batches = list(place_groups(sources, SMALL, groups))
    assert [len(images) for images, _ in batches] == [len(numbers) for _, numbers in batches] == expected
    assert [number for _, numbers in batches for number in numbers] == groups
    if batches:
        assert (np.concatenate([images for images, _ in batches]) == seen(sources)).all()
    of_batch = [set(numbers.tolist()) for _, numbers in batches]
    assert sum(map(len, of_batch)) == len(sizes)  # no group is in two of them


@pytest.mark.parametrize("seed", range(5))
def test_any_sizes_come_whole(seed: int) -> None:
    sizes = np.random.default_rng(seed).integers(1, 13, 9).tolist()
    batches = list(place_groups(drawn(sum(sizes)), SMALL, runs(sizes)))
    assert all(len(images) >= BATCH for images, _ in batches[:-1])
    for images, numbers in batches:
        last = int((numbers == numbers[-1]).sum())
        assert len(images) - last < BATCH  # it was not full before its last group
    assert sum(len(set(numbers.tolist())) for _, numbers in batches) == 9


@pytest.mark.parametrize("broken", [0, 7, 8, 9, 12, 19])
def test_a_broken_image_is_left_out_with_its_number(broken: int) -> None:
    groups, sources = runs([1, 8, 3, 1, 7]), drawn(20)
    sources[broken] = b"nothing"
    left = [place_ for place_ in range(20) if place_ != broken]
    told: list[Source] = []

    def note(source: Source, error: ImageError) -> None:
        told.append(source)

    batches = list(place_groups(sources, SMALL, groups, note))
    assert [number for _, numbers in batches for number in numbers] == [groups[row] for row in left]
    assert (np.concatenate([images for images, _ in batches]) == seen(sources)).all()
    placed = place_grouped(sources, SMALL, groups, note)
    came = 0
    assert placed.count == 20
    assert placed.groups is not None
    for images in placed.batches:
        came += len(images)
        assert list(placed.groups) == [groups[row] for row in left[:came]]  # of what came so far
    assert came == 19
    assert told == [b"nothing", b"nothing"]


def test_a_broken_image_ends_it_where_nobody_takes_it() -> None:
    sources = [*drawn(3), b"nothing"]
    with pytest.raises(ImageError):
        list(place_groups(sources, SMALL, [0, 0, 1, 2]))
    with pytest.raises(ImageError):
        list(place_grouped(sources, SMALL, [0, 0, 1, 2]).batches)


def test_the_same_picture_twice_is_of_the_group_of_each_place() -> None:
    """Copies are sources of their own, though they look alike."""
    picture = noise(0)
    sources: list[Source] = [picture, picture.copy(), noise(1)]
    assert [n.tolist() for _, n in place_groups(sources, SMALL, [5, 6, 6])] == [[5, 6, 6]]
    placed = place_grouped(sources, SMALL, [5, 6, 6])
    list(placed.batches)
    assert list(placed.groups or ()) == [5, 6, 6]


def test_each_source_has_a_group() -> None:
    for made in (
        lambda: list(place_groups(drawn(3), SMALL, [0, 1])),
        lambda: place_grouped(drawn(2), SMALL, [0]),
    ):
        with pytest.raises(ValueError, match=r"zip\(\)"):
            made()


def held(scores: np.ndarray, groups: list[int] | None = None) -> HeldOut:
    values = scores.astype(np.float32)
    known = np.arange(len(values)) if groups is None else np.array(groups)
    return HeldOut(
        values, values, np.empty(0, np.float32), np.empty((len(values), 0), np.float32), known, left_out=True
    )


def named(names: list[str]) -> list[Sample]:
    return [Sample(f"train/good/{name}.png", Path(f"{name}.png")) for name in names]


def trend(names: list[str], scores: np.ndarray, groups: list[int] | None = None) -> str | None:
    return tell_trend(named(names), held(scores, groups), np.random.default_rng(0))


def test_a_trend_by_names_is_told_with_its_way_whatever_the_order_of_scoring() -> None:
    names, drift = [f"{number:03}" for number in range(40)], np.arange(40) + 8 * np.sin(np.arange(40.0))
    order = np.random.default_rng(1).permutation(40)
    shuffled = [names[place_] for place_ in order]
    assert "later half of the good images scores higher" in (trend(shuffled, drift[order]) or "")
    assert "later half of the good images scores lower" in (trend(shuffled, -drift[order]) or "")
    assert trend(names, drift[order]) is None  # the same scores, and no order in them


def test_numbers_in_names_are_told_as_numbers() -> None:
    """10 comes after 9, as a camera counts."""
    drift = np.where(np.arange(40) < 20, 0.0, 1.0) + 1e-3 * np.arange(40)
    found = trend([f"part{number}" for number in range(40)], drift)
    assert "higher than the earlier half, in 100% of pairs" in (found or "")


def test_a_trend_wants_enough_groups_and_of_a_group_its_mean_counts() -> None:
    names = [f"{number:03}" for number in range(60)]
    steps = np.repeat(np.arange(20.0), 3)
    assert trend(names[:57], steps[:57], steps[:57].astype(int).tolist()) is None  # nineteen groups
    assert trend(names, steps, steps.astype(int).tolist()) is not None
    one_high = np.where(
        np.arange(60) % 3 == 0, 100 - 3 * steps, (3 * steps - 100) / 2
    )  # each group's mean is 0
    assert trend(names, one_high, steps.astype(int).tolist()) is None


def test_where_there_is_no_trend_one_is_told_once_in_a_hundred() -> None:
    rng, names = np.random.default_rng(2), [f"{number:03}" for number in range(60)]
    said = sum(trend(names, rng.gumbel(size=60)) is not None for _ in range(600))
    assert said <= binom.ppf(0.9999, 600, 0.01)
