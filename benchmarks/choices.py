"""Which defaults, and why: one change at a time, on the three real sets, several seeds. Writes the tables of
docs/choices.md, and beside each the promise of false alarms and what the good test images of each seed measured.

    .venv/bin/python benchmarks/choices.py --json benchmarks/results/choices.json [--only defaults]
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from kizu.data.scan import DataConfig
from kizu.lab.evaluate import Evaluation, evaluate_run
from kizu.lab.train import RunConfig, train_run
from kizu.report.promises import HEAD, promise_cells
from kizu.report.tables import text_table

SHARED = Path(os.environ.get("KIZU_SHARED", Path(__file__).parents[2] / "shared")) / "data"
SETS = ("magnetic_tile/tile", "mvtec_ad/hazelnut", "deeppcb/board_92000")
KEYS = ("image_auroc", "aupro_030", "aupro_005", "image_f1")
Change = dict[str, dict[str, Any]]
STUDIES: dict[str, list[tuple[str, str, Change]]] = {
    "defaults": [("patchcore", "default", {}), ("padim", "default", {})],
    "normalisation": [
        (model, name, {"embedding": {"normalisation": name}})
        for model in ("patchcore", "padim")
        for name in ("native", "imagenet")
    ],
    "held out": [
        (model, f"{fraction:.0%}", {"calibration": {"fraction": fraction}})
        for model in ("patchcore", "padim")
        for fraction in (0.05, 0.1, 0.2, 0.3, 0.4)
    ],
    "coreset": [("patchcore", f"{part:.1%}", {"detector": {"coreset": part}}) for part in (0.001, 0.01, 0.1)],
    "PaDiM's paper": [
        ("padim", "d = 100", {"detector": {"features": 100}}),
        ("padim", "epsilon = 0.01", {"detector": {"epsilon": 0.01}}),
        ("padim", "max_map", {"detector": {"image_score": "max_map"}}),
        (
            "padim",
            "all three",
            {"detector": {"features": 100, "epsilon": 0.01, "image_score": "max_map"}},
        ),
    ],
    "image score": [
        ("patchcore", rule, {"detector": {"image_score": rule}})
        for rule in ("reweighted_max", "max_patch", "top_patches", "max_map")
    ],
    "patch size": [("patchcore", f"{side}", {"detector": {"patch_size": side}}) for side in (1, 3, 5)],
    "levers": [
        *(
            ("patchcore", name, {"detector": change})
            for name, change in (
                ("default", {}),
                ("cosine", {"distance": "cosine"}),
                ("cosine, no averaging", {"distance": "cosine", "patch_size": 1}),
                ("half whitened", {"whiten": "half"}),
                ("whitened", {"whiten": "full"}),
                ("mirrored", {"mirror": True}),
            )
        ),
        *(
            ("patchcore", name, {"detector": change, "placement": {"pixels": 384 * 384}})
            for name, change in (
                ("384 px", {}),
                ("384 px, 10 patches", {"top_count": 10}),
                ("384 px, whitened, 10 patches", {"top_count": 10, "whiten": "full"}),
            )
        ),
        ("padim", "default", {}),
        ("padim", "sigma 0", {"detector": {"smoothing": 0}}),
        ("padim", "384 px", {"placement": {"pixels": 384 * 384}}),
        ("patch_knn", "default", {}),
        ("ensemble", "default", {}),
    ],
    "input size": [
        ("patchcore", "x".join(map(str, size)), {"placement": {"image_size": size}})
        for size in ((224, 224), (256, 256), (320, 320), (384, 256))
    ],
}


def measure(name: str, model: str, change: Change, seed: int, folder: Path) -> Evaluation:
    """One run of one set."""
    dataset, category = name.split("/")
    config = RunConfig(data=DataConfig(root=SHARED / dataset, category=category), seed=seed)
    config = config.with_detector(model, {}).changed(change, where="choices")
    run = train_run(config, folder, run_id=f"{time.time_ns()}")
    return evaluate_run(run.folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", nargs="*", default=list(STUDIES))
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as scratch:
        for study in options.only:
            rows, promised = [], []
            for model, label, change in STUDIES[study]:
                for name in SETS:
                    runs = [
                        measure(name, model, change, seed, Path(scratch)) for seed in range(options.seeds)
                    ]
                    means = {key: float(np.mean([run.metrics[key] for run in runs])) for key in KEYS}
                    spread = {key: float(np.ptp([run.metrics[key] for run in runs])) for key in KEYS}
                    checks = [run.promises["image"] for run in runs]
                    results.append({"study": study, "model": model, "variant": label, "set": name, "mean": means,
                                    "range": spread, "promises": [check.describe() for check in checks]})  # fmt: skip
                    cells = [f"{means[key]:.3f} ±{spread[key] / 2:.3f}" for key in KEYS]
                    rows.append([f"{model} {label}", name.split("/")[1], *cells])
                    columns = zip(*map(promise_cells, checks), strict=True)
                    promised.append([*rows[-1][:2], *(", ".join(dict.fromkeys(c)) if n in (0, 3) else ", ".join(c)
                                                      for n, c in enumerate(columns))])  # fmt: skip
            print(f"\n{study}\n{text_table(['', 'set', *KEYS], rows)}", flush=True)
            print(f"\n{text_table(['', 'set', *HEAD[1:]], promised)}", flush=True)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
