"""A folder that pictures are dropped into: each state of a file once, when it is whole.

The operating system tells what changed, so that a look costs nothing where nothing did. As it may miss something, and
tells nothing of what others write to a share, everything is looked at now and then too; how often, the time that such a
look takes says.
"""

import heapq
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from logging import getLogger
from pathlib import Path
from typing import Protocol

from kizu.core.errors import DataError
from kizu.data.manifest import Sample
from kizu.inspection.source import Stamp, stamp_at

LOOK_AGAIN_S = 5.0
"""Everything is looked at again after about this long, whatever the system tells."""
LOOK_SHARE = 0.05
"""No more than this part of a core goes into looking at everything."""
LONGEST_PAUSE_S = 60.0
"""What could not be read is tried again after pauses that double up to this."""
_log = getLogger(__name__)


class Events(Protocol):
    """What tells of changes below a folder."""

    is_reliable: bool
    """Whether a change that it does not tell of is an exception."""

    def wait(self, seconds: float) -> Collection[Path]:
        """Paths that changed, told at the latest after `seconds`; none where nothing did, or nothing is known."""
        ...


class Pause:
    """No events: only time passes."""

    is_reliable = False

    def __init__(self, sleep: Callable[[float], None] = time.sleep) -> None:
        self._sleep = sleep

    def wait(self, seconds: float) -> Collection[Path]:
        """Nothing is known of what changed meanwhile."""
        self._sleep(seconds)
        return ()


class Look(Protocol):
    """How a folder is listed."""

    def every(self) -> Sequence[Sample]:
        """All images. Raises `DataError` where the folder cannot be listed."""
        ...

    def one(self, path: Path) -> Sample | None:
        """The image at `path`; None where such a file is passed over."""
        ...


class DropFolder:
    """Iterating gives the images that are ready, together; an empty piece when nothing happens."""

    def __init__(
        self,
        look: Look,
        events: Events,
        *,
        interval: float = 0.5,
        idle_seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """A file is ready when it was there, unchanged, at two looks in a row, `interval` seconds apart. One that is
        still being written has another size or time at the next look, and waits; one that changes later is ready anew.

        It ends when nothing has come for `idle_seconds`; None: never.
        """
        self._look, self._events, self._clock = look, events, clock
        self._interval, self._idle_seconds = interval, idle_seconds
        self._restless: dict[Path, tuple[Sample, Stamp]] = {}
        self._given: dict[Path, Stamp] = {}
        self._again: list[tuple[float, Path]] = []
        self._pauses: dict[Path, float] = {}
        self._is_away = False

    def put_back(self, sample: Sample, *, after_s: float | None = None) -> None:
        """Give `sample` again, though it has not changed: after `after_s`, or after pauses that double each time."""
        pause = min(LONGEST_PAUSE_S, 2 * self._pauses.get(sample.path, self._interval / 2))
        self._pauses[sample.path] = pause
        heapq.heappush(self._again, (self._clock() + (pause if after_s is None else after_s), sample.path))

    def __iter__(self) -> Iterator[list[Sample]]:
        quiet_since = self._clock()
        look_at = self._clock()
        changed: Collection[Path] = ()
        while True:
            started = self._clock()
            if started >= look_at:
                seen = self._every()
                took = self._clock() - started
                rest = LOOK_AGAIN_S if self._events.is_reliable else self._interval
                look_at = self._clock() + max(rest, took / LOOK_SHARE) - self._interval / 2
            else:
                seen = [sample for path in changed if (sample := self._look.one(path)) is not None]
                if any(path.is_dir() for path in changed):
                    look_at = started  # what was written into a new folder before it was watched
            ready, has_moved = self._sort(seen)
            ready += self._due()
            if ready or has_moved:
                quiet_since = self._clock()
            yield ready
            if self._idle_seconds is not None and self._clock() - quiet_since >= self._idle_seconds:
                return
            changed = self._events.wait(self._interval)

    def _every(self) -> Sequence[Sample]:
        try:
            found = self._look.every()
        except DataError as error:
            if not self._is_away:
                _log.warning("folder away reason=%s: it is waited for", error.message)
            self._is_away = True
            return ()
        self._is_away = False
        return found

    def _sort(self, seen: Sequence[Sample]) -> tuple[list[Sample], bool]:
        """Those of `seen`, and of what was restless before, that have come to rest; and whether anything moves."""
        before, self._restless = self._restless, {}
        ready = []
        has_moved = False
        for path, sample in {
            **{path: item[0] for path, item in before.items()},
            **{s.path: s for s in seen},
        }.items():
            stamp = stamp_at(path)
            if stamp is None:
                self._given.pop(path, None)
            elif self._given.get(path) == stamp:
                continue
            elif path in before and before[path][1] == stamp:
                self._given[path] = stamp
                if stamp.size > 0:  # an empty one is looked at again when it changes
                    ready.append(sample)
            else:
                self._restless[path] = sample, stamp
                has_moved |= path not in before or before[path][1] != stamp
        return ready, has_moved

    def _due(self) -> list[Sample]:
        found = []
        while self._again and self._again[0][0] <= self._clock():
            _, path = heapq.heappop(self._again)
            sample = self._look.one(path)
            if sample is not None and path not in self._restless:
                found.append(sample)
        return found
