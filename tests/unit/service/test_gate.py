"""So many at once, so many that wait, and nothing that is lost."""

import asyncio
import threading
from collections.abc import Callable

import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")

from kizu.core.threads import cores
from kizu.service.gate import Gate
from kizu.service.problems import ProblemError

LONG = {"wait_s": 20.0, "run_s": 20.0, "about": "plate"}


async def go(gate: Gate, call: Callable[[], object], client: str = "a", **limits: float) -> object:
    async with gate.place(client) as place:
        return await gate.run(place, call, **{**LONG, **limits})  # type: ignore[arg-type]


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():
            await asyncio.sleep(0.002)


def test_no_more_run_at_once_than_there_are_workers() -> None:
    lock, now, most = threading.Lock(), 0, 0

    def call() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        threading.Event().wait(0.01)
        with lock:
            now -= 1

    async def main() -> None:
        gate = Gate(2, 20)
        await asyncio.gather(*(go(gate, call) for _ in range(20)))
        assert (gate.running, gate.held, gate.waiting.total()) == (0, 0, 0)
        gate.shut_down()

    asyncio.run(main())
    assert most == 2


def test_turns_come_in_the_order_of_arrival() -> None:
    done: list[int] = []

    async def main() -> None:
        gate = Gate(1, 20)
        await asyncio.gather(*(go(gate, lambda number=number: done.append(number)) for number in range(10)))  # type: ignore[misc]
        gate.shut_down()

    asyncio.run(main())
    assert done == list(range(10))


def test_beyond_the_queue_and_beyond_one_clients_share_the_answer_is_no() -> None:
    held = threading.Event()

    async def main() -> None:
        gate = Gate(1, 2, max_per_client=2)
        tasks = [asyncio.ensure_future(go(gate, held.wait)) for _ in range(2)]
        await until(lambda: gate.held == 2)
        with pytest.raises(ProblemError) as refused:
            await go(gate, held.wait)
        assert (refused.value.status, refused.value.all_headers()["Retry-After"]) == (429, "1")
        tasks.append(asyncio.ensure_future(go(gate, held.wait, "b")))
        await until(lambda: gate.held == 3)
        assert gate.waiting["plate"] == 2
        with pytest.raises(ProblemError) as refused:
            await go(gate, held.wait, "c")
        assert (refused.value.status, refused.value.kind) == (503, "busy")
        held.set()
        await asyncio.gather(*tasks)
        assert await go(gate, lambda: 7) == 7
        gate.shut_down()

    asyncio.run(main())


def test_who_goes_away_while_waiting_frees_the_place_at_once() -> None:
    held, ran = threading.Event(), threading.Event()

    async def main() -> None:
        gate = Gate(1, 2)
        first = asyncio.ensure_future(go(gate, held.wait))
        await until(lambda: gate.running == 1)
        gone = asyncio.ensure_future(go(gate, ran.set))
        await until(lambda: gate.waiting.total() == 1)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        assert (gate.held, gate.waiting.total()) == (1, 0)
        held.set()
        await first
        assert gate.running == 0
        gate.shut_down()

    asyncio.run(main())
    assert not ran.is_set()


def test_who_goes_away_while_inspected_frees_the_place_when_the_thread_is_done() -> None:
    held = threading.Event()

    async def main() -> None:
        gate = Gate(1, 0)
        gone = asyncio.ensure_future(go(gate, held.wait))
        await until(lambda: gate.running == 1)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        assert (gate.running, gate.held) == (1, 1)
        held.set()
        await until(lambda: gate.held == 0)
        assert await go(gate, lambda: 7) == 7
        gate.shut_down()

    asyncio.run(main())


@pytest.mark.parametrize(("wait_s", "run_s"), [(0.02, 20.0), (20.0, 0.02)])
def test_nobody_waits_for_ever(wait_s: float, run_s: float) -> None:
    held = threading.Event()

    async def main() -> None:
        gate = Gate(1, 5)
        first = asyncio.ensure_future(go(gate, held.wait))
        await until(lambda: gate.running == 1)
        if run_s < wait_s:
            held.set()
            await first
            held.clear()
        with pytest.raises(ProblemError) as late:
            await go(gate, held.wait, wait_s=wait_s, run_s=run_s)
        assert (late.value.status, late.value.kind) == (503, "took-too-long")
        held.set()
        await until(lambda: gate.held == 0)
        assert gate.running == 0
        gate.shut_down()

    asyncio.run(main())


def test_closed_it_lets_finish_what_runs_and_refuses_what_waits() -> None:
    held = threading.Event()

    async def main() -> None:
        gate = Gate(1, 5)
        runs = asyncio.ensure_future(go(gate, lambda: held.wait() and 7))
        await until(lambda: gate.running == 1)
        waits = asyncio.ensure_future(go(gate, lambda: 8))
        await until(lambda: gate.waiting.total() == 1)
        gate.close()
        with pytest.raises(ProblemError) as refused:
            await waits
        assert refused.value.kind == "stopping"
        with pytest.raises(ProblemError):
            await go(gate, lambda: 9)
        held.set()
        assert await runs == 7
        gate.shut_down()

    asyncio.run(main())


def test_what_is_raised_in_the_thread_is_raised_here_and_the_place_is_free() -> None:
    def fail() -> None:
        raise KeyError("x")

    async def main() -> None:
        gate = Gate(1, 0)
        for _ in range(3):
            with pytest.raises(KeyError):
                await go(gate, fail)
        assert gate.held == 0
        gate.shut_down()

    asyncio.run(main())


def test_alone_it_has_all_cores_and_beside_others_one() -> None:
    held = threading.Event()

    async def main() -> None:
        gate = Gate(2, 5)
        assert await go(gate, cores) == cores()
        first = asyncio.ensure_future(go(gate, held.wait))
        await until(lambda: gate.running == 1)
        assert await go(gate, cores) == 1
        held.set()
        await first
        gate.shut_down()

    asyncio.run(main())
