"""Who may use the cores, and work that is shared out and comes back in order."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from kizu.core import threads
from kizu.core.threads import cores, in_order, one_core, spread


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "usable_cores", lambda: 4)


def test_one_core_holds_for_its_thread_and_ends() -> None:
    assert cores() == 4
    with one_core():
        assert cores() == 1
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(cores).result() == 4
        with one_core():
            pass
        assert cores() == 1
    assert cores() == 4


@pytest.mark.parametrize(("workers", "used"), [(None, 4), (2, 2), (1, 1)])
def test_spread_calls_for_every_item_in_as_many_threads(workers: int | None, used: int) -> None:
    together = threading.Barrier(used, timeout=10)
    seen: list[int] = []

    def call(item: int) -> None:
        together.wait()
        if used > 1:
            assert cores() == 1
        seen.append(item)

    spread(call, range(8), workers=workers)
    assert sorted(seen) == list(range(8))


def test_spread_within_one_core_stays_in_its_thread() -> None:
    here: set[int] = set()
    with one_core():
        spread(lambda _: here.add(threading.get_ident()), range(5))
    assert here == {threading.get_ident()}


def test_spread_raises_what_a_call_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        spread(lambda item: 1 // item, [2, 0, 1])


def test_results_come_in_order_each_from_one_core() -> None:
    def slow_first(item: int) -> tuple[int, int]:
        time.sleep(0.02 if item == 0 else 0)
        return item * item, cores()

    found = list(in_order(slow_first, range(9), workers=3, ahead=5))
    assert found == [(item, (item * item, 1)) for item in range(9)]


def test_no_more_than_ahead_is_taken_from_the_source() -> None:
    taken = 0

    def source() -> Iterator[int]:
        nonlocal taken
        for item in range(100):
            taken = item + 1
            yield item

    results = in_order(lambda item: item, source(), workers=2, ahead=6)
    for number in range(1, 4):
        next(results)
        assert taken <= 6 + number
    results.close()


def test_an_error_comes_in_its_turn_and_the_rest_is_dropped() -> None:
    started: list[int] = []
    raised = threading.Event()

    def fail_at_two(item: int) -> int:
        started.append(item)
        if item > 2:
            raised.wait(0.5)  # however late this test sees the error
        return 1 // (2 - item)

    results = in_order(fail_at_two, range(1000), workers=1, ahead=10)
    assert [next(results)[0], next(results)[0]] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
    raised.set()
    time.sleep(0.05)
    assert len(started) <= 5


class Library:
    """Stands for one BLAS."""

    def __init__(self, count: int) -> None:
        self.count = count

    def get_num_threads(self) -> int:
        return self.count

    def set_num_threads(self, count: int) -> None:
        self.count = count


@pytest.fixture
def libraries(monkeypatch: pytest.MonkeyPatch) -> list[Library]:
    found = [Library(8), Library(2)]
    monkeypatch.setattr(threads, "_blas_libraries", lambda: found)
    monkeypatch.setattr(threads, "_blas", threads._BlasLimits())
    return found


@pytest.mark.parametrize("first_to_end", [0, 1])
def test_of_overlapping_limits_the_lowest_holds_and_the_last_to_end_gives_everything_back(
    libraries: list[Library], first_to_end: int
) -> None:
    limits = threads.blas_threads(3), threads.blas_threads(1)
    limits[0].__enter__()
    assert [library.count for library in libraries] == [3, 2]
    limits[1].__enter__()
    assert [library.count for library in libraries] == [1, 1]
    limits[first_to_end].__exit__(None, None, None)
    assert [library.count for library in libraries] == ([1, 1] if first_to_end == 0 else [3, 2])
    limits[1 - first_to_end].__exit__(None, None, None)
    assert [library.count for library in libraries] == [8, 2]


def test_limits_of_many_threads_leave_blas_as_it_was(libraries: list[Library]) -> None:
    def enter_often(limit: int) -> None:
        for _ in range(200):
            with threads.blas_threads(limit):
                assert libraries[0].count <= limit

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(enter_often, [1, 2, 3, 4]))
    assert [library.count for library in libraries] == [8, 2]


def test_a_real_blas_has_its_threads_back_after_overlapping_limits() -> None:
    libraries = threads._blas_libraries()
    before = [library.get_num_threads() for library in libraries]
    one, two = threads.one_blas_thread(), threads.one_blas_thread()
    one.__enter__()
    two.__enter__()
    assert [library.get_num_threads() for library in libraries] == [1] * len(libraries)
    one.__exit__(None, None, None)
    two.__exit__(None, None, None)
    assert [library.get_num_threads() for library in libraries] == before
