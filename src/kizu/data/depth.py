"""Which scale the pictures of a data set need: chosen once, from its good ones, before a fit."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kizu.core.errors import ImageError
from kizu.core.work import Work
from kizu.data.batches import Source
from kizu.data.manifest import Sample
from kizu.imaging.codec import image_info, read_numbers
from kizu.imaging.opening import FileContent
from kizu.imaging.placement import PlacementConfig
from kizu.imaging.scale import DEPTHS, Chosen, Depth, choose_scale, range_of

LOOKED_AT = 8
"""Headers that tell whether pictures are deep at all."""
_READ = 50
"""Good pictures whose numbers set a scale: some milliseconds each, for deep ones only."""


def with_scale(placement: PlacementConfig, good: Sequence[Source], work: Work = Work()) -> PlacementConfig:
    """The placement with the scale that `good` pictures need, which is noted; itself where it has one already, or they
    hold 8 bits.

    Raises `ImageError` for pictures of several depths, and of one value. A broken one is left to whoever reads it next.
    """
    chosen = None if placement.scale is not None else scale_of(good)
    if chosen is None:
        return placement
    work.note(f"pictures deeper than 8 bits are scaled alike: {chosen}")
    return placement.model_copy(update={"scale": chosen.scale})


def scale_of(good: Sequence[Source]) -> Chosen | None:
    """The scale that the pictures need; None: they hold 8 bits. Raises as `with_scale`."""
    if all(_depth(source) == "uint8" for source in some_of(good, LOOKED_AT)):
        return None
    ranges = []
    for source in some_of(good, _READ):
        try:
            ranges.append(range_of(source if isinstance(source, np.ndarray) else read_numbers(_file(source))))
        except ImageError:
            continue
    return choose_scale(ranges) if ranges else None


def _depth(source: Source) -> Depth:
    if isinstance(source, np.ndarray):
        return DEPTHS.get(source.dtype.name, "uint8")
    try:
        return image_info(_file(source)).depth
    except ImageError:
        return "uint8"


def _file(source: Sample | FileContent | Path | bytes) -> FileContent | Path | bytes:
    return source.path if isinstance(source, Sample) else source


def some_of(sources: Sequence[Source], most: int) -> list[Source]:
    """Evenly spread, the first and the last among them."""
    places = np.unique(np.linspace(0, len(sources) - 1, min(most, len(sources))).astype(int))
    return [sources[place] for place in places]
