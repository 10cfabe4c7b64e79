"""What file names and camera clocks say of the order in which pictures were taken, and of their lots.

Never proof by itself: a line that photographs part after part numbers them without a gap, too.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kizu.core.types import F64

NEAR_RANKS, NEAR_OF_FEW = 3, 0.1
"""So many places apart in the order are neighbours, where no more than this part of all pairs are nearer."""
NEAR_PART = 0.02
"""So are those whose distance is among the smallest of so many of all pairs."""
FAR_PART, FAR_RANKS = 0.25, 6
"""Further apart than this part of the order, and than so many places: not of one series."""
_NUMBER = re.compile(r"\d+")
_LOT = re.compile(
    r"(?:^|[^a-z])(?:lot|batch|charge|part|piece|unit|serial|sn|panel|wafer|tray)[-_. ]?([a-z]?\d+[a-z]?)(?![a-z0-9])",
    re.IGNORECASE,
)


class Order(NamedTuple):
    """One count, by which pictures can be put in order; NaN where a picture has none. (N,) each."""

    values: F64
    ranks: F64
    ordered: F64
    """The values that are there, sorted."""
    may_repeat: bool
    """Whether two pictures of one value are neighbours: of one moment they are, of one number they are not."""


@dataclass(frozen=True, slots=True)
class Series:
    """What names and clocks say of N pictures."""

    orders: tuple[Order, ...]
    """Numbers in names first, moments last."""
    moments: F64
    """(N,) seconds, NaN where there are none"""
    numbers: F64
    """(N,) NaN where there are none"""
    lots: tuple[str | None, ...]
    """(N,) as names tell them; None also for a lot of more than half of all."""

    def neighbours(self, reach: int = 2) -> list[tuple[int, int]]:
        """Pairs at most `reach` places apart in any order."""
        found: set[tuple[int, int]] = set()
        for order in self.orders:
            there = np.flatnonzero(~np.isnan(order.values))
            line = there[np.argsort(order.values[there], kind="stable")].tolist()
            for step in range(1, reach + 1):
                found.update((min(i, j), max(i, j)) for i, j in zip(line, line[step:], strict=False))
        return sorted(found)

    def are_near(self, i: int, j: int) -> bool:
        """Whether an order has them next to each other, as few pairs are."""
        return any(_are_near(order, i, j) for order in self.orders)

    def are_far(self, i: int, j: int) -> bool:
        """Whether there is an order, and all that there are have them far apart."""
        told = [_are_far(order, i, j) for order in self.orders if not np.isnan(order.values[[i, j]]).any()]
        return bool(told) and all(told)

    def share_lot(self, i: int, j: int) -> bool:
        """Whether names say that both are of one lot, which not half of the pictures are."""
        return self.lots[i] is not None and self.lots[i] == self.lots[j]


def read_series(names: Sequence[str], moments: Sequence[float | None] = ()) -> Series:
    """From ids (relative paths with forward slashes) and moments in seconds, one each or none at all."""
    number_orders = [_order(values, may_repeat=False) for values in _numbers(names)]
    taken = np.array([np.nan if m is None else m for m in moments] or [np.nan] * len(names), np.float64)
    orders = [*number_orders] + (
        [_order(taken, may_repeat=True)] if len(set(taken[~np.isnan(taken)])) > 1 else []
    )
    numbers = np.full(len(names), np.nan)
    for order in number_orders:
        numbers = np.where(np.isnan(numbers), order.values, numbers)
    return Series(tuple(orders), taken, numbers, _lots(names))


def _order(values: F64, *, may_repeat: bool) -> Order:
    ordered = np.sort(values[~np.isnan(values)])
    ranks = np.searchsorted(np.unique(ordered), values).astype(np.float64)
    return Order(values, np.where(np.isnan(values), np.nan, ranks), ordered, may_repeat)


def _numbers(names: Sequence[str]) -> list[F64]:
    """For each way of naming files, the number in it that changes most (of those the last); NaN for other names.

    Folders count where the same file name is in several of them: then the numbers begin anew in each.
    """
    by_pattern: defaultdict[tuple[str, str], list[tuple[int, list[str]]]] = defaultdict(list)
    files = [name.rpartition("/")[2] for name in names]
    repeats = len(set(files)) < len(files)
    for place, name in enumerate(names):
        stem = files[place].rpartition(".")[0] or files[place]
        folder = name.rpartition("/")[0] if repeats else ""
        runs = _NUMBER.findall(stem)
        if runs:
            by_pattern[folder, _NUMBER.sub("#", stem)].append((place, runs))
    found = []
    for members in by_pattern.values():
        columns = list(zip(*(runs for _, runs in members), strict=True))
        distinct = [len(set(column)) for column in columns]
        chosen = max(range(len(columns)), key=lambda c: (distinct[c], c))
        if distinct[chosen] > 1:
            values = np.full(len(names), np.nan)
            values[[place for place, _ in members]] = [float(text[-300:]) for text in columns[chosen]]
            found.append(values)
    return found


def _lots(names: Sequence[str]) -> tuple[str | None, ...]:
    """What follows "lot", "batch", "part", ... in the names, of the last such word that all but tells parts apart."""
    told = []
    for name in names:
        found = _LOT.findall(name)
        told.append(found[-1].casefold() if found else None)
    sizes = {lot: told.count(lot) for lot in set(told)}
    return tuple(lot if lot is not None and sizes[lot] * 2 <= len(names) else None for lot in told)


def _are_near(order: Order, i: int, j: int) -> bool:
    gap = abs(order.values[i] - order.values[j])
    if np.isnan(gap) or (gap == 0 and not order.may_repeat):
        return False
    part = NEAR_OF_FEW if abs(order.ranks[i] - order.ranks[j]) <= NEAR_RANKS else NEAR_PART
    count = len(order.ordered)
    ends = np.searchsorted(order.ordered, order.ordered + gap, side="right")
    closer = float(ends.sum()) - count * (count + 1) / 2
    return closer <= part * count * (count - 1) / 2


def _are_far(order: Order, i: int, j: int) -> bool:
    return bool(abs(order.ranks[i] - order.ranks[j]) > max(FAR_RANKS, FAR_PART * len(order.ordered)))
