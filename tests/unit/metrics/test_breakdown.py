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
