"""How much is done at once: so many inspections, so many requests that wait, and no more.

A request takes a place before its body is read, so that bodies too are bounded; then each picture waits for its turn,
first come first served. A thread cannot be stopped: who goes away while a picture is inspected gives his place back
when it is done.
"""

import asyncio
import contextvars
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

from kizu.core.threads import one_core
from kizu.service.problems import ProblemError

R = TypeVar("R")


class Place:
    """A request that has been let in."""

    def __init__(self, client: str) -> None:
        self.client = client
        self.is_over = False
        self.running = 0


class Gate:
    """Belongs to one event loop."""

    def __init__(self, workers: int, queue_length: int, max_per_client: int | None = None) -> None:
        self.workers, self.places = workers, workers + queue_length
        self.running = 0
        self.waiting: Counter[str] = Counter()
        """Pictures that wait for their turn, by what they are of."""
        self.is_closed = False
        self._max_per_client = max_per_client
        self._clients: Counter[str] = Counter()
        self._turns: deque[tuple[asyncio.Future[None], str]] = deque()
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="kizu-serve")

    @property
    def held(self) -> int:
        """Places that are taken."""
        return self._clients.total()

    @asynccontextmanager
    async def place(self, client: str) -> AsyncIterator[Place]:
        """Let a request in. Raises `ProblemError` where it is refused."""
        if self.is_closed:
            raise _stopping()
        if self.held >= self.places:
            raise ProblemError(
                "busy", f"{self.held} requests are here, as many as may be", "try again shortly"
            )
        if self._max_per_client is not None and self._clients[client] >= self._max_per_client:
            hint = "wait for answers before sending more"
            raise ProblemError("too-many", f"{self._max_per_client} requests of {client} are here", hint)
        place = Place(client)
        self._clients[client] += 1
        try:
            yield place
        finally:
            place.is_over = True
            self._leave(place)

    async def run(self, place: Place, call: Callable[[], R], *, wait_s: float, run_s: float, about: str) -> R:
        """What `call` gives in a thread of its own, when its turn has come.

        On one core where others run beside it, on all of them where nobody does. Raises `ProblemError` where it waits
        longer than `wait_s`, runs longer than `run_s`, or the gate closes before its turn.
        """
        await self._wait(wait_s, about)
        is_alone = self.running == 1 and not self._turns
        place.running += 1
        context = contextvars.Context()  # nothing of the loop's limits

        def work() -> R:
            if is_alone:
                return call()
            with one_core():
                return call()

        future = asyncio.get_running_loop().run_in_executor(self._threads, context.run, work)
        future.add_done_callback(lambda _: self._give_back(place))
        try:
            async with asyncio.timeout(run_s):
                return await asyncio.shield(future)
        except TimeoutError as error:
            future.add_done_callback(_pass_over)
            raise ProblemError("took-too-long", f"the picture took longer than {run_s:g} s") from error
        except asyncio.CancelledError:
            future.add_done_callback(_pass_over)
            raise

    def close(self) -> None:
        """What runs goes on to its end; what waits, and what comes, is refused."""
        self.is_closed = True
        for turn, _ in self._turns:
            if not turn.done():
                turn.set_exception(_stopping())

    def shut_down(self) -> None:
        """Nothing runs any more, or nobody waits for it."""
        self.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _wait(self, wait_s: float, about: str) -> None:
        if self.is_closed:
            raise _stopping()
        if self.running < self.workers and not self._turns:
            self.running += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (turn, about)
        self._turns.append(entry)
        self.waiting[about] += 1
        try:
            async with asyncio.timeout(wait_s):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.running -= 1  # its turn came as it went
                self._next()
            if isinstance(error, TimeoutError):
                raise ProblemError(
                    "took-too-long", f"no turn came within {wait_s:g} s", "try again"
                ) from error
            raise
        finally:
            self.waiting[about] -= 1
            if entry in self._turns:
                self._turns.remove(entry)

    def _next(self) -> None:
        while self._turns and self.running < self.workers:
            turn, _ = self._turns.popleft()
            if not turn.done():
                self.running += 1
                turn.set_result(None)

    def _give_back(self, place: Place) -> None:
        place.running -= 1
        self.running -= 1
        self._leave(place)
        self._next()

    def _leave(self, place: Place) -> None:
        if place.is_over and place.running == 0:
            self._clients[place.client] -= 1
            if self._clients[place.client] == 0:
                del self._clients[place.client]


def _stopping() -> ProblemError:
    return ProblemError(
        "stopping", "the service finishes what it has begun, and takes no more", "try another"
    )


def _pass_over(future: "asyncio.Future[R]") -> None:
    """Nobody waits for it any more; what went wrong in it is nobody's answer."""
    if not future.cancelled():
        future.exception()
