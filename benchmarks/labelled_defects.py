"""What labelled defects are good for: a head and its fusions against methods that know no flaws, on equal features.

    python benchmarks/labelled_defects.py --json benchmarks/results/labelled_defects.json

Of magnetic_tile/tile (`$KIZU_SHARED/data`) 5, 10, 20 and 40 labelled defects, each of another tile, are learned from;
what measures are the good test images and the defects of all other tiles. `--unseen`: all but one kind of defect lend
20, and the one that was never seen measures. A line of the file is one draw: what is there is not computed again.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from kizu.backbones.graph import Embedder, build_embedder
from kizu.backbones.store import load_backbone
from kizu.core.randomness import rng_for
from kizu.core.types import F32, HW
from kizu.data.batches import stream
from kizu.data.layouts.mvtec_ad import scan
from kizu.detectors.base import Embeddings, Fitted
from kizu.detectors.flawed import FlawedBatch
from kizu.detectors.registry import detector_config, make_detector
from kizu.imaging.placement import PlacementConfig
from kizu.lab.defects import place_mask
from kizu.lab.grouping import find_good_siblings
from kizu.metrics.ranking import auroc
from kizu.pipeline.flawed import TilePainter, embed_flawed

COUNTS, SEEDS = (0, 5, 10, 20, 40), range(5)
HEAD: dict[str, Any] = {"kind": "discriminative"}
UNSUPERVISED: dict[str, dict[str, Any]] = {
    "patchcore 1 %": {"kind": "patchcore", "coreset": 0.01, "patch_size": 3},
    "padim": {"kind": "padim", "patch_size": 3},
    "subspace": {"kind": "subspace", "patch_size": 3},
}
FUSED: dict[str, dict[str, Any]] = {
    "head + padim": {"kind": "ensemble", "members": [HEAD, UNSUPERVISED["padim"]]},
    "head + subspace": {"kind": "ensemble", "members": [HEAD, UNSUPERVISED["subspace"]]},
}


class Study:
    """The data set as features, and what each method says of it."""

    def __init__(self, backbone: str, side: int) -> None:
        root = Path(os.environ["KIZU_SHARED"]) / "data" / "magnetic_tile"
        samples = scan(root, "tile").with_hashes().samples
        groups = find_good_siblings(samples, None).group_of()
        numbered = dict(
            zip(sorted({groups.get(s.id, s.id) for s in samples}), range(len(samples)), strict=False)
        )
        self.samples = samples
        self.groups = np.array([numbered[groups.get(s.id, s.id)] for s in samples])
        self.kinds = np.array([s.defect for s in samples])
        self.is_defect = np.array([s.label == "defect" for s in samples])
        self.is_fit = np.array([s.split == "train" and s.label == "good" for s in samples])
        self.hw: HW = (side, side)
        loaded = load_backbone(backbone)
        model = build_embedder(
            loaded, layers=loaded.spec.default_layers, normalisation="native", patch_size=3
        )
        embedder = Embedder(model.SerializeToString())
        placement = PlacementConfig(image_size=self.hw)
        kept, self.painted, self.defects = [], list[FlawedBatch](), {}
        painter, seen = TilePainter(0), 0
        for batch in stream(samples, placement):
            kept.append(embedder.embed(batch.images).astype(np.float16))
            here = np.arange(seen, seen + len(batch.samples))
            fit = np.flatnonzero(self.is_fit[here])
            if len(fit):
                rows = np.cumsum(self.is_fit)[here[fit]] - 1
                self.painted.append(embed_flawed(embedder, *painter.paint(batch.images[fit]), rows=rows))
            for number, sample, size in zip(here, batch.samples, batch.sizes, strict=True):
                if sample.label == "defect":
                    share = place_mask(sample, size, placement)[None]
                    self.defects[int(number)] = embed_flawed(embedder, batch.images[[number - seen]], share)
            seen += len(here)
        self.features = np.concatenate(kept)

    def rows(self, numbers: Any) -> Any:
        return (self.features[numbers[i : i + 8]].astype(np.float32) for i in range(0, len(numbers), 8))

    def fit(
        self, settings: dict[str, Any], seed: int, defects: list[int], *, masks: bool = True
    ) -> tuple[Fitted, Any]:
        detector = make_detector(detector_config(settings))
        channels = detector.channels(self.features.shape[-1], rng_for(seed, "channels"))
        fit = np.flatnonzero(self.is_fit)
        flawed = list(self.painted) + [self.defects[number] for number in defects]
        if not masks:
            blank = [
                FlawedBatch(f.embedding, np.full_like(f.share, np.nan), f.rows)
                for f in flawed[len(self.painted) :]
            ]
            flawed = list(self.painted) + blank
        learns = detector.config.learns_defects
        batches = (x if channels is None else np.ascontiguousarray(x[..., channels]) for x in self.rows(fit))
        embeddings = Embeddings(batches, len(fit), self.hw, flawed=flawed if learns else [])
        return detector.fit(embeddings, rng=rng_for(seed, "fit")), channels

    def score(self, fitted: Fitted, channels: Any, numbers: Any) -> F32:
        parts = (
            x if channels is None else np.ascontiguousarray(x[..., channels]) for x in self.rows(numbers)
        )
        return np.concatenate([fitted.score(x, self.hw).image for x in parts])

    def draw(self, count: int, seed: int, kinds: set[str]) -> list[int]:
        """So many defects of `kinds`, each of another tile; tiles that good images show too are left out."""
        shared = set(self.groups[~self.is_defect])
        rng = rng_for(seed, "labelled")
        wanted = [
            n
            for n in np.flatnonzero(self.is_defect)
            if self.kinds[n] in kinds and self.groups[n] not in shared
        ]
        chosen: dict[int, int] = {}
        for number in rng.permutation(wanted):
            chosen.setdefault(int(self.groups[number]), int(number))
        return list(chosen.values())[:count]


def measured(study: Study, scores: F32, test: Any, kind: str | None = None) -> float:
    use = np.ones(len(test), bool) if kind is None else (~study.is_defect[test]) | (study.kinds[test] == kind)
    return auroc(study.is_defect[test][use], scores[use])


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--json", type=Path, required=True)
    asked.add_argument("--backbone", default="efficientnet_lite0")
    asked.add_argument("--side", type=int, default=256)
    asked.add_argument("--unseen", action="store_true")
    asked.add_argument("--without-masks", action="store_true")
    asked.add_argument("--seeds", type=int, default=len(SEEDS))
    options = asked.parse_args()
    known = (
        [json.loads(line) for line in options.json.read_text().splitlines()] if options.json.exists() else []
    )
    done = {(r["method"], r["count"], r["seed"], r["unseen"], r["masks"]) for r in known}
    study = Study(options.backbone, options.side)
    kinds = sorted(set(study.kinds[study.is_defect]))
    every = np.flatnonzero(~study.is_fit)

    def keep(
        method: str, count: int, seed: int, unseen: str | None, said: dict[int, float], used: list[int]
    ) -> None:
        groups = set(study.groups[used])
        test = np.array([n for n in every if not study.is_defect[n] or study.groups[n] not in groups])
        scores = np.array([said[int(n)] for n in test], np.float32)
        row = {
            "method": method, "count": count, "seed": seed, "unseen": unseen, "masks": not options.without_masks,
            "auroc": measured(study, scores, test, unseen),
            "kinds": {kind: measured(study, scores, test, kind) for kind in kinds}, "test": len(test),
        }  # fmt: skip
        with options.json.open("a") as stream:
            stream.write(json.dumps(row) + "\n")
        print(row["method"], count, seed, unseen, round(row["auroc"], 4), flush=True)

    plans = (
        [(20, seed, kind) for seed in range(options.seeds) for kind in kinds]
        if options.unseen
        else [(count, seed, None) for seed in range(options.seeds) for count in COUNTS]
    )
    fixed: dict[str, dict[int, float]] = {}
    for count, seed, unseen in plans:
        used = study.draw(count, seed, set(kinds) - {unseen}) if count else []
        for name, settings in {**UNSUPERVISED, "head": HEAD, **FUSED}.items():
            if (name, count, seed, unseen, not options.without_masks) in done:
                continue
            if name not in UNSUPERVISED or name not in fixed:
                fitted, channels = study.fit(settings, seed, used, masks=not options.without_masks)
                said = dict(zip(every.tolist(), study.score(fitted, channels, every).tolist(), strict=True))
                if name in UNSUPERVISED:
                    fixed[name] = said
            keep(name, count, seed, unseen, fixed.get(name, {}) if name in UNSUPERVISED else said, used)


if __name__ == "__main__":
    main()
