"""The winner beats the default by more than chance, or the default stays."""

import numpy as np
import pytest
from tests.support import BASE

from kizu.lab.budget import Budget
from kizu.lab.judged import Judged
from kizu.lab.search_space import default_contender
from kizu.lab.searched import Searched, exceeds
from kizu.lab.shared_look import Seen

PICTURES = 24


def seen(shift: float, *, latency_ms: float = 10.0, seed: int = 0, name: str = "padim") -> Seen:
    rng = np.random.default_rng(seed)
    scores = np.stack([rng.normal(size=PICTURES), rng.normal(shift, 1, PICTURES)], axis=1).ravel()
    owner, side = np.repeat(np.arange(PICTURES), 2), np.tile([0, 8], PICTURES)
    one = default_contender(BASE)
    contender = one if name == "default" else one.with_settings({"top_fraction": 0.01 + 0.001 * seed})
    judged = Judged(scores.astype(np.float32), owner, side, np.arange(PICTURES))
    return Seen(contender, judged, latency_ms, 5.0, 100 << 20, None, None, 1.0)  # type: ignore[arg-type]


def searched(*finalists: Seen, budget: Budget = Budget(memory_mb=1e6)) -> Searched:
    default = next(one for one in finalists if one.contender.settings == {})
    ordered = tuple(sorted(finalists, key=lambda one: -one.worth))
    return Searched(60, 36, PICTURES, PICTURES, ordered, default, budget, (9, 3), {}, 0, {}, 1.0)


DEFAULT = seen(0.5, name="default")


def test_a_clear_winner_is_taken_and_the_next_one_told() -> None:
    clear, next_to_it = seen(4.0, seed=1), seen(1.0, seed=2)
    found = searched(DEFAULT, next_to_it, clear)
    assert found.winner is clear
    assert found.runner_up is next_to_it
    assert clear.contender.name in found.reason
    assert "more than chance" in found.reason


def test_what_chance_explains_leaves_the_default() -> None:
    hardly = seen(0.8, seed=3)
    assert hardly.worth > DEFAULT.worth
    found = searched(DEFAULT, hardly)
    assert found.winner is DEFAULT
    assert found.runner_up is hardly
    assert "the default stays" in found.reason
    assert "no more than chance" in found.reason


def test_a_default_that_is_best_is_told_so() -> None:
    found = searched(DEFAULT, seen(-1.0, seed=1))
    assert found.winner is DEFAULT
    assert "the default sees most" in found.reason


def test_a_default_beyond_the_budget_gives_way_to_the_best_within() -> None:
    slow = seen(0.5, name="default", latency_ms=30.0)
    found = searched(slow, seen(0.4, seed=1), budget=Budget(latency_ms=20, memory_mb=1e6))
    assert found.winner is not slow
    assert "which the default breaks" in found.reason


def test_nothing_within_is_no_winner() -> None:
    found = searched(DEFAULT, budget=Budget(latency_ms=1, memory_mb=1e6))
    assert (found.winner, found.runner_up) == (None, None)


def test_more_finalists_ask_for_more_evidence() -> None:
    one = seen(1.2, seed=1)
    few = searched(DEFAULT, one).against(one, DEFAULT)
    many = searched(DEFAULT, one, *(seen(0.1, seed=k) for k in range(2, 8))).against(one, DEFAULT)
    assert many.low < few.low


@pytest.mark.parametrize(
    ("budget", "slack", "told"),
    [
        (Budget(latency_ms=9, memory_mb=1e6), 1.0, ("latency 10 ms of 9",)),
        (Budget(latency_ms=9, memory_mb=1e6), 1.25, ()),
        (Budget(memory_mb=50), 1.0, ("memory 100 MB of 50",)),
    ],
)
def test_what_is_exceeded_is_told(budget: Budget, slack: float, told: tuple[str, ...]) -> None:
    assert exceeds(DEFAULT, budget, slack) == told
