"""Labelled images scored once: raw scores, and maps that are kept small and enlarged when they are looked at.

A map is kept at the network's size, in memory or on disk (KIZU_MEMORY_MB), and a mask with one bit per pixel: 1,000
images of 1024 x 1024 pixels take 0.4 GB, not 4.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kizu.core.errors import ScoreError
from kizu.core.types import F32, HW, I64, U8, Bool, Scorer
from kizu.core.work import BATCH, Work
from kizu.data.batches import place_source
from kizu.data.manifest import Sample
from kizu.data.masks import true_mask
from kizu.imaging.placement import PlacementConfig, map_back


class PackedMask(NamedTuple):
    """Where an image is flawed, one bit per pixel."""

    bits: U8 | None
    """None: nowhere."""
    hw: HW

    def unpack(self) -> Bool:
        """(H, W)"""
        if self.bits is None:
            return np.zeros(self.hw, np.bool_)
        height, width = self.hw
        return np.unpackbits(self.bits, count=height * width).reshape(self.hw).astype(np.bool_)


@dataclass(frozen=True, slots=True)
class NativeMaps(Sequence[F32]):
    """The maps of some images at their own resolution, each made when it is asked for."""

    net_maps: F32
    """(N, h, w)"""
    indices: I64
    """(M,) which of them"""
    sizes: Sequence[HW]
    """N times (H, W)"""
    placement: PlacementConfig

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position):  # type: ignore[no-untyped-def]
        index = self.indices[position]
        return map_back(self.net_maps[index], self.sizes[index], self.placement)


@dataclass(frozen=True, slots=True)
class NativeMasks(Sequence[Bool]):
    """The masks of the same images."""

    packed: Sequence[PackedMask]

    def __len__(self) -> int:
        return len(self.packed)

    def __getitem__(self, position):  # type: ignore[no-untyped-def]
        return self.packed[position].unpack()


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a scorer says of N images, and what is known of them."""

    samples: tuple[Sample, ...]
    scores: F32
    """(N,) raw"""
    net_maps: F32
    """(N, h, w) at the network's size"""
    sizes: tuple[HW, ...]
    masks: tuple[PackedMask | None, ...]
    """None: a defect that nobody drew, or masks were not asked for."""
    placement: PlacementConfig

    @property
    def defective(self) -> Bool:
        """(N,)"""
        return np.array([sample.label == "defect" for sample in self.samples], dtype=np.bool_)

    @property
    def mapped(self) -> I64:
        """(M,) the images whose flaws are known, pixel by pixel."""
        return np.flatnonzero([mask is not None for mask in self.masks]).astype(np.int64)

    @property
    def has_drawn_flaws(self) -> bool:
        """Without any there is nothing to measure on pixels."""
        return any(mask is not None and mask.bits is not None for mask in self.masks)

    def map_of(self, index: int) -> F32:
        """(H, W) at the image's own resolution."""
        return self.bring_back(self.net_maps[index], index)

    def bring_back(self, over_input: F32, index: int) -> F32:
        """Anything (h, w) over the network's input -> (H, W) over the image at `index`."""
        return map_back(over_input, self.sizes[index], self.placement)

    def fields(self, over_input: F32) -> NativeMaps:
        """The same thing (h, w) over each of the `mapped` images."""
        same = np.broadcast_to(over_input, self.net_maps.shape)
        return NativeMaps(same, self.mapped, self.sizes, self.placement)

    def native_maps(self) -> NativeMaps:
        """Of the `mapped` images."""
        return NativeMaps(self.net_maps, self.mapped, self.sizes, self.placement)

    def native_masks(self) -> NativeMasks:
        """Of the `mapped` images."""
        return NativeMasks([mask for mask in self.masks if mask is not None])


@contextmanager
def predict_samples(
    scorer: Scorer,
    samples: Sequence[Sample],
    placement: PlacementConfig,
    *,
    with_masks: bool = True,
    stage: str = "test",
    work: Work = Work(),
) -> Iterator[Predictions]:
    """Score `samples`, in order; the maps are there until the block ends.

    Every core takes a few images from file to map. Raises `ImageError` for a file that cannot be read, `DataError`
    when a mask has another size than its image, `ScoreError` naming the image whose score is not finite.
    """
    h, w = placement.seen_hw
    scores = np.empty(len(samples), np.float32)
    sizes: list[HW] = []
    masks: list[PackedMask | None] = []
    pieces = (samples[start : start + BATCH] for start in range(0, len(samples), BATCH))
    with work.feature_array(len(samples), h * w) as flat:
        for piece, part in work.share(_ScorePieces(scorer, placement, with_masks), pieces):
            rows = slice(len(sizes), len(sizes) + len(piece))
            scores[rows] = part.scores
            flat[rows] = part.maps.reshape(len(piece), -1)
            sizes += part.sizes
            masks += part.masks
            work.report(stage, len(sizes), len(samples))
        yield Predictions(
            tuple(samples), scores, flat.reshape(-1, h, w), tuple(sizes), tuple(masks), placement
        )


@dataclass(frozen=True, slots=True)
class _Piece:
    scores: F32
    maps: F32
    sizes: list[HW]
    masks: list[PackedMask | None]


@dataclass(frozen=True, slots=True)
class _ScorePieces:
    """Makes what a worker does with a few samples."""

    scorer: Scorer
    placement: PlacementConfig
    with_masks: bool

    def __call__(self) -> Callable[[Sequence[Sample]], _Piece]:
        return self.score

    def score(self, piece: Sequence[Sample]) -> _Piece:
        return _score(self.scorer, piece, self.placement, with_masks=self.with_masks)


def _score(
    scorer: Scorer, samples: Sequence[Sample], placement: PlacementConfig, *, with_masks: bool
) -> _Piece:
    placed = [place_source(sample, placement) for sample in samples]
    try:
        found = scorer.score(np.stack([item.image for item in placed]))
    except ScoreError as error:
        names = f"{samples[0].path} to {samples[-1].path.name}"
        raise ScoreError(f"{error.message}; among {names}", hint=error.hint) from error
    finite = np.isfinite(found.image)
    if not finite.all():
        index = int(np.argmin(finite))
        raise ScoreError(f"the score of {samples[index].path} is {found.image[index]}")
    masks = [
        _pack(sample, item.size) if with_masks else None for sample, item in zip(samples, placed, strict=True)
    ]
    return _Piece(found.image, found.maps, [item.size for item in placed], masks)


def _pack(sample: Sample, image_hw: HW) -> PackedMask | None:
    if sample.mask_path is None and sample.label == "good":
        return PackedMask(None, image_hw)
    mask = true_mask(sample, image_hw)
    if mask is None:
        return None
    return PackedMask(np.packbits(mask) if mask.any() else None, image_hw)
