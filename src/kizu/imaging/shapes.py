"""Drawn areas as pixels: runs along columns, as COCO packs masks, and polygons.

COCO's run-length encoding goes down each column, then to the next one on the right: so many pixels that are not in it,
so many that are, and so on. Packed as text each number is what it is more than the one before the last, in groups of
five bits, the lowest first, each a character from "0" on; 32 says that more follow, and the highest bit of the last
group is the sign.
"""

from collections.abc import Sequence

import numpy as np

from kizu.core.errors import DataError
from kizu.core.types import F64, HW, Bool

_BITS, _MORE, _SIGN, _FIRST = 5, 0x20, 0x10, ord("0")


def unpack_runs(text: str) -> list[int]:
    """The lengths of runs that COCO's text holds. Raises `DataError` for one that ends early or has other signs."""
    runs: list[int] = []
    value = shift = 0
    for sign in text:
        code = ord(sign) - _FIRST
        if not 0 <= code < 2 * _MORE:
            raise DataError(f"packed runs hold {sign!r}", hint="they hold the signs from '0' to 'o'")
        value |= (code & (_MORE - 1)) << shift
        shift += _BITS
        if code & _MORE:
            continue
        if code & _SIGN:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise DataError("packed runs end early", hint="the text was cut off")
    return runs


def fill_runs(runs: Sequence[int], hw: HW) -> Bool:
    """(H, W), True in every second run, the first of which is not. Raises `DataError` unless they fill the picture."""
    height, width = hw
    if any(length < 0 for length in runs) or sum(runs) != height * width:
        raise DataError(
            f"runs of {sum(runs)} pixels do not fill {height} x {width}",
            hint="the size or the runs are wrong",
        )
    inside = np.arange(len(runs)) % 2 == 1
    return np.repeat(inside, np.asarray(runs, np.int64)).reshape(width, height).T


def fill_polygon(corners: F64, hw: HW) -> Bool:
    """(H, W), True where the centre of a pixel lies in the polygon (K, 2) of x and y.

    A pixel at row r and column c covers [c, c + 1) x [r, r + 1). Where lines cross, what lies inside an even number of
    loops is outside. A polygon too thin to hold any centre marks the pixels of its corners, so that no flaw is lost.
    """
    height, width = hw
    inside = np.zeros(hw, np.bool_)
    low, high = np.floor(corners.min(axis=0)), np.ceil(corners.max(axis=0))
    left, top = np.clip(low, 0, (width, height)).astype(int).tolist()
    right, bottom = np.clip(high, 0, (width, height)).astype(int).tolist()
    flips = np.zeros((bottom - top, right - left + 1), np.int32)  # of the box round the polygon
    following = np.roll(corners, -1, axis=0)
    for (x0, y0), (x1, y1) in zip(corners.tolist(), following.tolist(), strict=True):
        first, last = sorted((y0, y1))
        rows = np.arange(max(top, int(np.ceil(first - 0.5))), min(bottom, int(np.ceil(last - 0.5))))
        if not rows.size:
            continue
        crossing = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
        column = np.clip(np.ceil(crossing - 0.5), left, right).astype(
            np.int64
        )  # the first centre to the right
        np.add.at(flips, (rows - top, column - left), 1)
    inside[top:bottom, left:right] = flips.cumsum(axis=1)[:, :-1] % 2 == 1
    if not inside.any():
        columns, rows = np.floor(corners).astype(np.int64).T
        there = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
        inside[rows[there], columns[there]] = True
    return inside
