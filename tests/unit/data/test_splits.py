"""Nothing is on two sides of a split."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kizu.core.errors import ConfigError, DataError, LeakageError
from kizu.core.randomness import rng_for
from kizu.core.split import Split
from kizu.data.manifest import Manifest, Sample
from kizu.data.splits import ensure_apart, hold_out, k_folds, with_good_tests


def samples(count: int) -> list[Sample]:
    return [Sample(f"{n}.png", Path(f"{n}.png"), "good", split=Split.TRAIN) for n in range(count)]


@given(st.integers(2, 60), st.floats(0.001, 0.999), st.integers(0, 9))
def test_all_samples_end_up_on_one_side_in_order(count: int, fraction: float, seed: int) -> None:
    given_samples = samples(count)
    fit, held = hold_out(given_samples, fraction, rng_for(seed, "test"))
    assert len(fit) >= 1
    assert len(held) == min(max(1, round(fraction * count)), count - 1)
    assert sorted([*fit, *held], key=given_samples.index) == given_samples
    assert list(fit) == [s for s in given_samples if s in fit]
    assert list(held) == [s for s in given_samples if s in held]


def test_the_same_seed_cuts_the_same_and_another_differently() -> None:
    cuts = [hold_out(samples(40), 0.25, rng_for(seed, "test"))[1] for seed in (0, 0, 1)]
    assert cuts[0] == cuts[1]
    assert cuts[0] != cuts[2]


@given(
    st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from("uvwxyz")), min_size=2, max_size=30),
    st.floats(0.05, 0.9),
    st.integers(0, 5),
)
def test_groups_and_copies_stay_together(keys: list[tuple[str, str]], fraction: float, seed: int) -> None:
    tied = [
        replace(s, group=group, sha256=content)
        for s, (group, content) in zip(samples(len(keys)), keys, strict=True)
    ]
    if len({g for g, _ in keys}) == 1 or len({c for _, c in keys}) == 1:
        with pytest.raises(DataError, match="belong together"):
            hold_out(tied, fraction, rng_for(seed, "test"))
        return
    try:
        fit, held = hold_out(tied, fraction, rng_for(seed, "test"))
    except DataError:  # tied through others
        return
    assert fit
    assert held
    assert not {s.group for s in fit} & {s.group for s in held}
    assert not {s.sha256 for s in fit} & {s.sha256 for s in held}
    assert len(fit) + len(held) == len(tied)


def test_no_more_than_asked_is_held_out_when_groups_allow() -> None:
    grouped = [replace(s, group=str(n // 4)) for n, s in enumerate(samples(40))]
    for seed in range(5):
        assert len(hold_out(grouped, 0.25, rng_for(seed, "test"))[1]) == 8


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_samples_are_refused(count: int) -> None:
    with pytest.raises(DataError, match=f"{count} image"):
        hold_out(samples(count), 0.2, np.random.default_rng())


@pytest.mark.parametrize("fraction", [0, 1, -0.5, 2])
def test_a_fraction_outside_its_range_is_refused(fraction: float) -> None:
    with pytest.raises(ConfigError, match="fraction"):
        hold_out(samples(9), fraction, np.random.default_rng())


def test_leakage_is_found_by_id_group_and_content() -> None:
    one, other = samples(2)
    ensure_apart([one], [other])
    for first, second in (
        (one, one),
        (replace(one, group="lot"), replace(other, group="lot")),
        (replace(one, sha256="f"), replace(other, sha256="f")),
    ):
        with pytest.raises(LeakageError, match=r"0\.png"):
            ensure_apart([first], [second])


def test_copies_among_good_images_are_not_parted_into_train_and_test(tmp_path: Path) -> None:
    for n in range(12):
        (tmp_path / f"{n}.png").write_text(str(n % 6))
    placed = tuple(replace(s, path=tmp_path / s.path) for s in samples(12))
    parted = with_good_tests(Manifest("d", "c", tmp_path, placed), 0.4, rng_for(0, "test"))
    assert len(parted.test()) == 4
    ensure_apart(parted.train_good(), parted.test())


def test_each_sample_is_held_out_of_one_fold_and_groups_stay_together() -> None:
    samples = [
        Sample(f"{n}.png", Path(f"{n}.png"), "good", split=Split.TRAIN, group="pair" if n < 2 else None)
        for n in range(11)
    ]
    folds = k_folds(samples, 4, np.random.default_rng(0))
    assert sorted(s.id for _, held in folds for s in held) == sorted(s.id for s in samples)
    assert all({s.id for s in fit} | {s.id for s in held} == {s.id for s in samples} for fit, held in folds)
    assert sorted(len(held) for _, held in folds) == [2, 3, 3, 3]
    assert any({"0.png", "1.png"} <= {s.id for s in held} for _, held in folds)
    with pytest.raises(DataError, match="10 images or groups"):
        k_folds(samples, 11, np.random.default_rng(0))
    with pytest.raises(ConfigError, match="nothing to fit"):
        k_folds(samples, 1, np.random.default_rng(0))
