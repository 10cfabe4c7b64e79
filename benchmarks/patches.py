"""Real patches to measure on: magnetic_tile through Lite0, blocks.2 + blocks.4, 256 px: 1,024 x 152 an image."""

from functools import cache

import numpy as np
from fitting import PATCHCORE_10, data_set, from_files, pipeline

from kizu.backbones.graph import Embedder
from kizu.backbones.store import load_backbone
from kizu.core.randomness import rng_for
from kizu.core.types import F32
from kizu.detectors.registry import make_detector
from kizu.pipeline.fitting import embedder_for

DATA = "magnetic_tile/tile"
CONFIG = pipeline(PATCHCORE_10)


@cache
def _embedder() -> Embedder:
    return embedder_for(
        make_detector(CONFIG.detector),
        load_backbone(CONFIG.embedding.backbone),
        CONFIG.embedding,
        rng_for(0, "channels"),
    )


def good_patches() -> F32:
    """Of all good images: (M, D)."""
    samples = data_set(DATA).train_good()
    batches = [_embedder().embed(images) for images in from_files(samples, CONFIG.placement).batches]
    return np.concatenate([batch.reshape(-1, batch.shape[-1]) for batch in batches])


def unseen_patches(images: int = 8) -> F32:
    """Of some test images, evenly spaced, good and bad: (N, P, D)."""
    samples = data_set(DATA).test()
    chosen = samples[:: max(1, len(samples) // images)][:images]
    batches = [_embedder().embed(placed) for placed in from_files(chosen, CONFIG.placement).batches]
    return np.concatenate([batch.reshape(len(batch), -1, batch.shape[-1]) for batch in batches])
