"""Labelled defects of the training split on their way to a fit that learns from them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from kizu.core.errors import ImageError, LeakageError
from kizu.core.types import F32, U8
from kizu.data.batches import stream
from kizu.data.manifest import Manifest, Sample
from kizu.data.masks import true_mask
from kizu.imaging.placement import PlacementConfig, place
from kizu.pipeline.config import PipelineConfig


def choose_defects(
    manifest: Manifest, config: PipelineConfig, held: Sequence[Sample], work_note: Callable[[str], None]
) -> tuple[Sample, ...]:
    """The labelled defects that a fit learns from; none for a method that does not. Those that show a part of `held`,
    the good images that set thresholds, are left out, and noted: a fit that knows it would say too little of them.

    Raises `LeakageError` when one of them is also a test sample.
    """
    if not config.detector.learns_defects:
        return ()
    defects = manifest.train_defects()
    measured = {sample.sha256 for sample in manifest.test() if sample.sha256 is not None}
    for sample in defects:
        if sample.sha256 in measured:
            raise LeakageError(
                f"{sample.id} is learned from, and a test sample has the same content",
                hint="leave it in one of both splits",
            )
    groups = {sample.group for sample in held if sample.group is not None}
    apart = tuple(sample for sample in defects if sample.group not in groups)
    if defects:
        drawn = sum(bool(sample.masks) for sample in apart)
        left = len(defects) - len(apart)
        more = (
            f"; {left} more show parts of good images that set the thresholds, and are left out"
            if left
            else ""
        )
        work_note(
            f"learns from {len(apart)} labelled defects of the training split, {drawn} of them drawn{more}"
        )
    return apart


@dataclass(frozen=True, slots=True)
class PlacedDefects:
    """Labelled defects in batches (N, H, W, 3), and where each is flawed (N, H, W); read each time anew."""

    samples: tuple[Sample, ...]
    placement: PlacementConfig
    on_broken: Callable[[Sample, ImageError], None] | None = None

    def __iter__(self) -> Iterator[tuple[U8, F32]]:
        for batch in stream(self.samples, self.placement, on_broken=self.on_broken):
            masks = [
                place_mask(sample, size, self.placement)
                for sample, size in zip(batch.samples, batch.sizes, strict=True)
            ]
            yield batch.images, np.stack(masks)


def place_mask(sample: Sample, size: tuple[int, int], placement: PlacementConfig) -> F32:
    """(H, W) of the placement: the part of each pixel that is flawed; NaN everywhere for a defect that nobody drew.

    Raises `DataError` as `true_mask`.
    """
    mask = true_mask(sample, size)
    if mask is None:
        return np.full(placement.seen_hw, np.nan, np.float32)
    marked = place(np.repeat(np.uint8(255) * mask[..., None], 3, axis=2), placement)
    return np.asarray(marked[..., 0] / np.float32(255), np.float32)
