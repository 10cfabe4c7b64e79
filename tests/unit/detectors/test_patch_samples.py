"""What is kept of good and flawed patches, and how much each source counts."""

import numpy as np
import pytest

from kizu.detectors.flawed import REAL, FlawedBatch
from kizu.detectors.patch_samples import DRAWN, PatchSamples, Reservoir
from kizu.scoring.head import Bag, Labelled

GOOD, FLAW, DEFECT, BAG = 0.0, 100.0, 200.0, 300.0


def images(value: float, share: float, rows: int) -> FlawedBatch:
    """One image of 4 x 4 patches whose first row is flawed."""
    embedding = np.full((1, 4, 4, 2), GOOD + 1, np.float32)
    embedding[:, 0] = value
    shares = np.zeros((1, 4, 4), np.float32)
    shares[:, 0] = share
    return FlawedBatch(embedding, shares, np.array([rows]))


def drawn(*batches: FlawedBatch, noise: tuple[float, float] | None = None) -> tuple[Labelled, list[Bag]]:
    samples = PatchSamples(np.random.default_rng(0))
    samples.take_good(np.full((2, 4, 4, 2), GOOD, np.float32))
    for batch in batches:
        samples.take_flawed(batch)
    ready = samples.standardised(np.zeros(2, np.float32), np.ones(2, np.float32))
    return ready.draw(np.random.default_rng(1), noise)


def weight(labelled: Labelled, value: float) -> float:
    return float(labelled.weight[(labelled.x == value).all(axis=1)].sum())


def test_good_and_flawed_count_a_half_each_and_sources_alike() -> None:
    unmarked = images(BAG, np.nan, REAL)
    labelled, bags = drawn(images(FLAW, 1, 0), images(DEFECT, 1, REAL), unmarked, noise=(0.1, 0.2))
    assert weight(labelled, FLAW) == pytest.approx(0.125)
    assert weight(labelled, DEFECT) == pytest.approx(0.125)
    assert bags[0].weight == pytest.approx(0.125)
    assert float(labelled.weight[labelled.y == 0].sum()) == pytest.approx(0.5)
    assert float(labelled.weight.sum()) + bags[0].weight == pytest.approx(1)


def test_patches_that_are_flawed_in_part_count_for_nothing_and_those_beside_are_good() -> None:
    batch = images(FLAW, 1, 0)
    batch.share[0, 1] = 0.3
    batch.embedding[0, 1] = 7
    labelled, _ = drawn(batch)
    assert weight(labelled, 7) == 0
    assert set(labelled.y[(labelled.x == FLAW).all(axis=1)]) == {1}
    assert set(labelled.y[(labelled.x == GOOD + 1).all(axis=1)]) == {0}


def test_a_flaw_smaller_than_a_patch_is_its_most_flawed_patch() -> None:
    labelled, _ = drawn(images(FLAW, 0.1, 0))
    assert weight(labelled, FLAW) == pytest.approx(0.5)


def test_a_small_defect_counts_as_much_as_a_large_one() -> None:
    large = FlawedBatch(
        np.full((1, 4, 4, 2), FLAW, np.float32), np.ones((1, 4, 4), np.float32), np.array([REAL])
    )
    labelled, _ = drawn(large, images(DEFECT, 0.1, REAL))
    counts = [int((labelled.x == value).all(axis=1).sum()) for value in (FLAW, DEFECT)]
    assert sum(counts) == DRAWN
    assert min(counts) > 0.4 * DRAWN


def test_what_was_painted_into_rows_that_are_left_out_is_left_out() -> None:
    both = FlawedBatch(
        np.zeros((3, 1, 1, 1), np.float32), np.ones((3, 1, 1), np.float32), np.array([4, 5, REAL])
    )
    assert both.without({4, 9}).rows.tolist() == [5, REAL]


def test_a_reservoir_is_a_uniform_sample_in_bounded_memory() -> None:
    counts = np.zeros(100)
    for seed in range(300):
        kept = Reservoir(10, np.random.default_rng(seed))
        for start in range(0, 100, 20):
            kept.take(np.arange(start, start + 20, dtype=np.float32)[:, None])
        rows = kept.rows()[:, 0].astype(int)
        assert len(set(rows)) == 10
        counts[rows] += 1
    assert counts.min() > 10
    assert counts.max() < 55
