"""Which picture it is, whatever its file is called and however it was packed: hashes of file and pixels, a likeness.

Hashes are equal for the same picture and for no other, so that a refusal may rest on them. A likeness of 16 x 16 grey
values is close for a picture that was compressed anew or resized; parts that look alike are close too, so that it may
be told and nothing may rest on it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kizu.core.config import Config
from kizu.core.hashing import hash_bytes
from kizu.core.threads import in_order
from kizu.core.types import F32, I64, U8
from kizu.core.work import Work
from kizu.data.manifest import Sample
from kizu.imaging.codec import read_numbers

SIDE = 16
"""Of a likeness, in blocks."""
CLOSE = 1.0
"""Grey levels, root mean square over the blocks. Compressing anew as JPEG moved the pictures of four real sets by .53
at most at quality 75, by .62 at 50."""
APART = 4.0
"""So many times farther away must a picture's nearest other one be: else its neighbours look alike anyway."""
SHOWN = 3
ROWS = 1024
"""Likenesses that are compared with all others at once."""


class ImageMark(Config):
    """What a picture is known by."""

    id: str
    """The sample's."""
    sha256: str
    """Of the file."""
    pixels: str
    """SHA-256 of what it holds: type, shape and numbers, for grey of 8 bits as for RGB."""
    look: str | None
    """The means of 16 x 16 blocks of its grey values, hexadecimal; None for numbers without a known full scale, and for
    pictures smaller than that."""


@dataclass(frozen=True, slots=True)
class SharedImages:
    """Pictures that are on both sides."""

    pairs: tuple[tuple[str, str], ...]
    """(id here, id there), by ids here; each picture once."""
    part: float
    """The part of the different pictures that are shared, of the side where that is more."""

    def describe(self) -> str:
        """The first few, and how many more."""
        told = [f"{here} is its {there}" for here, there in islice(self.pairs, SHOWN)]
        more = len(self.pairs) - len(told)
        return ", ".join(told) + (f", and {more} more" if more else "")


def mark_images(samples: Sequence[Sample], work: Work = Work()) -> tuple[ImageMark, ...]:
    """The marks of hashed samples, in order. A picture of one colour is left out: it may be anybody's.

    Raises `ImageError` naming the first file that cannot be read.
    """
    marks = []
    workers = work.core_count
    for done, (_, mark) in enumerate(in_order(_mark, samples, workers=workers, ahead=4 * workers), start=1):
        work.report("marks", done, len(samples))
        if mark is not None:
            marks.append(mark)
    return tuple(marks)


def find_shared(here: Sequence[ImageMark], there: Sequence[ImageMark]) -> SharedImages:
    """The same file or the same pixels on both sides. Copies of a picture on one side count once."""
    known = {key: mark.id for mark in reversed(there) for key in (mark.sha256, mark.pixels)}
    pairs: dict[str, tuple[str, str]] = {}
    for mark in here:
        other = known.get(mark.sha256, known.get(mark.pixels))
        if other is not None:
            pairs.setdefault(mark.pixels, (mark.id, other))
    fewest = min(len({mark.pixels for mark in side}) for side in (here, there))
    return SharedImages(tuple(pairs.values()), len(pairs) / fewest if fewest else 0.0)


def find_alike(here: Sequence[ImageMark], there: Sequence[ImageMark]) -> tuple[tuple[str, str], ...]:
    """(id here, id there) of pictures that look the same, and are not by their hashes: as close as compressing anew
    moves them, and at least `APART` times closer than either is to any other picture of its own side.
    """
    known = {key for mark in there for key in (mark.sha256, mark.pixels)}
    mine = [m for m in here if m.look is not None and not {m.sha256, m.pixels} & known]
    theirs = [m for m in there if m.look is not None]
    if len(mine) < 2 or len(theirs) < 2:
        return ()
    looks = [_looks(side) for side in (mine, theirs)]
    own = [_nearest(side, side, itself=False)[1] / APART for side in looks]
    nearest, away = _nearest(*looks)
    close = away <= np.minimum(CLOSE, np.minimum(own[0], own[1][nearest]))
    return tuple((mine[index].id, theirs[nearest[index]].id) for index in np.flatnonzero(close))


def _mark(sample: Sample) -> ImageMark | None:
    assert sample.sha256 is not None
    numbers = read_numbers(sample.path)
    if (numbers == numbers[0, 0]).all():
        return None
    head = f"{numbers.dtype} {numbers.shape} ".encode()
    pixels = hash_bytes(head + np.ascontiguousarray(numbers).tobytes())
    return ImageMark(id=sample.id, sha256=sample.sha256, pixels=pixels, look=_look(numbers))


def _look(numbers: NDArray[Any]) -> str | None:
    """Of (H, W) or (H, W, 3)."""
    if numbers.dtype not in (np.uint8, np.uint16) or min(numbers.shape[:2]) < SIDE:
        return None
    scale = 1.0 if numbers.dtype == np.uint8 else 256.0
    grey = numbers.reshape(*numbers.shape[:2], -1).mean(axis=2, dtype=np.float32) / scale
    for axis in (0, 1):
        edges = np.arange(SIDE) * grey.shape[axis] // SIDE
        sizes = np.diff(np.append(edges, grey.shape[axis]))
        grey = np.add.reduceat(grey, edges, axis=axis) / np.expand_dims(sizes, 1 - axis)
    blocks: U8 = np.clip(np.round(grey), 0, 255).astype(np.uint8)
    return blocks.tobytes().hex()


def _looks(marks: Sequence[ImageMark]) -> F32:
    """(N, 256)"""
    return np.stack([np.frombuffer(bytes.fromhex(m.look or ""), np.uint8).astype(np.float32) for m in marks])


def _nearest(looks: F32, others: F32, *, itself: bool = True) -> tuple[I64, F32]:
    """The index of each one's nearest of `others`, and the root mean square of their differences: (N, 256) -> (N,).

    `itself`: False where both are the same and no one is its own neighbour. Sums of squares of bytes are exact in
    float32.
    """
    nearest = np.empty(len(looks), np.int64)
    squares = np.empty(len(looks), np.float32)
    for low in range(0, len(looks), ROWS):
        part = looks[low : low + ROWS]
        found = (part**2).sum(axis=1)[:, None] + (others**2).sum(axis=1) - 2 * part @ others.T  # (R, M)
        if not itself:
            found[np.arange(len(part)), low + np.arange(len(part))] = np.inf
        nearest[low : low + ROWS] = found.argmin(axis=1)
        squares[low : low + ROWS] = found.min(axis=1)
    return nearest, np.sqrt(squares / SIDE**2)
