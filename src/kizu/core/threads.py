"""Who may use the cores.

BLAS starts its own threads for every product that it finds large enough. Where many small products follow each other,
or where our own threads already use every core, its threads only wait for each other: on a busy machine one
factorisation of 152 x 152 then takes a thousand times its time.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import cache
from itertools import islice
from threading import Lock
from typing import Any, TypeVar

from kizu.core.provenance import usable_cores

T = TypeVar("T")
R = TypeVar("R")

_limit: ContextVar[int | None] = ContextVar("cores", default=None)


def cores() -> int:
    """How many threads the present call may keep busy: one per usable core, or as many as it was limited to."""
    limit = _limit.get()
    return usable_cores() if limit is None else min(limit, usable_cores())


@contextmanager
def limit_cores(count: int) -> Iterator[None]:
    """What this thread calls inside keeps at most `count` threads busy, never more than it was allowed before."""
    before = _limit.get()
    token = _limit.set(count if before is None else min(count, before))
    try:
        yield
    finally:
        _limit.reset(token)


def one_core() -> AbstractContextManager[None]:
    """What this thread calls inside keeps to this thread. For workers that already share out the cores."""
    return limit_cores(1)


def spread(function: Callable[[T], R], items: Iterable[T], *, workers: int | None = None) -> list[R]:
    """What `function` gives for every item, in order, in as many threads as there are cores (at most `workers`).

    Each call has one core, and BLAS keeps to the thread it is called in.
    """
    waiting = list(items)
    workers = min(len(waiting), cores(), workers or len(waiting))

    def call(item: T) -> R:
        with one_core():
            return function(item)

    with one_blas_thread():
        if workers < 2:
            return [function(item) for item in waiting]
        with ThreadPoolExecutor(workers, thread_name_prefix="kizu") as pool:
            return list(pool.map(call, waiting))


def in_order(
    function: Callable[[T], R], items: Iterable[T], *, workers: int, ahead: int
) -> Generator[tuple[T, R], None, None]:
    """(item, `function(item)`) for all `items`, in order, computed by `workers` threads.

    At most `ahead` items are under way or waiting to be taken. Each call has one core. What a call raises is raised
    when its turn comes. Closing the generator, or an error or Ctrl-C in its consumer, drops what is queued at once.
    """

    def call(item: T) -> R:
        with one_core():
            return function(item)

    waiting = iter(items)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="kizu")
    queue: deque[tuple[T, Future[R]]] = deque()
    try:
        while True:
            queue.extend((item, pool.submit(call, item)) for item in islice(waiting, ahead - len(queue)))
            if not queue:
                return
            item, future = queue.popleft()
            yield item, future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


class _BlasLimits:
    """The limits that are asked for now, all over the process; the lowest one holds until the last one ends."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._asked: list[int] = []
        self._before: list[tuple[Any, int]] = []
        """Each library and the number of threads that it had before the first limit."""

    def enter(self, limit: int) -> None:
        with self._lock:
            lowest = min(self._asked, default=None)
            if lowest is None:
                self._before = [(library, library.get_num_threads()) for library in _blas_libraries()]
            self._asked.append(limit)
            if lowest is None or limit < lowest:
                self._apply()

    def leave(self, limit: int) -> None:
        with self._lock:
            lowest = min(self._asked)
            self._asked.remove(limit)
            if min(self._asked, default=None) != lowest:
                self._apply()

    def _apply(self) -> None:
        lowest = min(self._asked, default=None)
        for library, before in self._before:
            library.set_num_threads(before if lowest is None else min(lowest, before))


_blas = _BlasLimits()


@cache
def _blas_libraries() -> list[Any]:
    from threadpoolctl import ThreadpoolController

    return [library for library in ThreadpoolController().lib_controllers if library.user_api == "blas"]


@contextmanager
def blas_threads(limit: int) -> Iterator[None]:
    """While it is entered, BLAS computes in at most `limit` threads. Holds for the whole process; costs microseconds.

    Blocks of several threads may overlap in any order: the lowest limit of those that are open holds, and when the last
    one ends BLAS has the threads that it had before the first.
    """
    _blas.enter(limit)
    try:
        yield
    finally:
        _blas.leave(limit)


def one_blas_thread() -> AbstractContextManager[None]:
    """While it is entered, BLAS computes in the calling thread."""
    return blas_threads(1)
