"""One image, decoded, in; verdict and regions out: the run in Python, its exported file in both runtimes, and the bare
network. And a folder of images against what decoding and the graph take by themselves. Real images (magnetic_tile),
Lite0, 256 x 256, two methods; all in one run.

    python benchmarks/latency.py [--images 523] [--json PATH]
"""

import tempfile
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from fitting import data_set
from measuring import Figure, command_line, least_ms, least_seconds, table, with_fast_blas, write_result

from kizu.core.provenance import usable_cores
from kizu.core.threads import in_order, one_blas_thread
from kizu.core.work import Work
from kizu.data.batches import place_source
from kizu.data.scan import DataConfig
from kizu.inspection.folder import FolderOptions, FolderRunner
from kizu.inspection.inspector import Inspector
from kizu.lab.train import RunConfig, train_run
from kizu.pipeline.opened import open_pipeline
from kizu.release.export import export_run
from kizu.runtimes.model import read_model

METHODS: dict[str, dict[str, Any]] = {
    "patchcore": {"coreset": 0.01},
    "padim": {"features": 100},
}
NAMES = {"patchcore": "PatchCore 1 %", "padim": "PaDiM d = 100"}
TARGETS = {"patchcore": 5.0, "padim": 4.0}
PEERS = {"patchcore": 15.3, "padim": 10.6}
REPEATS, SECONDS, PIECE = 2, 4.0, 8


def main() -> None:
    with_fast_blas()
    parser = command_line(__doc__)
    parser.add_argument("--images", type=int, default=523)
    options = parser.parse_args()
    rows, figures = [], []
    with tempfile.TemporaryDirectory() as scratch:
        for method, settings in METHODS.items():
            row = measure(method, settings, options.images, Path(scratch))
            rows.append(row)
            best = min(row["ms"][key] for key in ("model.onnx, onnxruntime", "model.onnx, openvino"))
            figures.append(
                Figure(
                    f"one image to its verdict, {NAMES[method]}, exported",
                    "ms",
                    best,
                    target=TARGETS[method],
                    peer=PEERS[method],
                    roofline=row["ms"]["bare network"],
                )
            )
            figures.append(
                Figure(f"folder over decode + graph, {NAMES[method]}", "x", row["folder_ratio"], target=1.3)
            )
    ways = list(rows[0]["ms"])
    print(
        table(["ms an image, batch 1", *ways], [[NAMES[row["method"]], *row["ms"].values()] for row in rows])
    )
    head = ["images/s", "folder, lines only", "decode + graph alone", "times"]
    lines = [
        [NAMES[r["method"]], r["folder_per_second"], r["floor_per_second"], r["folder_ratio"]] for r in rows
    ]
    print(table(head, lines))
    write_result(options.json, {"rows": rows}, figures=figures)


def measure(method: str, settings: dict[str, Any], images: int, scratch: Path) -> dict[str, Any]:
    """One method: every way for one image, and the folder."""
    manifest = data_set("magnetic_tile/tile")
    config = RunConfig(data=DataConfig(root=manifest.root.parent, category=manifest.root.name))
    run = train_run(config.with_detector(method, settings), scratch, run_id="r").folder
    model = export_run(run).path
    inspectors = {
        "in Python": Inspector.open(run.path),
        "model.onnx, onnxruntime": Inspector.open(model),
        "model.onnx, openvino": Inspector.open(model, work=Work("openvino")),
    }
    samples = manifest.test()[:images]
    placement = inspectors["in Python"].manifest.placement
    placed = [place_source(sample, placement).image for sample in samples[:32]]
    embedder = open_pipeline(inspectors["in Python"].bundle).embedder
    cases = {"bare network": in_turn(lambda image: embedder.embed(image[None]), placed)}
    cases |= {name: in_turn(inspector.inspect, placed) for name, inspector in inspectors.items()}
    ms = least_ms(cases, seconds=SECONDS)
    best = min(("in Python", "model.onnx, onnxruntime"), key=lambda key: ms[key])
    opened = inspectors[best]
    scorer = open_pipeline(opened.bundle) if best == "in Python" else read_model(model).scorer()
    floor = least_seconds(lambda: decode_and_score(samples, placement, scorer), REPEATS)
    folder = least_seconds(
        lambda: FolderRunner(
            opened, Path(tempfile.mkdtemp(dir=scratch)), FolderOptions(save_masks=False, save_overlays=False)
        ).run(samples),
        REPEATS,
    )
    return {
        "method": method,
        "ms": ms,
        "folder_per_second": len(samples) / folder,
        "floor_per_second": len(samples) / floor,
        "folder_ratio": folder / floor,
        "folder_through": best,
    }


def decode_and_score(samples: Any, placement: Any, scorer: Any) -> None:
    """What cannot be spared: files to arrays, arrays through the graph, shared out as the runner does."""

    def work(piece: Any) -> None:
        scorer.score(np.stack([place_source(sample, placement).image for sample in piece]))

    pieces = (samples[start : start + PIECE] for start in range(0, len(samples), PIECE))
    workers = usable_cores()
    with one_blas_thread():
        for _ in in_order(work, pieces, workers=workers, ahead=2 * workers):
            pass


def in_turn(call: Callable[[Any], object], images: list[np.ndarray]) -> Callable[[], object]:
    """A function that takes the images one after the other, again and again."""
    endless = cycle(images)
    return lambda: call(next(endless))


if __name__ == "__main__":
    main()
