"""Flaws of a stated size: painted large, shrunk to so many pixels of a picture, and kept as what they change.

A painter's flaw grows with the image that it is given (`data/defects.py`). Here it is painted on an enlarged cut of the
picture, and what it changed is brought back to the picture's own pixels, blurred as a lens would. Kept are a few pixels
for each flaw, whatever the picture's size, so that a picture that is decoded once can be seen with each of many.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kizu.core.errors import ConfigError
from kizu.core.registry import look_up
from kizu.core.types import HW, U8, Bool
from kizu.data.defects import PAINTERS, Painter
from kizu.imaging.placement import PlacementConfig, place

CANVAS_PX = 192
"""Side of what is painted on."""
SEEN_CHANGE = 8
"""Grey levels: a pixel that changes by as much belongs to the flaw. Flaws of few pixels are faint."""
RIM = 0.2
"""Part of each side of the picture at either end where no flaw has its middle, as painters have it."""
LARGEST_PART = 0.5
"""Of a picture's shorter side: larger flaws are not painted."""
_TRIES = 20
COMPACT = ("chip", "dent", "stain")
"""Kinds that are about as wide as they are long: of these a side tells what a lens sees. A scratch of 8 pixels is a
tenth of one wide."""


@dataclass(frozen=True, slots=True)
class SizedFlaw:
    """What one flaw changes of one picture."""

    kind: str
    side_px: int
    """Of its bounding box, the longer one, in pixels of the picture."""
    top: int
    left: int
    change: NDArray[np.int16]
    """(h, w, 3) added to the pixels from (top, left) on"""

    def on(self, image: U8) -> U8:
        """A copy of the picture (H, W, 3) with the flaw in it."""
        flawed = image.copy()
        here = self._here()
        flawed[here] = np.clip(flawed[here].astype(np.int16) + self.change, 0, 255).astype(np.uint8)
        return flawed

    def mask(self, image_hw: HW) -> Bool:
        """(H, W) True where the flaw is seen."""
        found = np.zeros(image_hw, bool)
        found[self._here()] = np.abs(self.change).max(axis=2) >= SEEN_CHANGE
        return found

    def _here(self) -> tuple[slice, slice]:
        h, w = self.change.shape[:2]
        return slice(self.top, self.top + h), slice(self.left, self.left + w)


def paint_sized(
    image: U8, kind: str, side_px: int, rng: np.random.Generator, *, strength: float = 1.0
) -> SizedFlaw:
    """A flaw of `PAINTERS[kind]` in the picture (H, W, 3), `side_px` pixels long or high, in its middle six tenths.

    `strength`: of its contrast; 1: as painted. Raises `ConfigError` for an unknown kind, and for a side below 2 pixels
    or above half of the picture's shorter one.
    """
    painter = look_up(PAINTERS, kind, noun="kind of flaw")
    most = int(LARGEST_PART * min(image.shape[:2]))
    if not 2 <= side_px <= most:
        raise ConfigError(
            f"a flaw of {side_px} px does not fit a picture of {image.shape[0]} x {image.shape[1]}",
            hint=f"paint flaws of 2 to {most} pixels",
        )
    seed, box = _outline(painter, rng)
    longest = max(box[0].stop - box[0].start, box[1].stop - box[1].start)
    window = max(side_px, round(CANVAS_PX * side_px / longest))
    corner = [
        _spot(length, side_px, rng) - ((axis.start + axis.stop) * window) // (2 * CANVAS_PX)
        for length, axis in zip(image.shape[:2], box, strict=True)
    ]
    change = _change(image, painter, seed, (corner[0], corner[1]), window)
    return _cropped(kind, side_px, corner, np.rint(change * strength).astype(np.int16), image.shape[:2])


def _outline(painter: Painter, rng: np.random.Generator) -> tuple[int, tuple[slice, slice]]:
    """A seed, and the rows and columns of the canvas that its flaw covers: one that the border does not cut off, as far
    as some tries find one."""
    blank = np.full((CANVAS_PX, CANVAS_PX, 3), 128, np.uint8)
    for _ in range(_TRIES):
        seed = int(rng.integers(2**63))
        painted = painter(blank, np.random.default_rng(seed), None).image
        seen = np.abs(painted.astype(np.int16) - blank).max(axis=2) >= SEEN_CHANGE
        rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
        box = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
        if all(axis.start > 0 and axis.stop < CANVAS_PX for axis in box):
            break
    return seed, box


def _spot(length: int, side_px: int, rng: np.random.Generator) -> int:
    """Where along one side of the picture the flaw's middle lies: all of it inside."""
    half = (side_px + 1) // 2
    low, high = max(half, round(RIM * length)), min(length - half, round((1 - RIM) * length))
    return int(rng.integers(low, max(low, high) + 1))


def _change(
    image: U8, painter: Painter, seed: int, corner: tuple[int, int], window: int
) -> NDArray[np.int16]:
    """(window, window, 3) what the flaw changes of the cut of the picture from `corner` on; beyond the picture's border
    the border is repeated."""
    rows, columns = (
        np.clip(np.arange(start, start + window), 0, length - 1)
        for start, length in zip(corner, image.shape[:2], strict=True)
    )
    cut = np.ascontiguousarray(image[rows[:, None], columns[None]])  # (window, window, 3)
    canvas = place(cut, PlacementConfig(image_size=(CANVAS_PX, CANVAS_PX)))
    painted = painter(canvas, np.random.default_rng(seed), None).image
    back = PlacementConfig(image_size=(window, window))
    change = place(painted, back).astype(np.int16) - place(canvas, back)
    if np.array_equal(image, np.repeat(image[..., :1], 3, axis=2)):  # a camera without colours sees none
        change[:] = np.rint(change.mean(axis=2, keepdims=True))
    return change


def _cropped(
    kind: str, side_px: int, corner: list[int], change: NDArray[np.int16], image_hw: HW
) -> SizedFlaw:
    """Without what lies beyond the picture, and without what does not change."""
    top, left = corner
    inside = change[max(0, -top) : image_hw[0] - top, max(0, -left) : image_hw[1] - left]
    top, left = max(0, top), max(0, left)
    touched = (inside != 0).any(axis=2)
    rows, columns = np.flatnonzero(touched.any(axis=1)), np.flatnonzero(touched.any(axis=0))
    if not len(rows):
        return SizedFlaw(kind, side_px, top, left, inside[:1, :1])
    here = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return SizedFlaw(kind, side_px, top + int(rows[0]), left + int(columns[0]), inside[here].copy())
