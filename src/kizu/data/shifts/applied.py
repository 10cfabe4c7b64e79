"""A picture and its mask, shifted."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kizu.core.config import Stored
from kizu.core.errors import ConfigError
from kizu.core.randomness import rng_for
from kizu.core.types import F32, F64, U8, Bool
from kizu.data.shifts import SEVERITIES, SHIFTS, choose_shifts
from kizu.data.shifts.base import Drawn, Geometric, Photometric
from kizu.data.shifts.geometry import part_in_view, sources, warp, warp_mask

LEAST_IN_VIEW = 0.5
"""Of a flaw's area: a move that would push more of it out of the picture is drawn again."""
ATTEMPTS = 20


class Done(Stored):
    """One shift that was applied to one picture."""

    shift: str
    strength: float
    drawn: Drawn
    """What chance decided; see the shift."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Which shifts, how severe, by which seed. Raises `ConfigError` for what is not there."""

    name: str
    """Of a composition, or of one shift"""
    severity: int
    """0, the picture itself, to 5"""
    seed: int = 0

    def __post_init__(self) -> None:
        choose_shifts(self.name)
        if not 0 <= self.severity <= SEVERITIES:
            raise ConfigError(f"severity must be 0 to {SEVERITIES}, got {self.severity}")


@dataclass(frozen=True, slots=True)
class Shifted:
    """What became of a picture."""

    image: U8
    """(H, W, 3)"""
    mask: Bool | None
    """(H, W)"""
    done: tuple[Done, ...]
    attempts: int
    """How often the move was drawn; 0: the flaw would have left the picture each time, so nothing was moved."""


def shift_picture(image: U8, mask: Bool | None, plan: Plan, name: str) -> Shifted:
    """Shift an image (H, W, 3) and its mask (H, W).

    All chance comes from the plan's seed and the picture's `name`, so one picture never depends on another; dust and
    scratches come from the seed alone, for there is one lens. What is drawn does not depend on the severity. A grey
    picture (three equal channels) is a monochrome camera's and stays grey. Severity 0 returns what it was given.
    """
    if plan.severity == 0:
        return Shifted(image, mask, (), 1)
    is_grey = bool((image[..., :1] == image).all())
    pixels: F32 = (image[..., :1] if is_grey else image).astype(np.float32) / np.float32(255)
    chosen = choose_shifts(plan.name)
    moved, done, attempts = _draw_move(image, mask, plan, name, chosen)
    if moved is not None:
        pixels, mask = warp(pixels, moved[0]), moved[1]
    for key in chosen:
        shift = SHIFTS[key]
        if isinstance(shift, Photometric):
            strength = shift.strengths[plan.severity - 1]
            rng = rng_for(plan.seed, "shift", key, "" if shift.of_lens else name)
            drawn = () if shift.draw is None else shift.draw(rng)
            pixels = shift.change(pixels, strength, drawn)
            done.append(Done(shift=key, strength=strength, drawn=drawn))
    levels = np.rint(pixels * 255).astype(np.uint8)
    return Shifted(np.ascontiguousarray(np.broadcast_to(levels, image.shape)), mask, tuple(done), attempts)


def _draw_move(
    image: U8, mask: Bool | None, plan: Plan, name: str, chosen: Sequence[str]
) -> tuple[tuple[F64, Bool | None] | None, list[Done], int]:
    """Where each pixel comes from (2, H, W) and the moved mask, and how often that was drawn; None: nothing moves."""
    moves = [(key, shift) for key in chosen if isinstance(shift := SHIFTS[key], Geometric)]
    if not moves:
        return None, [], 1
    hw = image.shape[0], image.shape[1]
    for attempt in range(1, ATTEMPTS + 1):
        matrix, done = np.eye(3), []
        for key, shift in moves:
            strength = shift.strengths[plan.severity - 1]
            again = () if attempt == 1 else (str(attempt),)
            drawn = () if shift.draw is None else shift.draw(rng_for(plan.seed, "shift", key, name, *again))
            matrix = shift.matrix(hw, strength, drawn) @ matrix
            done.append(Done(shift=key, strength=strength, drawn=drawn))
        if mask is not None and part_in_view(mask, matrix) < LEAST_IN_VIEW:
            continue
        where = sources(hw, matrix)
        moved = None if mask is None else warp_mask(mask, where)
        if mask is None or moved is None or moved.any() or not mask.any():
            return (where, moved), done, attempt
    return None, [], 0
