"""Rounds grow with the pictures that there are."""

from itertools import pairwise

import pytest

from kizu.lab.search_rounds import ROUNDS, Clock, rounds_for


@pytest.mark.parametrize(("fit", "held", "count"), [(19, 9, 1), (60, 20, 2), (250, 48, 3), (60, 12, 1)])
def test_a_round_that_would_be_the_last_one_is_left_out(fit: int, held: int, count: int) -> None:
    steps = rounds_for(fit, held)
    assert len(steps) == count
    assert steps[-1] is ROUNDS[-1]
    assert all(step.fit < fit and step.held < held for step in steps[:-1])


def test_rounds_learn_from_more_and_keep_fewer() -> None:
    for one, other in pairwise(ROUNDS):
        assert one.fit < other.fit
        assert one.held <= other.held
        assert one.keep > other.keep
        assert one.until < other.until


def test_a_clock_foretells_what_it_was_told() -> None:
    clock = Clock()
    assert clock.predict(1000, 2) == 0
    clock.tell(1000, 1, 4.0)
    assert clock.predict(1000, 1) == pytest.approx(4.0)
    assert clock.predict(3000, 1) == pytest.approx(12.0)
    assert clock.predict(1000, 3) == pytest.approx(8.0)
    clock.tell(3000, 1, 4.0)
    assert clock.predict(1000, 1) == pytest.approx(2.0)
