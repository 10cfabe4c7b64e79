"""Which blocks of a transformer to look at: patch k-NN on each choice, on two halves of the labelled test images.

    python benchmarks/vit_layers.py [--every 1] [--only tile hazelnut board_92000] [--json PATH]

Images go through the network once, whatever is looked at. The first half (every second image of each kind) is for
choosing, the second is for what the choice is worth. `--every 3` takes every third image of a set.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from measuring import command_line, shared_data, table, with_fast_blas, write_result

with_fast_blas()

from kizu.backbones.graph import Embedder, build_embedder  # noqa: E402
from kizu.backbones.store import load_backbone  # noqa: E402
from kizu.core.randomness import rng_for  # noqa: E402
from kizu.core.types import F32, Scores  # noqa: E402
from kizu.core.work import Work  # noqa: E402
from kizu.data.batches import stream  # noqa: E402
from kizu.data.manifest import Sample  # noqa: E402
from kizu.data.masks import true_mask  # noqa: E402
from kizu.data.scan import DataConfig, scan_data  # noqa: E402
from kizu.detectors.base import Embeddings  # noqa: E402
from kizu.detectors.registry import detector_config, make_detector  # noqa: E402
from kizu.imaging.codec import image_size  # noqa: E402
from kizu.imaging.placement import PlacementConfig, map_back  # noqa: E402
from kizu.metrics.overlap import aupro  # noqa: E402
from kizu.metrics.ranking import auroc  # noqa: E402

BACKBONE, SIDE_PX = "vit_s14_focus", 224
BLOCKS = (4, 5, 6, 7, 8, 9)
CHOICES = (*((block,) for block in BLOCKS), (5, 6), (6, 8), (5, 6, 7, 8))
"""Side by side; those of several also by their mean."""
SETS = (("magnetic_tile", "tile"), ("mvtec_ad", "hazelnut"), ("deeppcb", "board_92000"))
PLACEMENT = PlacementConfig(image_size=(SIDE_PX, SIDE_PX))


def features(embedder: Embedder, samples: Sequence[Sample]) -> F32:
    """(N, h, w, L, D) of all blocks."""
    found = [embedder.embed(batch.images) for batch in stream(samples, PLACEMENT)]
    joined = np.concatenate(found)
    return joined.reshape(*joined.shape[:3], len(BLOCKS), -1)


def look(blocks: F32, choice: tuple[int, ...], combine: str) -> F32:
    """(N, h, w, D) of one choice."""
    chosen = blocks[..., [BLOCKS.index(block) for block in choice], :]
    return chosen.mean(axis=3) if combine == "mean" else chosen.reshape(*chosen.shape[:3], -1)


def score(good: F32, test: F32) -> Scores:
    """By patch k-NN as it comes: cosine, one neighbour, all patches."""
    work = Work()
    with work.limit():
        detector = make_detector(detector_config({"kind": "patch_knn"}))
        given = Embeddings([good], len(good), PLACEMENT.image_size)
        fitted = detector.fit(given, rng=rng_for(0, "fit"), work=work)
        parts = [fitted.score(test[i : i + 8], PLACEMENT.image_size) for i in range(0, len(test), 8)]
    images, maps = [part.image for part in parts], [part.maps for part in parts]
    return Scores(np.concatenate(images), np.concatenate(maps))


def halves(samples: Sequence[Sample]) -> list[list[int]]:
    """Every second image of each kind, and the others."""
    seen: dict[str, int] = {}
    parts: list[list[int]] = [[], []]
    for index, sample in enumerate(samples):
        kind = sample.defect or sample.label
        parts[seen.get(kind, 0) % 2].append(index)
        seen[kind] = seen.get(kind, 0) + 1
    return parts


def measure(scores: Scores, samples: Sequence[Sample], rows: list[int]) -> dict[str, float]:
    labels = np.array([samples[i].label == "defect" for i in rows])
    maps, masks = [], []
    for i in rows:
        hw = image_size(samples[i].path)
        mask = true_mask(samples[i], hw) if samples[i].label == "defect" else np.zeros(hw, bool)
        if mask is not None:
            maps.append(map_back(scores.maps[i], hw, PLACEMENT))
            masks.append(mask)
    return {
        "image_auroc": auroc(labels, scores.image[rows]),
        "aupro_030": aupro(maps, masks, limit=0.3),
        "aupro_005": aupro(maps, masks, limit=0.05),
    }


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--only", nargs="*")
    arguments = parser.parse_args()
    names = [f"blocks.{block}" for block in BLOCKS]
    model = build_embedder(load_backbone(BACKBONE), layers=names, normalisation="native", patch_size=1)
    embedder = Embedder(model.SerializeToString())
    result: dict[str, Any] = {"backbone": BACKBONE, "every": arguments.every, "sets": {}}
    for root, category in SETS:
        if arguments.only and category not in arguments.only:
            continue
        manifest = scan_data(DataConfig(root=Path(shared_data(), root), category=category))
        good = features(embedder, manifest.train_good()[:: arguments.every])
        samples = manifest.test()[:: arguments.every]
        test = features(embedder, samples)
        rows = []
        for choice in CHOICES:
            for combine in ("concat", "mean") if len(choice) > 1 else ("concat",):
                scores = score(look(good, choice, combine), look(test, choice, combine))
                first, second = (measure(scores, samples, part) for part in halves(samples))
                name = "+".join(map(str, choice)) + (" mean" if combine == "mean" else "")
                result["sets"].setdefault(category, {})[name] = {"choosing": first, "worth": second}
                rows.append([name, *first.values(), *second.values()])
        head = [category, *(f"{half} {key}" for half in ("1st", "2nd") for key in first)]
        print(table(head, rows), flush=True)
    write_result(arguments.json, result)


if __name__ == "__main__":
    main()
