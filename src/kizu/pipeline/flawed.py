"""Flawed images on their way to a fit: painted ones and labelled ones, and what part of each patch is flawed."""

from collections import Counter

import numpy as np

from kizu.backbones.graph import Embedder
from kizu.core.hashing import hash_bytes
from kizu.core.types import F32, I64, U8
from kizu.data.defects import STAGES, paint_stages
from kizu.data.defects.shares import patch_shares
from kizu.detectors.flawed import REAL, FlawedBatch
from kizu.imaging.placement import PlacementConfig
from kizu.imaging.tiling import cut


class TilePainter:
    """Paints flaws into images as the network sees them; copies of an image get different ones."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._met: Counter[str] = Counter()

    def paint(self, images: U8) -> tuple[U8, F32]:
        """Images (N, H, W, 3) with a flaw in each, and where (N, H, W), 0 or 1. They lend each other pieces.

        What is painted follows from the image's pixels, the seed and how often the image came, and a piece of another
        from those beside it. In an image of one colour no piece would show: there it is texture or structure.
        """
        flawed, masks = np.empty_like(images), np.empty(images.shape[:3], np.float32)
        for number, image in enumerate(images):
            others = [other for place, other in enumerate(images) if place != number]
            stages = [name for name in STAGES if name != "context" or np.ptp(image) > 0]
            name = hash_bytes(image.tobytes())
            painted = paint_stages(image, name, self._seed, others, turn=self._met[name], stages=stages)
            self._met[name] += 1
            flawed[number], masks[number] = painted.image, painted.mask
        return flawed, masks


def cut_both(images: U8, share: F32, placement: PlacementConfig) -> tuple[U8, F32]:
    """Images (N, H, W, 3) and where they are flawed (N, H, W) as the network sees them: in tiles, where it sees those.

    Of a drawn flaw the tiles that it does not reach are good; of one that nobody drew any may be flawed."""
    if placement.tile_overlap is None:
        return images, share
    marks = np.where(np.isnan(share), 255, np.rint(share * 255)).astype(np.uint8)
    tiles = cut(images, placement)
    marked: F32 = np.float32(1 / 255) * cut(np.repeat(marks[..., None], 3, axis=3), placement)[..., 0]
    marked[np.repeat(np.isnan(share).any(axis=(1, 2)), len(tiles) // len(images))] = np.nan
    return tiles, marked


def embed_flawed(embedder: Embedder, images: U8, share: F32, rows: I64 | None = None) -> FlawedBatch:
    """`rows`: as `FlawedBatch` has it; None: they are real."""
    embedding = embedder.embed(images)
    known = np.full(len(images), REAL) if rows is None else rows
    return FlawedBatch(embedding, patch_shares(share, embedding.shape[1:3]), known)
