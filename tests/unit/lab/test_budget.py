"""A budget says what a pipeline breaks of it, with both numbers."""

import pytest
from tests.support import CONFIG

from kizu.lab.budget import Budget, Cost

COST = Cost(fit_seconds=12, memory_bytes=300 << 20, latency_ms=20)


def test_nothing_is_broken_that_nobody_set() -> None:
    assert Budget(memory_mb=1e6).exceeded(CONFIG, COST) == ()


@pytest.mark.parametrize(
    ("budget", "told"),
    [
        (Budget(memory_mb=200), "memory 300 MB of 200"),
        (Budget(memory_mb=1e6, fit_seconds=10), "fit 12 s of 10"),
        (Budget(memory_mb=1e6, latency_ms=15), "latency 20 ms of 15"),
        (Budget(memory_mb=1e6, pixels=4095), "input 4096 pixels of 4095"),
    ],
)
def test_what_is_broken_is_told(budget: Budget, told: str) -> None:
    assert budget.exceeded(CONFIG, COST) == (told,)


def test_tiles_count_with_all_that_they_cover() -> None:
    tiles = CONFIG.changed(
        {"placement": {"image_size": 64, "resize": 128, "tile_overlap": 0.25}}, where="test"
    )
    assert Budget(memory_mb=1e6, pixels=64 * 64).exceeded(tiles, COST) == ("input 16384 pixels of 4096",)


def test_a_ratio_becomes_milliseconds_and_the_tighter_one_holds() -> None:
    assert Budget(latency_ratio=2).beside(7.5).latency_ms == 15
    assert Budget(latency_ratio=2, latency_ms=10).beside(7.5).latency_ms == 10
    assert Budget(latency_ratio=1, latency_ms=10).beside(7.5).latency_ms == 7.5
    assert Budget(latency_ms=10).beside(7.5) == Budget(latency_ms=10)
