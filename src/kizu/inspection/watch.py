"""A folder that pictures are dropped into: each new file once, when it is whole."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from kizu.data.manifest import Sample

ListImages = Callable[[], Sequence[Sample]]


def arrivals(
    list_images: ListImages,
    *,
    interval: float = 0.5,
    idle_seconds: float | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[list[Sample]]:
    """Files that were there, unchanged, at two looks in a row, `interval` seconds apart; each is given once.

    A file that is still being written has another size or time at the next look, and waits. One that is renamed into
    the folder when it is whole is taken at the second look. Ends when nothing has come for `idle_seconds`; None: never.
    """
    seen: dict[Path, tuple[int, int]] = {}
    given: set[Path] = set()
    quiet_since = time.monotonic()
    while True:
        ready = []
        present: dict[Path, tuple[int, int]] = {}
        for sample in list_images():
            if sample.path in given:
                continue
            state = _state(sample.path)
            if state is None:
                continue
            if seen.get(sample.path) == state and state[0] > 0:
                ready.append(sample)
                given.add(sample.path)
            else:
                present[sample.path] = state
        if present != seen or ready:
            quiet_since = time.monotonic()
        seen = present
        if ready:
            yield ready
        if idle_seconds is not None and time.monotonic() - quiet_since >= idle_seconds:
            return
        sleep(interval)


def _state(path: Path) -> tuple[int, int] | None:
    """Size and time of the last change; None where it has gone meanwhile."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns
