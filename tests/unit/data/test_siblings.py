"""Which pictures belong together: drawn ones, of which that is known."""

import tracemalloc

import numpy as np
import pytest
from tests.support import exposure, texture

from kizu.core.types import U8
from kizu.core.work import Work
from kizu.data.evidence import Seen
from kizu.data.likeness import detail_of
from kizu.data.siblings import find_siblings


def see(pictures: dict[str, U8], taken: dict[str, float] | None = None) -> list[Seen]:
    return [Seen(name, detail_of(picture), (taken or {}).get(name)) for name, picture in pictures.items()]


def groups(pictures: dict[str, U8]) -> set[frozenset[str]]:
    return {frozenset(group) for group in find_siblings(see(pictures)).groups}


PARTS = {
    f"{'wxyz'[shot]}{part * 7 + shot}.png": exposure(part, shot) for part in range(6) for shot in range(3)
}
TRUTH = {frozenset(list(PARTS)[3 * part : 3 * part + 3]) for part in range(6)}


def test_exposures_of_a_part_are_found_and_nothing_else() -> None:
    assert groups(PARTS) == TRUTH


def test_names_are_not_needed() -> None:
    nameless = {chr(97 + k): picture for k, picture in enumerate(PARTS.values())}
    assert sorted(map(len, groups(nameless))) == [3] * 6


def test_neighbouring_numbers_alone_prove_nothing() -> None:
    assert groups({f"{part}.png": exposure(part, 0) for part in range(12)}) == set()


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_pictures_does_not_matter(seed: int) -> None:
    names = np.random.default_rng(seed).permutation(list(PARTS)).tolist()
    first, second = find_siblings(see(PARTS)), find_siblings(see({name: PARTS[name] for name in names}))
    assert first == second


def test_the_number_of_cores_does_not_matter() -> None:
    assert find_siblings(see(PARTS), work=Work(cores=1)) == find_siblings(see(PARTS), work=Work(cores=4))


def test_identical_pictures_are_one_group_whatever_their_number() -> None:
    pictures = {f"{k}.png": exposure(0, 0) for k in range(30)} | {
        f"b{k}.png": exposure(k, 1) for k in range(9, 40)
    }
    assert groups(pictures) == {frozenset(f"{k}.png" for k in range(30))}


def test_pictures_of_one_value_belong_to_nobody() -> None:
    pictures = {f"{k}.png": np.full((80, 80), 60, np.uint8) for k in range(5)} | PARTS
    assert groups(pictures) == TRUTH


def test_of_two_pictures_nothing_tells_whether_all_parts_look_so() -> None:
    assert find_siblings([]).groups == ()
    assert find_siblings(see({"a.png": exposure(0, 0)})).groups == ()
    assert groups({"a.png": exposure(0, 0), "b.png": exposure(1, 0)}) == set()
    alike = find_siblings(see({"a.png": exposure(0, 0), "b.png": exposure(0, 0)}))
    assert len(alike.groups) + len(alike.unsure) <= 1


def test_two_parts_of_many_exposures_each_are_two_groups() -> None:
    pictures = {f"{part * 100 + shot}.png": exposure(part, shot) for part in range(2) for shot in range(5)}
    assert sorted(map(len, groups(pictures))) == [5, 5]


def test_sizes_may_differ() -> None:
    sizes = [(160, 200), (90, 300), (400, 400), (30, 40), (1, 500), (700, 640)]
    pictures = {f"{k}_{s}.png": exposure(k, s, hw) for k, hw in enumerate(sizes) for s in range(2)}
    found = groups(pictures)
    assert frozenset({"2_0.png", "2_1.png"}) in found
    assert frozenset({"5_0.png", "5_1.png"}) in found
    assert all(len({name[0] for name in group}) == 1 for group in found)


def drawn(seed: int) -> U8:
    """A part of one design: the same strong shapes, edges and grain of its own."""
    plan = np.kron(np.random.default_rng(99).integers(0, 2, (10, 12)), np.ones((16, 16)))
    return np.asarray(60 + 130 * plan + 0.5 * (texture(seed, plan.shape).astype(float) - 128), np.uint8)


def test_parts_of_one_design_are_not_siblings() -> None:
    assert groups({f"{k}.png": drawn(k) for k in range(24)}) == set()


def test_siblings_are_found_among_parts_of_one_design() -> None:
    pictures = {f"{k}.png": drawn(k) for k in range(20)}
    again = (drawn(3).astype(float) * 0.7 + np.random.default_rng(0).normal(0, 2, drawn(3).shape)).clip(
        0, 255
    )
    assert groups(pictures | {"again.png": again.astype(np.uint8)}) == {frozenset({"3.png", "again.png"})}


def test_evidence_is_kept_for_each_joined_pair() -> None:
    found = find_siblings(see(PARTS, dict.fromkeys(list(PARTS)[:3], 50.0)))
    assert len(found.joined) == sum(len(group) - 1 for group in found.groups)
    first = found.joined[0]
    assert first.clue == "detail"
    assert first.fine > 0.8
    assert 0 <= first.hash_bits < 256
    told = next(pair for pair in found.joined if pair.seconds is not None).told()
    assert "of fine detail shared" in told
    assert "taken 0 s apart" in told


def test_embeddings_bring_candidates_and_are_told() -> None:
    rng = np.random.default_rng(0)
    embeddings = np.repeat(rng.normal(size=(6, 8)), 3, axis=0).astype(np.float32)
    found = find_siblings(see(PARTS), embeddings)
    assert {frozenset(group) for group in found.groups} == TRUTH
    assert all(pair.cosine == pytest.approx(1, abs=1e-4) for pair in found.joined)


def test_three_thousand_pictures_take_memory_as_their_number() -> None:
    rng = np.random.default_rng(0)
    small = [np.asarray(rng.integers(0, 256, (56, 56)), np.uint8) for _ in range(3000)]
    small[1700] = small[12]
    seen = see({f"{k}.png": picture for k, picture in enumerate(small)})
    tracemalloc.start()
    found = find_siblings(seen)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.groups == (("12.png", "1700.png"),)
    assert peak < 3000 * 100_000
