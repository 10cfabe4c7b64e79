"""What an extended bank promises."""

import numpy as np
import pytest

from kizu.backbones.products import exact_integer_product
from kizu.core.errors import CalibrationError, ConfigError
from kizu.core.types import F32, I64
from kizu.core.work import Work
from kizu.detectors.bank import (
    LEAST_PICKED,
    NEVER_LEFT_OUT,
    Picked,
    coverage_of,
    extend,
    nearest_of_others,
    pick,
)
from kizu.detectors.coverage import Coverage, restore_coverage, told
from kizu.detectors.patchcore import PatchcoreConfig
from kizu.scoring.coreset import greedy_k_centre
from kizu.scoring.neighbours import build_bank, nearest


def points(count: int, seed: int = 0, spread: float = 1) -> F32:
    return (spread * np.random.default_rng(seed).normal(size=(count, 6))).astype(np.float32)


def thinned(features: F32, config: PatchcoreConfig) -> tuple[F32, Coverage | None]:
    kept = features[greedy_k_centre(features, config.bank_size(len(features)), first=0)]
    return kept, coverage_of(features, kept, config)


def farthest(features: F32, bank: F32) -> float:
    return float(nearest(features, bank, 1)[0].max())


@pytest.mark.parametrize("spread", [1.0, 4.0])
def test_a_part_of_all_patches_keeps_its_vectors_and_covers_old_and_new(spread: float) -> None:
    config = PatchcoreConfig(coreset=0.1)
    old, new = points(400), points(200, seed=1, spread=spread)
    kept, coverage = thinned(old, config)
    bank, after, _ = extend(build_bank(kept), coverage, config, new)
    assert (bank.vectors[:40] == kept).all()
    assert len(bank.vectors) <= config.bank_size(600) == 60
    assert coverage is not None
    assert after.patches == 600
    assert after.radius >= coverage.radius
    assert farthest(np.concatenate([old, new]), bank.vectors) <= after.radius * (1 + 1e-6)
    if spread > 1:
        assert len(bank.vectors) == 60  # the new ones are far off, and there are many
    else:
        assert len(bank.vectors) < 60


def test_new_patches_within_the_radius_change_nothing() -> None:
    config = PatchcoreConfig(coreset=0.1)
    old = points(400)
    kept, coverage = thinned(old, config)
    bank, after, _ = extend(build_bank(kept), coverage, config, old[:50])
    assert (bank.vectors == kept).all()
    assert coverage is not None
    assert after == Coverage(450, coverage.radius)


def test_a_full_bank_of_a_fixed_size_is_thinned_again_and_covers_both() -> None:
    config = PatchcoreConfig(coreset_size=40)
    old, new = points(400), points(100, seed=1) + np.float32(6)
    kept, coverage = thinned(old, config)
    bank, after, _ = extend(build_bank(kept), coverage, config, new)
    assert len(bank.vectors) == 40
    assert farthest(np.concatenate([old, new]), bank.vectors) <= after.radius * (1 + 1e-6)
    assert farthest(new, bank.vectors) < farthest(new, kept)


def test_a_bank_of_all_takes_all() -> None:
    config = PatchcoreConfig(coreset=1.0)
    old, new = points(30), points(9, seed=1)
    bank, after, _ = extend(build_bank(old), coverage_of(old, old, config), config, new)
    assert (bank.vectors == np.concatenate([old, new])).all()
    assert after == Coverage(39, 0.0)


def test_one_vector_tells_its_radius() -> None:
    features = points(50)
    found = coverage_of(features, features[:1], PatchcoreConfig(coreset_size=1))
    assert found is not None
    assert found.radius == pytest.approx(farthest(features, features[:1]))


@pytest.mark.parametrize("settings", [{"coreset_method": "random"}, {"projection": 3}])
def test_what_does_not_tell_its_radius_is_refused(settings: dict[str, object]) -> None:
    config = PatchcoreConfig.parse({"coreset": 0.1, **settings}, where="test")
    features = points(100)
    coverage = coverage_of(features, features[:10], config)
    assert coverage is None
    with pytest.raises(ConfigError, match="how closely it covers"):
        extend(build_bank(features[:10]), coverage, config, features)


def test_coverage_is_stored_and_missed() -> None:
    coverage = Coverage(7, 0.25)
    assert restore_coverage(coverage.arrays()) == coverage
    assert restore_coverage({"bank": points(3)}) is None


OF_IMAGES = [4, 0, 4, 7, 7, 2, 4, 0]
"""The groups of eight images: of one, of two and of three."""


def picked_of(features: F32, settings: dict[str, object], of_images: list[int] = OF_IMAGES) -> Picked:
    config = PatchcoreConfig.parse(settings, where="test")
    return pick(features, of_images, config, np.random.default_rng(3), Work())


def whose(count: int, of_images: list[int] = OF_IMAGES) -> I64:
    """(M,) the group of each of `count` patches."""
    return np.array([of_images[row * len(of_images) // count] for row in range(count)])


def apart(one: F32, two: F32) -> np.ndarray:
    """All L2 distances, the slow way."""
    return np.sqrt(((one[:, None].astype(np.float64) - two[None].astype(np.float64)) ** 2).sum(axis=2))


@pytest.mark.parametrize(
    ("count", "settings", "expected"),
    [
        (8000, {"coreset": 0.01}, LEAST_PICKED),  # the floor
        (8000, {"coreset": 0.5}, 4000),  # above it
        (2400, {"coreset": 0.01}, 2400),  # there are no more
        (8000, {"coreset_size": 160}, 160),  # a number that was asked for is kept
        (8000, {"coreset_size": 9000}, 8000),
    ],
)
def test_a_bank_picked_by_groups_has_its_part_or_the_least(
    count: int, settings: dict[str, object], expected: int
) -> None:
    picked = picked_of(points(count), {"coreset_method": "random", **settings})
    assert abs(len(picked.rows) - expected) <= 2  # each group's part is rounded
    assert len(np.unique(picked.rows)) == len(picked.rows)
    assert picked.groups is not None
    assert (picked.groups == whose(count)[picked.rows]).all()
    for group, images in ((4, 3), (0, 2), (7, 2), (2, 1)):  # each as much as it shows
        assert abs((picked.groups == group).sum() - len(picked.rows) * images / 8) <= 1


@pytest.mark.parametrize("method", ["random", "greedy"])
def test_each_group_has_a_patch_at_least(method: str) -> None:
    picked = picked_of(points(80), {"coreset_size": 1, "coreset_method": method})
    assert picked.groups is not None
    assert sorted(picked.groups.tolist()) == [0, 2, 4, 7]
    assert (picked.groups == whose(80)[picked.rows]).all()


@pytest.mark.parametrize("size", [4, 24, 79, 80])
def test_no_good_patch_is_farther_than_told_from_the_bank_of_its_own_group(size: int) -> None:
    features = points(80)
    picked, groups = picked_of(features, {"coreset_size": size}), whose(80)
    assert picked.coverage is not None
    assert picked.groups is not None
    assert picked.coverage.patches == 80
    told_of, true_of = [], []
    for group in (0, 2, 4, 7):
        own, kept = features[groups == group], features[picked.rows[picked.groups == group]]
        true_of.append(apart(own, kept).min(axis=1).max())
        # as far as the last pick was when it was picked, and no other was farther
        before_last = kept if len(kept) in (1, len(own)) else kept[:-1]
        told_of.append(apart(own, before_last).min(axis=1).max())
    assert picked.coverage.radius == pytest.approx(max(told_of), rel=1e-5, abs=1e-6)
    assert max(true_of) <= picked.coverage.radius * (1 + 1e-6)
    assert apart(features, features[picked.rows]).min(axis=1).max() <= picked.coverage.radius * (1 + 1e-6)
    assert (picked.coverage.radius == 0) == (len(picked.rows) == 80)


@pytest.mark.parametrize("settings", [{"coreset_method": "random"}, {"projection": 3}])
def test_what_does_not_tell_its_radius_does_not_tell_it_by_groups(settings: dict[str, object]) -> None:
    assert picked_of(points(80), {"coreset_size": 24, **settings}).coverage is None
    everything = picked_of(points(80), {"coreset_size": 80, **settings}).coverage
    assert everything == Coverage(80, 0.0)


def test_a_group_is_thinned_as_if_it_were_alone() -> None:
    """So that the others' vectors tell nothing of it: what it shows moves no other group's pick."""
    features = points(80)
    groups, changed = whose(80), features.copy()
    changed[groups == 7] = points(20, seed=9, spread=5)
    before, after = (picked_of(x, {"coreset_size": 24}) for x in (features, changed))
    assert before.groups is not None
    others = before.groups != 7
    assert (before.rows[others] == after.rows[others]).all()
    assert (before.rows[~others] != after.rows[~others]).any()


def test_without_groups_all_are_thinned_together() -> None:
    config = PatchcoreConfig(coreset=0.1)
    picked = pick(points(80), None, config, np.random.default_rng(3), Work())
    assert picked.groups is None
    assert len(picked.rows) == 8


@pytest.mark.parametrize(("rows", "kept"), [(20, 20), (80, 50), (400, 50), (800, 80)])
def test_a_part_of_few_patches_is_a_bank_of_enough(
    rows: int, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kizu.detectors.bank.LEAST_KEPT", 50)
    rng = np.random.default_rng(3)
    assert len(pick(points(rows), None, PatchcoreConfig(coreset=0.1), rng, Work()).rows) == kept
    fixed = PatchcoreConfig(coreset_size=7)
    assert len(pick(points(rows), None, fixed, rng, Work()).rows) == 7  # who gives a number gets it


@pytest.mark.parametrize("with_integers", [False, True])
@pytest.mark.parametrize("k", [1, 3, 9, 1000])
def test_the_nearest_of_others_are_those_of_trying_all(k: int, *, with_integers: bool) -> None:
    vectors, bank_groups = points(60), np.random.default_rng(1).choice([0, 2, 4, 7, NEVER_LEFT_OUT], 60)
    queries = np.concatenate([vectors[:40], points(30, seed=2)])
    groups = np.concatenate([bank_groups[:40], np.resize([7, 4, 0, 2], 30)])
    queries, groups = queries[groups != NEVER_LEFT_OUT], groups[groups != NEVER_LEFT_OUT]
    bank = build_bank(vectors, exact_integer_product() if with_integers else None)
    found = nearest_of_others(queries, groups, bank, bank_groups, k)
    expected_k = min(k, min((bank_groups != group).sum() for group in (0, 2, 4, 7)))
    distances = apart(queries, vectors)
    distances[groups[:, None] == bank_groups] = np.inf
    expected = np.sort(distances, axis=1)[:, :expected_k]
    assert found.shape == expected.shape
    np.testing.assert_allclose(np.sort(found, axis=1), expected, rtol=1e-4, atol=1e-4)
    assert (found[:, 0] > 0.01).all()  # a patch that is in the bank is not its own nearest


def test_who_has_no_vector_in_the_bank_sees_all_of_it() -> None:
    vectors = points(10)
    found = nearest_of_others(vectors[:4], np.full(4, 3), build_bank(vectors), np.zeros(10, np.int64), 1)
    np.testing.assert_allclose(found, np.zeros((4, 1)), atol=1e-3)


def test_without_the_only_group_there_are_no_others() -> None:
    vectors, groups = points(10), np.array([1] * 5 + [2] * 5)
    bank = build_bank(vectors)
    for one in (1, 2):
        with pytest.raises(CalibrationError, match="nothing is left"):
            nearest_of_others(vectors[:2], np.array([one, one]), bank, np.full(10, one), 1)
    assert nearest_of_others(vectors[:2], groups[:2], bank, groups, 9).shape == (2, 5)
    later = np.where(groups == 2, NEVER_LEFT_OUT, groups)  # what an update brought is left
    assert nearest_of_others(vectors[:2], groups[:2], bank, later, 1).shape == (2, 1)


@pytest.mark.parametrize(
    ("settings", "spread"),
    [
        ({"coreset": 1.0}, 1.0),
        ({"coreset": 0.1}, 4.0),
        ({"coreset_size": 24}, 1.0),
        ({"coreset_size": 50}, 4.0),
    ],
)
def test_an_extended_bank_still_knows_whose_its_old_vectors_are(
    settings: dict[str, object], spread: float
) -> None:
    config = PatchcoreConfig.parse(settings, where="test")
    old, new = points(80), points(40, seed=1, spread=spread)
    picked = picked_of(old, settings)
    bank, after, groups = extend(build_bank(old[picked.rows]), picked.coverage, config, new, picked.groups)
    assert groups is not None
    assert groups.shape == (len(bank.vectors),)
    of_old = {vector.tobytes(): group for vector, group in zip(old, whose(80).tolist(), strict=True)}
    assert [of_old.get(vector.tobytes(), NEVER_LEFT_OUT) for vector in bank.vectors] == groups.tolist()
    assert (groups == NEVER_LEFT_OUT).any()
    assert (groups != NEVER_LEFT_OUT).any()
    assert after.patches == 120
    assert farthest(np.concatenate([old, new]), bank.vectors) <= after.radius * (1 + 1e-6) + 1e-3 * (
        after.radius == 0
    )
    if "coreset_size" not in settings:
        assert (bank.vectors[: len(picked.rows)] == old[picked.rows]).all()
    again = extend(build_bank(old[picked.rows]), picked.coverage, config, new)
    assert again[2] is None


def test_the_least_number_leaves_room_for_what_an_update_brings() -> None:
    """A part of all patches may be less than the floor that the bank has already: new ones still come in."""
    config = PatchcoreConfig(coreset=0.1)
    old, new = points(80), points(100, seed=1, spread=4)
    picked = picked_of(old, {"coreset": 0.1})  # all 80
    assert len(picked.rows) == 80
    bank, after, groups = extend(build_bank(old), picked.coverage, config, new, picked.groups)
    assert groups is not None
    assert (groups == NEVER_LEFT_OUT).sum() == len(bank.vectors) - 80 == 10
    assert farthest(np.concatenate([old, new]), bank.vectors) <= after.radius * (1 + 1e-6)


def test_what_is_told_of_a_bank_is_what_is_known() -> None:
    groups = np.array([1, 2])
    assert told(None, None) == {}
    assert list(told(None, groups)) == ["bank_groups"]
    assert set(told(Coverage(7, 0.25), groups)) == {"bank_groups", "bank_patches", "bank_radius"}
