"""Cosine neighbours by the L2 search, the projection and Otsu's cut, against plain definitions."""

import numpy as np
import pytest
from skimage.filters import threshold_otsu

from kizu.core.errors import ConfigError
from kizu.scoring.cosine import cosine_distance, directions
from kizu.scoring.foreground import fit_foreground, keep_foreground, otsu
from kizu.scoring.moments import moments_of
from kizu.scoring.neighbours import nearest
from kizu.scoring.projection import project, sparse_projection


def vectors(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 9)).astype(np.float32)


def test_the_nearest_by_direction_is_the_highest_cosine() -> None:
    queries, bank = vectors(40, 0), 7 * vectors(300, 1)
    found, index = nearest(directions(queries), directions(bank), 1)
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (queries, bank)]
    cosines = unit[0].astype(np.float64) @ unit[1].T
    assert np.array_equal(index[:, 0], cosines.argmax(axis=1))
    assert cosine_distance(found)[:, 0] == pytest.approx(1 - cosines.max(axis=1), abs=1e-6)


def test_length_does_not_count_and_no_length_is_a_direction_of_its_own() -> None:
    x = vectors(5, 2)
    assert directions(100 * x) == pytest.approx(directions(x), abs=1e-6)
    with_nothing = directions(np.concatenate([x, np.zeros((2, 9), np.float32)]))
    distances = cosine_distance(nearest(with_nothing[5:], with_nothing, 3)[0])
    assert distances[:, :2] == pytest.approx(0)
    assert distances[:, 2] == pytest.approx(1)


def test_a_projection_keeps_squared_distances_on_average() -> None:
    x = np.random.default_rng(3).normal(size=(50, 400)).astype(np.float32)
    small = np.empty((50, 200), np.float32)
    project(x, sparse_projection(400, 200, np.random.default_rng(4)), out=small)
    before, after = (np.linalg.norm(v[:25] - v[25:], axis=1) ** 2 for v in (x, small))
    assert (after / before).mean() == pytest.approx(1, abs=0.1)
    assert np.abs(after / before - 1).max() < 0.6
    with pytest.raises(ConfigError, match="cannot be projected"):
        sparse_projection(10, 11, np.random.default_rng(0))


def test_otsus_cut_is_scikit_images() -> None:
    rng = np.random.default_rng(5)
    values = np.concatenate([rng.normal(0, 1, 700), rng.normal(6, 1, 300)]).astype(np.float32)
    step = float(np.ptp(values)) / 256
    assert otsu(values) == pytest.approx(float(threshold_otsu(values, nbins=256)), abs=1.01 * step)


def test_what_is_in_the_middle_is_the_foreground_on_a_grid_that_is_not_square() -> None:
    rng = np.random.default_rng(6)
    part = np.zeros((3, 10, 14), dtype=bool)
    part[:, 3:7, 4:10] = True
    features = (rng.normal(size=(3, 10, 14, 6)) + 20 * part[..., None]).astype(np.float32)
    flat = features.reshape(-1, 6)
    for sign in (1, -1):
        found = fit_foreground(sign * flat, (3, 10, 14), moments_of(sign * flat))
        mask = found(sign * features)
        grown = np.zeros_like(part)
        grown[:, 2:8, 3:11] = True
        assert np.array_equal(mask, grown)
    kept = keep_foreground(found, -flat.copy(), (3, 10, 14))
    assert np.array_equal(kept, -flat[grown.reshape(-1)])


def test_equal_patches_are_all_foreground() -> None:
    flat = np.ones((12, 4), np.float32)
    assert fit_foreground(flat, (1, 3, 4), moments_of(flat))(flat.reshape(1, 3, 4, 4)).all()
