"""Files -> batches at the network's input size: in order, decoded ahead by threads, in bounded memory."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from kizu.core.errors import ImageError
from kizu.core.provenance import usable_cores
from kizu.core.types import HW, U8
from kizu.data.manifest import Sample
from kizu.imaging.codec import Limits, decode, to_rgb
from kizu.imaging.placement import PlacementConfig, place

Source = Sample | Path | bytes | NDArray[Any]
"""A sample, a file, the bytes of a file, or an array as `to_rgb` takes it."""

S = TypeVar("S", bound=Source)


@dataclass(frozen=True, slots=True)
class PlacedBatch(Generic[S]):
    """N images as the network takes them, N >= 1."""

    samples: tuple[S, ...]
    images: U8
    """(N, h, w, 3)"""
    sizes: tuple[HW, ...]
    """(H, W) of each original"""
    originals: tuple[U8, ...] | None
    """N images of (H, W, 3), when asked for"""


def stream(
    sources: Iterable[S],
    placement: PlacementConfig,
    *,
    batch_size: int = 32,
    workers: int | None = None,
    on_broken: Callable[[S, ImageError], None] | None = None,
    keep_originals: bool = False,
    limits: Limits = Limits(),
) -> Generator[PlacedBatch[S], None, None]:
    """Decode and place `sources`, in order, `batch_size` at a time; the last batch may be smaller.

    While the consumer works on a batch, `workers` threads (default: one per usable core) prepare the next;
    no more than that is held, however many sources there are. A source that cannot be decoded raises its
    `ImageError`, or, when `on_broken` is given, is handed to it (in order, in the consumer's thread) and left
    out. Closing the generator, or an error or Ctrl-C in the consumer, drops what is queued at once.
    """
    waiting = iter(sources)
    workers = workers or usable_cores()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="kizu-decode")

    def enter(count: int) -> list[tuple[S, Future[_Placed]]]:
        return [
            (s, pool.submit(_placed, s, placement, limits, keep_originals)) for s in islice(waiting, count)
        ]

    try:
        ahead = deque(enter(batch_size + workers))
        ready: list[tuple[S, _Placed]] = []
        while ahead:
            source, future = ahead.popleft()
            try:
                ready.append((source, future.result()))
            except ImageError as error:
                if on_broken is None:
                    raise
                on_broken(source, error)
            ahead.extend(enter(1))
            if len(ready) == batch_size or (ready and not ahead):
                yield _batch(ready)
                ready = []
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True, slots=True)
class _Placed:
    image: U8
    size: HW
    original: U8 | None


def _placed(source: Source, placement: PlacementConfig, limits: Limits, keep: bool) -> _Placed:
    if isinstance(source, np.ndarray):
        original = to_rgb(source)
    else:
        original = decode(source.path if isinstance(source, Sample) else source, limits=limits)
    height, width = original.shape[:2]
    return _Placed(place(original, placement), (height, width), original if keep else None)


def _batch(ready: list[tuple[S, _Placed]]) -> PlacedBatch[S]:
    placed = [item for _, item in ready]
    originals = tuple(item.original for item in placed if item.original is not None)
    return PlacedBatch(
        samples=tuple(source for source, _ in ready),
        images=np.stack([item.image for item in placed]),  # (N, h, w, 3)
        sizes=tuple(item.size for item in placed),
        originals=originals or None,
    )
