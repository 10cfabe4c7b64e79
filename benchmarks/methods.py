"""All methods on all sets, with their defaults: what they reach, how long they take, what they hold.

Each cell is one process: `kizu train` and `kizu evaluate` as functions, seed 0. Writes the table of docs/choices.md.

    .venv/bin/python benchmarks/methods.py --json benchmarks/results/methods.json [--methods padim subspace]
"""

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from measuring import command_line, in_fresh_process, least_seconds, table, write_result

from kizu.core.provenance import peak_memory
from kizu.data.scan import DataConfig
from kizu.detectors import DETECTORS
from kizu.lab.evaluate import evaluate_run
from kizu.lab.train import RunConfig, train_run
from kizu.pipeline.opened import open_pipeline

SHARED = Path(os.environ.get("KIZU_SHARED", Path(__file__).parents[2] / "shared")) / "data"
SETS = {
    "tile": DataConfig(root=SHARED / "magnetic_tile", category="tile"),
    "hazelnut": DataConfig(root=SHARED / "mvtec_ad", category="hazelnut"),
    "board_92000": DataConfig(root=SHARED / "deeppcb", category="board_92000"),
    "elpv mono": DataConfig(layout="elpv", category="mono"),
}
KEYS = ("image_auroc", "aupro_030", "aupimo")
LIMITS: dict[str, dict[str, Any]] = {"patch_knn": {"coreset_size": 40_000, "coreset_method": "random"}}
"""All patches of the larger sets would be a bank of half a million; it is said beside the table."""


def measure(method: str, name: str) -> dict[str, Any]:
    """One method on one set."""
    data = SETS[name]
    config = RunConfig(data=data).with_detector(method, LIMITS.get(method, {}))
    with tempfile.TemporaryDirectory() as scratch:
        run = train_run(config, Path(scratch), run_id="r")
        peak = peak_memory()
        metrics = evaluate_run(run.folder).metrics
        scorer = open_pipeline(run.fitted.bundle)
        size = sum(path.stat().st_size for path in run.folder.bundle.rglob("*") if path.is_file())
    image = np.random.default_rng(0).integers(0, 256, (1, *config.placement.image_size, 3), np.uint8)
    scorer.score(image)
    return {
        "method": method,
        "set": name,
        **{key: metrics[key] for key in KEYS},
        "fit_s": sum(run.fitted.seconds.values()),
        "fit_peak_mb": peak / 2**20,
        "ms_per_image": 1000 * least_seconds(lambda: scorer.score(image), 20),
        "bundle_mb": size / 2**20,
    }


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--methods", nargs="*", default=list(DETECTORS))
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    options = parser.parse_args()
    rows = []
    for method in options.methods:
        for name in options.sets:
            row = in_fresh_process(measure, method, name)
            rows.append(row)
            print({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}, flush=True)
    head = ["method", "set", *KEYS, "fit_s", "fit_peak_mb", "ms_per_image", "bundle_mb"]
    print(table(head, [[row[key] if row[key] is not None else "-" for key in head] for row in rows]))
    write_result(options.json, {"rows": rows}, figures=[])


if __name__ == "__main__":
    main()
