"""Pixels in flight are counted: who finds no room waits, what is too large goes alone, nobody waits for himself."""

import threading
import time
from collections.abc import Callable

import pytest

from kizu.core.room import Room, portions


class Watched:
    """Threads that each hold some pixels until they are let go, and what was held at most."""

    def __init__(self, room: Room) -> None:
        self.room, self.held, self.peak = room, 0, 0
        self.entered: list[int] = []
        self._lock = threading.Lock()

    def start(self, pixels: int, until: Callable[[], object]) -> threading.Thread:
        def run() -> None:
            with self.room.hold(pixels):
                with self._lock:
                    self.entered.append(pixels)
                    self.held += pixels
                    self.peak = max(self.peak, self.held)
                until()
                with self._lock:
                    self.held -= pixels

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_no_more_is_in_flight_than_there_is_room_for() -> None:
    watched = Watched(Room(100))
    threads = [watched.start(pixels, lambda: time.sleep(0.002)) for pixels in (30, 60, 40, 10, 99, 1, 50) * 6]
    for thread in threads:
        thread.join(10)
    assert len(watched.entered) == 42
    assert watched.peak <= 100
    assert watched.held == 0


def test_what_is_larger_than_the_room_goes_alone() -> None:
    go = threading.Event()
    watched = Watched(Room(100))
    small = watched.start(10, go.wait)
    wait_until(lambda: watched.entered == [10])
    large = watched.start(5_000, lambda: None)
    time.sleep(0.05)
    assert watched.entered == [10]
    go.set()
    large.join(10)
    small.join(10)
    assert watched.entered == [10, 5_000]
    assert watched.peak == 5_000


def test_a_large_picture_is_not_passed_over_for_ever_by_small_ones() -> None:
    go = threading.Event()
    watched = Watched(Room(100))
    threads = [watched.start(60, go.wait)]
    wait_until(lambda: watched.entered == [60])
    threads.append(watched.start(80, lambda: None))
    time.sleep(0.05)
    threads.append(watched.start(10, lambda: None))  # there would be room for it
    time.sleep(0.05)
    assert watched.entered == [60]
    go.set()
    for thread in threads:
        thread.join(10)
    assert watched.entered == [60, 80, 10]


def test_a_thread_does_not_wait_for_what_it_holds_itself() -> None:
    room = Room(10)
    with room.hold(8), room.hold(8), room.hold(1000):
        pass
    with room.hold(10):  # all of it was given back
        pass


def test_room_is_given_back_when_the_work_fails() -> None:
    room = Room(10)
    with pytest.raises(MemoryError), room.hold(10):
        raise MemoryError
    with room.hold(10):
        pass


def test_portions_keep_the_order_and_the_limit() -> None:
    sizes = [3, 3, 3, 50, 1, 9, 1, 1]
    assert list(portions(sizes, lambda size: size, at_most=10)) == [[3, 3, 3], [50], [1, 9], [1, 1]]
    assert list(portions([], lambda size: size, at_most=10)) == []
