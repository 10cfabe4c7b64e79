"""A folder of pictures of which nothing is known: which of them are unlike the others, and where?

There are no good images, so there is no threshold and no promise: it needs a batch, and it ranks it. Images are judged
among at most `JUDGED_TOGETHER` others, drawn by the seed, so that time grows with their number and not with its square.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import numpy as np
from pydantic import Field

from kizu.backbones.base import ensure_covered
from kizu.backbones.graph import Embedder
from kizu.backbones.store import load_backbone
from kizu.core.config import Config
from kizu.core.errors import DataError
from kizu.core.files import write_text
from kizu.core.randomness import rng_for
from kizu.core.types import F32, HW
from kizu.core.work import Work
from kizu.data.batches import LeftOut, stream
from kizu.data.manifest import Sample
from kizu.detectors.base import EmbeddingConfig
from kizu.imaging.codec import decode, encode_jpeg
from kizu.imaging.overlay import heat_overlay
from kizu.imaging.placement import PlacementConfig, map_back
from kizu.pipeline.embedding import layer_names, make_embedder
from kizu.scoring.maps import image_scores, map_maker
from kizu.scoring.mutual import NEAREST_PART, mutual_scores

T = TypeVar("T")

JUDGED_TOGETHER = 128
"""Images that judge each other: 80 MB of features at 256 x 256."""
FEWEST = 3
"""Among fewer nobody can say which one is unlike the others."""


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
    left_out: LeftOut | None = None,
    work: Work = Work(),
) -> list[Ranked]:
    """The images, least usual first. Broken ones are put into `left_out`, else raised.

    Raises `DataError` for fewer than three images that can be read.
    """
    backbone = load_backbone(config.embedding.backbone)
    layers = backbone.spec.choose(layer_names(config.embedding, backbone.spec))
    ensure_covered(layers, config.placement.image_size)
    embedder = make_embedder(backbone, config.embedding, patch_size=config.patch_size, work=work)
    order = rng_for(config.seed, "zero shot").permutation(len(samples))
    sizes = [len(part) for part in np.array_split(order, max(1, -(-len(samples) // JUDGED_TOGETHER)))]
    readable = _embed([samples[index] for index in order], embedder, config, left_out)
    found: list[Ranked] = []
    for group in group_items(readable, sizes):
        if len(group) < FEWEST:
            raise DataError(
                f"{len(group)} image(s) could be read",
                hint=f"zero-shot scoring needs a batch: give at least {FEWEST} pictures",
            )
        found += _judge(group, config)
        broken = 0 if left_out is None else len(left_out.reasons)
        work.report("images", len(found) + broken, len(samples))
    return sorted(found, key=lambda item: -item.score)


def group_items(items: Iterable[T], sizes: Sequence[int]) -> Iterator[list[T]]:
    """`items` in groups of `sizes`, in order, until there are no more; a rest below `FEWEST` joins the group before.

    At most one group is held back, until the next is known to be large enough. Of fewer than `FEWEST` items all are
    in the one group that comes.
    """
    waiting: list[T] = []
    group: list[T] = []
    wanted = iter(sizes)
    size = next(wanted)
    for item in items:
        group.append(item)
        if waiting and len(group) >= FEWEST:
            yield waiting
            waiting = []
        if len(group) == size:
            waiting, group, size = waiting + group, [], next(wanted, 0)
    yield waiting + group


@dataclass(frozen=True, slots=True)
class _Embedded:
    sample: Sample
    size: HW
    embedding: F32
    """(h, w, D)"""


def _embed(
    samples: Sequence[Sample], embedder: Embedder, config: ZeroShotConfig, left_out: LeftOut | None
) -> Iterator[_Embedded]:
    """Those that can be read, in order."""
    for batch in stream(samples, config.placement, on_broken=left_out):
        yield from map(_Embedded, batch.samples, batch.sizes, embedder.embed(batch.images))


def _judge(group: Sequence[_Embedded], config: ZeroShotConfig) -> Iterator[Ranked]:
    embeddings = np.stack([item.embedding for item in group])  # (N, h, w, D)
    n, h, w, dim = embeddings.shape
    patches = mutual_scores(embeddings.reshape(n, h * w, dim), part=config.part).reshape(n, h, w)
    maps = map_maker((h, w), config.placement.image_size, config.smoothing)(patches)
    scores = image_scores(patches, maps, "top_patches", config.top_fraction)
    for item, score, net_map in zip(group, scores, maps, strict=True):
        yield Ranked(item.sample, float(score), net_map, item.size)


def write_ranking(
    folder: Path,
    ranked: Sequence[Ranked],
    left_out: LeftOut,
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
    rows += [{"image_path": str(sample.path), "error": reason} for sample, reason in left_out.reasons.items()]
    write_text(folder / "ranking.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    peaks = [float(item.map.max()) for item in ranked]
    low, high = float(np.median(peaks)), max(peaks)
    for number, item in enumerate(ranked[:overlays], start=1):
        over = map_back(item.map, item.size, config.placement)
        picture = heat_overlay(decode(item.sample.path, scale=config.placement.scale), over, low, high)
        encode_jpeg(folder / "overlays" / f"{number:04}-{item.sample.path.stem}.jpg", picture)
