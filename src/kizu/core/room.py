"""Room for pixels in flight: what is decoded and not yet done with, counted in pixels and not in pictures.

Eight pictures of 9 megapixels take as much as five hundred of 0.15. The room is one for the whole process, as its
memory is; each picture, or each few that are handled together, holds its pixels while it is worked on.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from threading import Condition, local
from typing import TypeVar

from kizu.core.environment import whole_number
from kizu.core.provenance import usable_cores

T = TypeVar("T")

ROOM_VARIABLE = "KIZU_MEGAPIXELS"
_PER_CORE = 16_000_000
"""Each core has a picture of a common camera under way."""
_LEAST = 32_000_000


class Room:
    """So many pixels at a time, over all threads, first come first served."""

    def __init__(self, pixels: int) -> None:
        self.pixels = max(1, pixels)
        self._held = 0
        self._waiting: deque[object] = deque()
        self._changed = Condition()
        self._here = local()

    @contextmanager
    def hold(self, pixels: int) -> Iterator[None]:
        """Hold room for `pixels` while the block runs; waits until there is some.

        What is larger than the whole room waits until it is empty, and goes alone. Inside of a block its thread holds
        what it has: another `hold` there waits for nothing and takes nothing.
        """
        if getattr(self._here, "holds", False):
            yield
            return
        wanted = min(pixels, self.pixels)
        self._enter(wanted)
        self._here.holds = True
        try:
            yield
        finally:
            self._here.holds = False
            self._leave(wanted)

    def _enter(self, wanted: int) -> None:
        turn = object()
        with self._changed:
            self._waiting.append(turn)
            try:
                self._changed.wait_for(
                    lambda: self._waiting[0] is turn and self._held + wanted <= self.pixels
                )
                self._held += wanted
            finally:
                self._waiting.remove(turn)
                self._changed.notify_all()

    def _leave(self, wanted: int) -> None:
        with self._changed:
            self._held -= wanted
            self._changed.notify_all()


@cache
def pixel_room() -> Room:
    """The room of this process: KIZU_MEGAPIXELS, else 16 for each core and 32 at least. Raises `ConfigError`."""
    megapixels = whole_number(ROOM_VARIABLE)
    return Room(max(_LEAST, _PER_CORE * usable_cores()) if megapixels is None else megapixels * 1_000_000)


def portions(items: Iterable[T], pixels_of: Callable[[T], int], *, at_most: int) -> Iterator[list[T]]:
    """`items` in order, cut into lists of `at_most` pixels each; a larger one stands alone."""
    portion: list[T] = []
    total = 0
    for item in items:
        pixels = pixels_of(item)
        if portion and total + pixels > at_most:
            yield portion
            portion, total = [], 0
        portion.append(item)
        total += pixels
    if portion:
        yield portion
