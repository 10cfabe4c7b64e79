"""A vector for each picture, and the vote of the nearest."""

import numpy as np
import pytest

from kizu.scoring.references import distances_left_out, pool, spread_evenly, vote


def unit(*rows: list[float]) -> np.ndarray:
    x = np.array(rows, np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_a_picture_is_the_mean_and_the_spread_of_its_patches() -> None:
    patches = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    for vector, picture in zip(pool(patches), patches.reshape(2, 12, 5), strict=True):
        expected = [*picture.mean(axis=0), *picture.std(axis=0)]
        np.testing.assert_allclose(vector, expected / np.linalg.norm(expected), rtol=1e-5)
    np.testing.assert_allclose(pool(7 * patches), pool(patches), rtol=1e-5)  # of unit length
    assert not pool(np.zeros((1, 2, 2, 3), np.float32)).any()


@pytest.mark.parametrize(
    ("count", "most", "wanted"), [(3, 5, [0, 1, 2]), (1, 4, [0]), (101, 3, [0, 50, 100])]
)
def test_what_is_kept_is_spread_over_all(count: int, most: int, wanted: list[int]) -> None:
    assert spread_evenly(count, most).tolist() == wanted


def test_nobody_is_compared_with_his_own_group() -> None:
    x = unit([1, 0], [1, 0.1], [0, 1])
    alone = distances_left_out(x, np.array([0, 1, 2]), np.array([0, 1]))
    assert alone[0] == pytest.approx(alone[1]) == pytest.approx(1 - x[0] @ x[1])
    paired = distances_left_out(x, np.array([0, 0, 2]), np.array([0, 1]))
    assert np.isinf(paired[:2]).all()
    assert paired[2] == pytest.approx(alone[2])


def test_votes_weigh_by_similarity() -> None:
    found = vote(np.array([0.9, 0.8, 0.7, 0.1, 0, 0], np.float32), np.array([0, 1, 1, 0, 0, 1]), 3)
    assert (found.owner, found.confidence) == (1, pytest.approx(1.5 / 2.4))
    assert found.distance == pytest.approx(0.2)


def test_a_product_with_one_picture_is_not_outvoted() -> None:
    found = vote(np.array([0.99, 0.9, 0.9, 0.9], np.float32), np.array([0, 1, 1, 1]), 3)
    assert (found.owner, found.confidence) == (0, 1.0)


def test_what_is_like_nothing_has_no_confidence_and_is_far() -> None:
    found = vote(np.zeros(4, np.float32), np.array([0, 0, 1, 1]))
    assert (found.owner, found.confidence, found.distance) == (0, 0.0, 1.0)
