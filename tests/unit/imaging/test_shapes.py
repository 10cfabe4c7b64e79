"""Runs and polygons: by hand, at their edges, and refused where they make no sense."""

import numpy as np
import pytest

from kizu.core.errors import DataError
from kizu.imaging.shapes import fill_polygon, fill_runs, unpack_runs


def test_runs_go_down_the_columns() -> None:
    assert fill_runs([1, 2, 1, 1, 1], (2, 3)).tolist() == [[False, True, True], [True, False, False]]


@pytest.mark.parametrize("runs", [[], [5], [7], [3, -1, 4], [3, 4]])
def test_runs_that_do_not_fill_the_picture_are_refused(runs: list[int]) -> None:
    with pytest.raises(DataError, match="do not fill 2 x 3"):
        fill_runs(runs, (2, 3))


@pytest.mark.parametrize(
    ("text", "what"), [("T3d0X", "end early"), ("T3 0", "hold ' '"), ("T3é0", "hold 'é'")]
)
def test_packed_runs_that_are_none_are_refused(text: str, what: str) -> None:
    with pytest.raises(DataError, match=what):
        unpack_runs(text)


def test_a_square_covers_its_pixels_and_no_more() -> None:
    square = np.array([[2.0, 1.0], [5.0, 1.0], [5.0, 4.0], [2.0, 4.0]])
    wanted = np.zeros((6, 8), bool)
    wanted[1:4, 2:5] = True
    assert np.array_equal(fill_polygon(square, (6, 8)), wanted)
    assert np.array_equal(fill_polygon(square[::-1], (6, 8)), wanted)


def test_squares_side_by_side_share_no_pixel_and_leave_none_out() -> None:
    left = np.array([[0, 0], [3.5, 0], [3.5, 6], [0, 6]], float)
    right = np.array([[3.5, 0], [8, 0], [8, 6], [3.5, 6]], float)
    one, other = fill_polygon(left, (6, 8)), fill_polygon(right, (6, 8))
    assert not (one & other).any()
    assert (one | other).all()


def test_what_reaches_out_of_the_picture_is_cut_off() -> None:
    beyond = np.array([[-10, -10], [100, -10], [100, 100], [-10, 100]], float)
    assert fill_polygon(beyond, (6, 8)).all()
    assert not fill_polygon(beyond + 200, (6, 8)).any()


def test_a_hair_is_not_lost() -> None:
    hair = np.array([[1.1, 1.1], [4.2, 1.2], [1.1, 1.15]])
    assert np.argwhere(fill_polygon(hair, (6, 8))).tolist() == [[1, 1], [1, 4]]
