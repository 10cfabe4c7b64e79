"""What tuning a backbone changes: the same fits before and after, on real sets, with paired intervals.

    python benchmarks/tuning.py --json benchmarks/results/tuning.jsonl      (in an environment with kizu[tune])

Each line is one set, backbone, seed and method; what is there is not computed again, and tuning itself goes on where it
was stopped. Fits are on all good training images, at the size that was tuned at, by the same layers.
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np

from kizu.core.types import F32
from kizu.core.work import Work
from kizu.data.batches import stream
from kizu.data.layouts.mvtec_ad import scan
from kizu.data.manifest import Manifest
from kizu.detectors.registry import detector_config
from kizu.imaging.placement import PlacementConfig
from kizu.metrics.compare import delong
from kizu.metrics.ranking import auroc
from kizu.pipeline.config import PipelineConfig
from kizu.pipeline.fitting import UnfittedPipeline
from kizu.pipeline.opened import PlacedImages
from kizu.tasks.options import DataOptions
from kizu.tasks.tune import tune
from kizu.tasks.tune_options import TuneOptions

SETS = ("mvtec_ad/hazelnut", "deeppcb/board_92000", "magnetic_tile/tile")
METHODS = {
    "padim": {"kind": "padim", "patch_size": 3},
    "patchcore 1 %": {"kind": "patchcore", "coreset": 0.01},
    "mahalanobis": {"kind": "mahalanobis"},
}


def scores_of(manifest: Manifest, backbone: str, settings: dict[str, object], seed: int, side: int) -> F32:
    """(N,) of the test images by a fit on all good training images."""
    placement = PlacementConfig(image_size=(side, side))
    base = PipelineConfig(placement=placement, seed=seed, detector=detector_config(settings))
    config = base.changed({"embedding": {"backbone": backbone}}, where="benchmark")
    good, test = manifest.train_good(), manifest.test()
    images = PlacedImages(len(good), (batch.images for batch in stream(good, placement)))
    pipeline = UnfittedPipeline.prepare(config, Work()).fit(images, "fit", Work())
    return np.concatenate([pipeline.score(batch.images).image for batch in stream(test, placement)])


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--json", type=Path, required=True)
    asked.add_argument("--backbone", default="efficientnet_lite0")
    asked.add_argument("--sets", default=",".join(SETS))
    asked.add_argument("--seeds", type=int, default=3)
    asked.add_argument("--epochs", type=int)
    asked.add_argument("--images", type=int)
    asked.add_argument("--work", type=Path, default=Path("runs/tune"))
    options = asked.parse_args()
    known = (
        [json.loads(line) for line in options.json.read_text().splitlines()] if options.json.exists() else []
    )
    done = {(r["set"], r["backbone"], r["seed"], r["method"]) for r in known}
    for seed in range(options.seeds):
        for name in options.sets.split(","):
            folder, category = name.split("/")
            root = Path(os.environ["KIZU_SHARED"]) / "data" / folder
            if all((name, options.backbone, seed, method) in done for method in METHODS):
                continue
            wanted = TuneOptions(
                backbone=options.backbone, epochs=options.epochs, images=options.images, seed=seed,
                output_dir=options.work, run_id=f"{category}-{options.backbone}-{seed}",
            )  # fmt: skip
            start = time.perf_counter()
            tuned = tune(DataOptions(root=root, category=category), wanted, Work(on_note=print))
            seconds = time.perf_counter() - start
            manifest = scan(root, category)
            labels = np.array([sample.label == "defect" for sample in manifest.test()])
            for method, settings in METHODS.items():
                if (name, options.backbone, seed, method) in done:
                    continue
                side = int(tuned.made.config["side_px"])
                before = scores_of(manifest, options.backbone, settings, seed, side)
                after = scores_of(manifest, str(tuned.folder), settings, seed, side)
                off = delong(labels, after, before)
                row = {
                    "set": name, "backbone": options.backbone, "seed": seed, "method": method,
                    "before": auroc(labels, before), "after": auroc(labels, after),
                    "difference": off.value, "low": off.low, "high": off.high, "p": off.p_value,
                    "placement": tuned.made.placement, "epochs": tuned.made.epochs, "images": len(tuned.made.images),
                    "losses": tuned.made.validation_losses, "seconds": round(seconds, 1),
                }  # fmt: skip
                with options.json.open("a") as stream_:
                    stream_.write(json.dumps(row) + "\n")
                print(
                    name,
                    options.backbone,
                    seed,
                    method,
                    round(row["before"], 4),
                    "->",
                    round(row["after"], 4),
                    flush=True,
                )


if __name__ == "__main__":
    main()
