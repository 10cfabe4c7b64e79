"""Runs as COCO's own library packs and reads them, and polygons as a point-by-point test fills them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco
from skimage.draw import polygon2mask

from kizu.core.types import Bool
from kizu.imaging.shapes import fill_polygon, fill_runs, unpack_runs

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)  # of pycocotools


def a_mask(seed: int, hw: tuple[int, int], share: float) -> Bool:
    return np.random.default_rng(seed).random(hw) < share


masks = st.builds(
    a_mask,
    st.integers(0, 2**32),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.sampled_from([0, 0.02, 0.5, 1]),
)


@given(mask=masks)
def test_packed_runs_are_read_as_coco_reads_them(mask: Bool) -> None:
    packed = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    height, width = packed["size"]
    found = fill_runs(unpack_runs(packed["counts"].decode()), (height, width))
    assert np.array_equal(found, mask)
    assert np.array_equal(found, coco.decode(packed).astype(bool))


@given(mask=masks)
def test_plain_runs_are_read_as_coco_reads_them(mask: Bool) -> None:
    flat = mask.T.ravel()
    changes = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    runs = [0, *runs] if flat[0] else runs
    packed = coco.frPyObjects({"size": list(mask.shape), "counts": runs}, *mask.shape)
    assert np.array_equal(fill_runs(runs, mask.shape), coco.decode(packed).astype(bool))


def test_large_masks_have_runs_of_many_groups() -> None:
    mask = np.zeros((900, 1100), bool)
    mask[:, 500:900] = True
    mask[3, 3] = True
    packed = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert np.array_equal(fill_runs(unpack_runs(packed["counts"].decode()), mask.shape), mask)


corners = st.lists(st.tuples(st.floats(-5, 45), st.floats(-5, 35)), min_size=3, max_size=9)


@given(points=corners)
def test_a_polygon_holds_the_pixels_whose_centres_lie_in_it(points: list[tuple[float, float]]) -> None:
    """Point by point, from two libraries' definitions: centres that lie on a line may go either way."""
    polygon = np.array(points)
    wanted = polygon2mask((30, 40), polygon[:, ::-1] - 0.5)
    found = fill_polygon(polygon, (30, 40))
    if not wanted.any():
        return  # it is thinner than a pixel: the corners are marked
    rows, columns = np.nonzero(found != wanted)
    centres = np.stack([columns + 0.5, rows + 0.5], axis=1)
    for centre in centres:
        assert distance_to_outline(centre, polygon) < 1e-6


def distance_to_outline(point: np.ndarray, polygon: np.ndarray) -> float:
    starts, ends = polygon, np.roll(polygon, -1, axis=0)
    along = ends - starts
    lengths = (along**2).sum(axis=1)
    share = np.clip(((point - starts) * along).sum(axis=1) / np.where(lengths > 0, lengths, 1), 0, 1)
    return float(np.linalg.norm(starts + share[:, None] * along - point, axis=1).min())


@pytest.mark.parametrize("seed", range(6))
def test_polygons_agree_with_coco_but_for_their_rims(seed: int) -> None:
    rng = np.random.default_rng(seed)
    turns = np.sort(rng.uniform(0, 2 * np.pi, 9))
    radius = rng.uniform(60, 140, 9)
    polygon = np.stack([200 + radius * np.cos(turns), 150 + radius * np.sin(turns)], axis=1)
    packed = coco.merge(coco.frPyObjects([polygon.ravel().tolist()], 300, 400))
    theirs, ours = coco.decode(packed).astype(bool), fill_polygon(polygon, (300, 400))
    assert (theirs & ours).sum() / (theirs | ours).sum() > 0.98
    rows, columns = np.nonzero(theirs != ours)
    for centre in np.stack([columns + 0.5, rows + 0.5], axis=1):
        assert distance_to_outline(centre, polygon) < 1.5
