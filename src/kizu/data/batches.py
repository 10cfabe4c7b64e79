"""Files -> batches at the network's input size: in order, decoded ahead by threads, in bounded memory."""

from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from kizu.core.errors import ImageError, UnreadableError
from kizu.core.threads import cores, in_order
from kizu.core.types import HW, U8
from kizu.core.work import BATCH
from kizu.data.manifest import Sample
from kizu.imaging.codec import Decoded, Limits, decoded, is_flat, to_rgb
from kizu.imaging.opening import FileContent
from kizu.imaging.placement import PlacementConfig, place
from kizu.imaging.scale import Scale

Source = Sample | Path | bytes | FileContent | NDArray[Any]
"""A sample, a file, the bytes of a file, a file that was read, or an array as `to_rgb` takes it."""

S = TypeVar("S", bound=Source)


@dataclass(frozen=True, slots=True)
class PlacedBatch(Generic[S]):
    """N images as the network takes them, N >= 1."""

    samples: tuple[S, ...]
    images: U8
    """(N, h, w, 3)"""
    sizes: tuple[HW, ...]
    """(H, W) of each original"""


def stream(
    sources: Iterable[S],
    placement: PlacementConfig,
    *,
    batch_size: int = BATCH,
    on_broken: Callable[[S, ImageError], None] | None = None,
    refuse_flat: bool = False,
    limits: Limits = Limits(),
) -> Generator[PlacedBatch[S], None, None]:
    """Decode and place `sources`, in order, `batch_size` at a time; the last batch may be smaller.

    While the consumer works on a batch, as many threads as it may keep cores busy prepare the next;
    no more than that is held, however many sources there are. A source that cannot be decoded raises its
    `ImageError`, or, when `on_broken` is given, is handed to it (in order, in the consumer's thread) and left
    out; one that could not be read now always raises, since it may be a good one. `refuse_flat`: as for
    `place_source`. Closing the generator, or an error or Ctrl-C in the consumer, drops what is queued at once.
    """
    workers = cores()

    def prepared(source: S) -> Placed | ImageError:
        try:
            return place_source(source, placement, limits=limits, refuse_flat=refuse_flat)
        except ImageError as error:
            return error

    ready: list[tuple[S, Placed]] = []
    for source, item in in_order(prepared, sources, workers=workers, ahead=batch_size + workers):
        if not isinstance(item, ImageError):
            ready.append((source, item))
        elif on_broken is not None and not isinstance(item, UnreadableError):
            on_broken(source, item)
        else:
            raise item
        if len(ready) == batch_size:
            yield _batch(ready)
            ready = []
    if ready:
        yield _batch(ready)


class LeftOut:
    """Images that cannot be read, with the reason: what `stream` takes as `on_broken` where they are to be left out."""

    def __init__(self) -> None:
        self.reasons: dict[Sample, str] = {}

    def __call__(self, sample: Sample, error: ImageError) -> None:
        self.reasons[sample] = error.message


@dataclass(frozen=True, slots=True)
class Placed:
    """One image as the network takes it."""

    image: U8
    """(h, w, 3)"""
    size: HW
    """(H, W) of the original"""
    original: U8 | None
    """(H, W, 3), when asked for"""
    beyond: float = 0.0
    """The part of its numbers that lies outside of the placement's scale"""
    pages: int = 1
    """Pictures in its file, of which this is the first"""


def place_source(
    source: Source,
    placement: PlacementConfig,
    *,
    limits: Limits = Limits(),
    keep_original: bool = False,
    refuse_flat: bool = False,
) -> Placed:
    """Decode and place one image, in this thread, with room for its pixels held (`core.room`) until it is placed.

    Whoever keeps the original holds room for it himself, before: inside of that nothing more is held. Raises
    `ImageError`; with `refuse_flat` for a picture of one value too, which teaches nothing and was hardly meant.
    """
    with _decoded(source, limits, placement.scale) as (original, beyond, pages):
        if refuse_flat and is_flat(original):
            raise _flat(source)
        height, width = original.shape[:2]
        kept = original if keep_original else None
        return Placed(place(original, placement), (height, width), kept, beyond, pages)


def _flat(source: Source) -> ImageError:
    path = source.path if isinstance(source, Sample) else source if isinstance(source, Path) else None
    return ImageError(
        f"{path or 'an image'}: all of its pixels have one value",
        path=path,
        hint="the camera gave no picture, or its numbers were lost on the way; replace it or leave it out",
    )


def _decoded(source: Source, limits: Limits, scale: Scale | None) -> AbstractContextManager[Decoded]:
    """With room for its pixels held; an array is there already."""
    if isinstance(source, np.ndarray):
        beyond = 0.0 if scale is None else scale.beyond(source)
        return nullcontext(Decoded(to_rgb(source, scale=scale), beyond))
    return decoded(source.path if isinstance(source, Sample) else source, limits=limits, scale=scale)


def _batch(ready: list[tuple[S, Placed]]) -> PlacedBatch[S]:
    placed = [item for _, item in ready]
    return PlacedBatch(
        samples=tuple(source for source, _ in ready),
        images=np.stack([item.image for item in placed]),  # (N, h, w, 3)
        sizes=tuple(item.size for item in placed),
    )
