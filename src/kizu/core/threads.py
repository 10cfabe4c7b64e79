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
from typing import Any, TypeVar

from kizu.core.provenance import usable_cores

T = TypeVar("T")
R = TypeVar("R")

_alone: ContextVar[bool] = ContextVar("one core", default=False)


def cores() -> int:
    """How many threads the present call may keep busy: one per usable core, or one within `one_core`."""
    return 1 if _alone.get() else usable_cores()


@contextmanager
def one_core() -> Iterator[None]:
    """What this thread calls inside keeps to this thread. For workers that already share out the cores."""
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


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


@cache
def _controller() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def one_blas_thread() -> AbstractContextManager[Any]:
    """While it is entered, BLAS computes in the calling thread. Holds for the whole process; costs microseconds.

    Where blocks of several threads overlap, the first one's counts (threadpoolctl 3.8): a later one may find the limit
    lifted before its end, which costs speed and nothing else.
    """
    limited: AbstractContextManager[Any] = _controller().limit(limits=1, user_api="blas")
    return limited
