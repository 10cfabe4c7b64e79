"""Each defective image is in one cell of each axis, and a cell's numbers are its own."""

import numpy as np
import pytest

from kizu.metrics.breakdown import Flaw, breakdown, measure_flaw

LABELS = np.array([False, False, True, True, True, True])
SCORES = np.array([1.0, 4.0, 5.0, 2.0, 6.0, 0.5])
KINDS = ["good", "good", "crack", "crack", "hole", "stain"]
FLAWS = [None, None, Flaw(0.001, True, 0.5), Flaw(0.01, False, 0.25), Flaw(0.3, False, 1.0), None]


def test_cells_hold_the_images_of_their_sort() -> None:
    found = breakdown(LABELS, SCORES, 3.0, kinds=KINDS, flaws=FLAWS)
    assert {axis: {name: cell.count for name, cell in cells.items()} for axis, cells in found.items()} == {
        "kind": {"crack": 2, "hole": 1, "stain": 1},
        "size": {"small": 1, "medium": 1, "large": 1},
        "place": {"border": 1, "centre": 2},
    }
    crack, stain = found["kind"]["crack"], found["kind"]["stain"]
    assert crack.recall == 0.5
    assert crack.auroc == 0.75
    assert crack.coverage == pytest.approx(0.375)
    assert (stain.recall, stain.auroc, stain.coverage) == (0.0, 0.0, None)


def test_without_good_images_there_is_no_ranking() -> None:
    found = breakdown(LABELS[2:], SCORES[2:], 3.0, kinds=KINDS[2:], flaws=FLAWS[2:])
    assert found["kind"]["hole"].auroc is None
    assert found["kind"]["hole"].recall == 1.0


def test_without_defects_there_is_no_cell() -> None:
    found = breakdown(LABELS[:2], SCORES[:2], 3.0, kinds=KINDS[:2], flaws=FLAWS[:2])
    assert found == {"kind": {}, "size": {}, "place": {}}


@pytest.mark.parametrize(
    ("rows", "columns", "size", "place"),
    [
        (slice(48, 52), slice(98, 102), "small", "centre"),
        (slice(0, 2), slice(98, 102), "small", "border"),
        (slice(40, 55), slice(190, 200), "medium", "border"),
        (slice(20, 80), slice(20, 180), "large", "centre"),
    ],
)
def test_size_and_place_of_a_flaw(rows: slice, columns: slice, size: str, place: str) -> None:
    mask = np.zeros((100, 200), dtype=bool)
    mask[rows, columns] = True
    flaw = measure_flaw(mask, np.where(mask, 2.0, 0.0), 1.0)
    assert (flaw.size, flaw.place, flaw.coverage) == (size, place, 1.0)
    assert measure_flaw(mask, np.ones((100, 200)), 1.0).coverage == 0.0


@pytest.mark.parametrize("side", ["top", "left", "bottom", "right"])
@pytest.mark.parametrize(("distance", "place"), [(0, "border"), (8, "border"), (9, "border"), (10, "centre")])
def test_a_flaw_is_at_the_border_when_its_centre_is_nearer_than_a_tenth(
    side: str, distance: int, place: str
) -> None:
    """One pixel, so many pixels from one side of 100 x 200; its middle is half a pixel farther."""
    mask = np.zeros((100, 200), dtype=bool)
    y, x = {
        "top": (distance, 100),
        "left": (50, distance),
        "bottom": (99 - distance, 100),
        "right": (50, 199 - distance),
    }[side]
    mask[y, x] = True
    assert measure_flaw(mask, mask.astype(float), 0.5).place == place


def test_a_centre_that_is_a_tenth_away_is_no_border() -> None:
    mask = np.zeros((100, 100), dtype=bool)
    mask[50, 9:11] = True  # its middle lies 10 pixels from the left
    assert measure_flaw(mask, mask.astype(float), 0.5).place == "centre"


def test_a_score_or_a_pixel_equal_to_its_threshold_is_passed() -> None:
    found = breakdown(LABELS, SCORES, 5.0, kinds=KINDS, flaws=FLAWS)
    assert found["kind"]["crack"].recall == 0.0
    mask = np.ones((2, 2), dtype=bool)
    assert measure_flaw(mask, np.full((2, 2), 0.5), 0.5).coverage == 0.0


def test_a_threshold_is_not_rounded_to_the_width_of_the_map() -> None:
    mask = np.ones((1, 1), dtype=bool)
    assert measure_flaw(mask, np.full((1, 1), 0.1, np.float32), 0.1).coverage == 1.0  # slightly more than 0.1


@pytest.mark.parametrize(
    ("fraction", "size"), [(0.00499, "small"), (0.005, "medium"), (0.01999, "medium"), (0.02, "large")]
)
def test_sizes_begin_where_they_say(fraction: float, size: str) -> None:
    assert Flaw(fraction, False, 0.0).size == size
