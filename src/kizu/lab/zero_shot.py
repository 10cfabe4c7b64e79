"""A folder of pictures of which nothing is known: which of them are unlike the others, and where?

There are no good images, so there is no threshold and no promise: it needs a batch, and it ranks it. Images are judged
among at most `BATCH` others, drawn by the seed, so that time grows with their number and not with its square.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from kizu.backbones.base import ensure_covered
from kizu.backbones.graph import Embedder, build_embedder
from kizu.backbones.store import load_backbone
from kizu.core.config import Config
from kizu.core.errors import DataError, ImageError
from kizu.core.files import write_text
from kizu.core.randomness import rng_for
from kizu.core.types import F32, HW
from kizu.core.work import Work
from kizu.data.batches import stream
from kizu.data.manifest import Sample
from kizu.detectors.base import EmbeddingConfig
from kizu.imaging.codec import decode, encode_jpeg
from kizu.imaging.overlay import heat_overlay
from kizu.imaging.placement import PlacementConfig, map_back
from kizu.scoring.maps import image_scores, map_maker
from kizu.scoring.mutual import NEAREST_PART, mutual_scores

BATCH = 128
"""Images that judge each other: 80 MB of features at 256 x 256."""


class ZeroShotConfig(Config):
    """How images are looked at."""

    embedding: EmbeddingConfig = EmbeddingConfig()
    placement: PlacementConfig = PlacementConfig()
    patch_size: Annotated[int, Field(ge=1, le=9)] = 3
    part: Annotated[float, Field(gt=0, le=1)] = NEAREST_PART
    top_fraction: Annotated[float, Field(gt=0, le=1)] = 0.01
    smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 1 / 64
    seed: Annotated[int, Field(ge=0)] = 0


@dataclass(frozen=True, slots=True)
class Ranked:
    """One image among its batch."""

    sample: Sample
    score: float
    """The mean of its highest patches, in L2 distance: comparable within one call only."""
    map: F32
    """(h, w) at the network's size"""
    size: HW


def rank_images(
    samples: Sequence[Sample],
    config: ZeroShotConfig = ZeroShotConfig(),
    *,
    on_broken: dict[str, str] | None = None,
    work: Work = Work(),
) -> list[Ranked]:
    """The images, least usual first. Broken ones are left out and named in `on_broken`, else raised.

    Raises `DataError` for fewer than three images that can be read.
    """
    backbone = load_backbone(config.embedding.backbone)
    layers = config.embedding.layers or backbone.spec.default_layers
    ensure_covered(backbone.spec.choose(layers), config.placement.image_size)
    model = build_embedder(
        backbone, layers=layers, normalisation=config.embedding.normalisation, patch_size=config.patch_size
    )
    embedder = Embedder(model.SerializeToString(), work)
    order = rng_for(config.seed, "zero shot").permutation(len(samples))
    groups = np.array_split(order, max(1, -(-len(samples) // BATCH)))
    found: list[Ranked] = []
    for number, group in enumerate(groups):
        found += _judged([samples[index] for index in group], embedder, config, on_broken)
        work.report("batches", number + 1, len(groups))
    if len(found) < 3:
        raise DataError(
            f"{len(found)} image(s) could be read",
            hint="zero-shot scoring needs a batch: give at least 3 pictures",
        )
    return sorted(found, key=lambda item: -item.score)


def _judged(
    samples: Sequence[Sample], embedder: Embedder, config: ZeroShotConfig, on_broken: dict[str, str] | None
) -> Iterator[Ranked]:
    def note(sample: Sample, error: ImageError) -> None:
        if on_broken is None:
            raise error
        on_broken[str(sample.path)] = error.message

    kept: list[Sample] = []
    sizes: list[HW] = []
    parts: list[F32] = []
    for batch in stream(samples, config.placement, on_broken=note):
        parts.append(embedder.embed(batch.images))
        kept += batch.samples
        sizes += batch.sizes
    if len(kept) < 2:
        return
    n, h, w, dim = len(kept), *parts[0].shape[1:]
    patches = mutual_scores(np.concatenate(parts).reshape(n, h * w, dim), part=config.part).reshape(n, h, w)
    maps = map_maker((h, w), config.placement.image_size, config.smoothing)(patches)
    scores = image_scores(patches, maps, "top_patches", config.top_fraction)
    for sample, score, net_map, size in zip(kept, scores, maps, sizes, strict=True):
        yield Ranked(sample, float(score), net_map, size)


def write_ranking(
    folder: Path,
    ranked: Sequence[Ranked],
    broken: dict[str, str],
    config: ZeroShotConfig,
    *,
    overlays: int,
) -> None:
    """`ranking.jsonl`, least usual first, and the pictures of the first `overlays` with their maps.

    Colours run from the median of all maps' highest pixels to the highest of all.
    """
    rows = [
        {
            "rank": number,
            "image_path": str(item.sample.path),
            "score": item.score,
            "needs_a_batch": True,
            "batch_size": len(ranked),
        }
        for number, item in enumerate(ranked, start=1)
    ]
    rows += [{"image_path": path, "error": message} for path, message in broken.items()]
    write_text(folder / "ranking.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    peaks = [float(item.map.max()) for item in ranked]
    low, high = float(np.median(peaks)), max(peaks)
    for number, item in enumerate(ranked[:overlays], start=1):
        over = map_back(item.map, item.size, config.placement)
        picture = heat_overlay(decode(item.sample.path), over, low, high)
        encode_jpeg(folder / "overlays" / f"{number:04}-{item.sample.path.stem}.jpg", picture)
