"""Which size a product's pictures deserve: chosen once, from its good ones, before a fit."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from kizu.core.errors import ImageError
from kizu.core.types import HW
from kizu.core.work import Work
from kizu.data.batches import Source
from kizu.data.depth import some_of
from kizu.data.manifest import Sample
from kizu.imaging.codec import image_size
from kizu.imaging.placement import PlacementConfig
from kizu.imaging.sizing import common_aspect, fit_size, kept_aspect

LOOKED_AT = 64
"""Headers that tell which shape pictures have."""


MOST_PIXELS = 2048 * 2048
"""More are not taken for the sake of small flaws: tiles are the way then."""


def with_size(
    placement: PlacementConfig, good: Sequence[Source], strides: Sequence[int], work: Work = Work()
) -> PlacementConfig:
    """The placement with the size that `good` pictures deserve at its number of pixels, or at so many that the smallest
    flaw that must be found covers a patch; itself where a size is given. `strides`: pixels per patch of the layers that
    are looked at.

    Noted where it is no square, where shapes differ much, and where a flaw stays smaller than a patch. Raises
    `ConfigError` for too few pixels.
    """
    sizes = [size for source in some_of(good, LOOKED_AT) if (size := _size(source)) is not None]
    if placement.pixels is not None:
        placement = _sized(placement, sizes, strides, work)
    if placement.smallest_flaw_px is not None and sizes:
        work.note(*_tell_flaw(placement.smallest_flaw_px, placement, sizes, min(strides)))
    return placement


def _sized(
    placement: PlacementConfig, sizes: Sequence[HW], strides: Sequence[int], work: Work
) -> PlacementConfig:
    assert placement.pixels is not None
    step, pixels = math.lcm(*strides), placement.pixels
    if placement.smallest_flaw_px is not None and sizes:
        area = float(np.median([height * width for height, width in sizes]))
        # a size is rounded down to whole patches: one more row and column of them
        wanted = (math.sqrt(area) * min(strides) / placement.smallest_flaw_px + step) ** 2
        pixels = min(max(pixels, math.ceil(wanted)), max(pixels, MOST_PIXELS))
    height, width = fit_size(kept_aspect(sizes), pixels, step)
    if height != width:
        work.note(
            f"image size {height} x {width} (height x width), the shape of the good pictures; --image-size sets it"
        )
    elif sizes and common_aspect(sizes) is None:
        work.note(
            f"good pictures have many shapes; all are looked at as {height} x {width}, squeezed; --image-size sets it"
        )
    return placement.model_copy(update={"pixels": None, "image_size": (height, width)})


def _tell_flaw(flaw: float, placement: PlacementConfig, sizes: Sequence[HW], stride: int) -> Iterator[str]:
    """Where the flaw becomes smaller than a patch: on the side that is shrunk most."""
    scale = min(
        seen / float(np.median(sides))
        for seen, sides in zip(placement.resized_hw, zip(*sizes, strict=True), strict=True)
    )
    if flaw * scale >= stride * 0.99:
        return
    larger = stride / (flaw * scale)
    height, width = (math.ceil(side * larger) for side in placement.resized_hw)
    yield (
        f"a flaw of {flaw:g} px becomes {flaw * scale:.2g} px of the network's input, and a patch is {stride} px: it"
        f" may pass; --image-size {height}x{width} would show it, in {larger**2:.1f} times the time"
    )


def _size(source: Source) -> HW | None:
    """(H, W); None of a picture that cannot be read: who reads it next says so."""
    if isinstance(source, np.ndarray):
        return source.shape[0], source.shape[1]
    try:
        return image_size(source.path if isinstance(source, Sample) else source)
    except ImageError:
        return None
