"""A pixel threshold for each zone of the image: for parts that are restless in one place and calm in another.

Zones are the cells of a grid over the network's input, so parts have to lie alike in every image.
"""

import math
from typing import Annotated, Self

import numpy as np
from pydantic import Field, model_validator

from kizu.core.config import Config
from kizu.core.errors import ConfigError
from kizu.core.types import F32, HW
from kizu.decision.thresholds import Threshold

Grid = tuple[Annotated[int, Field(ge=1, le=64)], Annotated[int, Field(ge=1, le=64)]]
"""(rows, columns)"""


class ZoneThresholds(Config):
    """One threshold for each cell of a grid, row by row."""

    grid: Grid
    zones: tuple[Threshold, ...]
    false_alarm_rate: float | None = None
    """A good image shows a region in any zone with at most this probability (the zones' rates added, Bonferroni). None
    where the rule guarantees nothing, or nothing that is worth saying."""

    @model_validator(mode="after")
    def _one_for_each(self) -> Self:
        if len(self.zones) != math.prod(self.grid):
            raise ValueError(f"{len(self.zones)} thresholds for a grid of {self.grid[0]} x {self.grid[1]}")
        return self

    def out_of(self, folds: int) -> Self:
        """The same, set on scores of so many other fits; see `Threshold.out_of`."""
        zones = tuple(zone.out_of(folds) for zone in self.zones)
        return self.model_copy(update={"zones": zones, "false_alarm_rate": None})

    def field(self, input_hw: HW) -> F32:
        """(H, W): the threshold of each pixel of the network's input.

        Brought back to the original image in the way of a map (a linear interpolation), it is exceeded nowhere where
        the map exceeds it nowhere.
        """
        values = np.array([zone.value for zone in self.zones]).reshape(self.grid)
        # Rounded up, so that a map in float32 never exceeds a threshold that it defines.
        narrow = values.astype(np.float32)
        narrow = np.where(narrow < values, np.nextafter(narrow, np.float32(np.inf)), narrow)
        rows, columns = (cell_of(side, cells) for side, cells in zip(input_hw, self.grid, strict=True))
        field: F32 = narrow[np.ix_(rows, columns)]
        return field

    def describe(self) -> str:
        """One line for a person."""
        values = [zone.value for zone in self.zones]
        promise = (
            "no guarantee"
            if self.false_alarm_rate is None
            else f"a region in at most {self.false_alarm_rate:.3g} of good parts"
        )
        first = self.zones[0]
        return (
            f"{min(values):.6g} to {max(values):.6g} in {self.grid[0]} x {self.grid[1]} zones"
            f" ({first.rule.describe()} on {first.count} {first.split} images; {promise})"
        )


def cell_of(side_px: int, cells: int) -> np.ndarray:
    """(side,) which of `cells` equal cells each pixel of a side lies in. Raises `ConfigError` for too many cells."""
    if cells > side_px:
        raise ConfigError(f"{cells} zones do not fit into {side_px} pixels", hint="use fewer zones")
    return np.arange(side_px) * cells // side_px


def zone_peaks(maps: F32, grid: Grid) -> F32:
    """Maps (N, H, W) -> the highest pixel of each zone (N, rows * columns)."""
    starts = [
        np.flatnonzero(np.diff(cell_of(side, cells), prepend=-1))
        for side, cells in zip(maps.shape[1:], grid, strict=True)
    ]
    rows = np.maximum.reduceat(maps, starts[0], axis=1)
    peaks: F32 = np.maximum.reduceat(rows, starts[1], axis=2).reshape(len(maps), -1)
    return peaks
