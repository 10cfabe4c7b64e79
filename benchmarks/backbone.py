"""Milliseconds per image: the bare backbone (to blocks.4) and embedders, by size, batch, threads and runtime.

    python benchmarks/backbone.py [--backbone efficientnet_lite0] [--seconds 0.5] [--json PATH]

All cases take turns, several times over, and the least time of each is told: on a machine that is shared, it
is the one that says what the code costs. "x" is the embedder's time over the bare backbone's.
"""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from measuring import Figure, command_line, least_ms, write_result

from kizu.backbones.base import PIXELS, Backbone
from kizu.backbones.builder import GraphBuilder
from kizu.backbones.graph import Embedder, build_embedder
from kizu.backbones.session import GraphSession
from kizu.backbones.store import load_backbone
from kizu.core.types import HW
from kizu.core.work import Work

SIZES: tuple[HW, ...] = ((224, 224), (256, 256), (384, 256))
BATCHES = (1, 8)
ENGINES = (
    Work("onnxruntime", cores=1),
    Work("onnxruntime", cores=2),
    Work("openvino", cores=2),
)
EMBEDDINGS = {
    "2+4": ("blocks.2", "blocks.4"),
    "1+2+4": ("blocks.1", "blocks.2", "blocks.4"),
}


def bare(backbone: Backbone) -> bytes:
    """The backbone cut after blocks.4, float32 pixels in."""
    graph = GraphBuilder("bare")
    graph.node("Identity", PIXELS, name="in/" + PIXELS)
    graph.splice(backbone.model, ["blocks.4"], prefix="in/")
    model = graph.model(
        {PIXELS: (np.float32, ("N", 3, "H", "W"))},
        {"in/blocks.4": (np.float32, ("N", "D", "h", "w"))},
        like=backbone.model,
    )
    content: bytes = model.SerializeToString()
    return content


def calls(backbone: Backbone, work: Work, hw: HW, batch: int) -> dict[str, Callable[[], object]]:
    """What is timed, by column."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (batch, *hw, 3), dtype=np.uint8)
    pixels = ((images / 255 - 0.5) / 0.5).astype(np.float32).transpose(0, 3, 1, 2)
    pixels = np.ascontiguousarray(pixels)
    session = GraphSession(bare(backbone), work)
    found: dict[str, Callable[[], object]] = {
        "bare, one batch": lambda: session.run({PIXELS: pixels}),
        "bare": lambda: session.run_each({PIXELS: pixels}),
    }
    for name, layers in EMBEDDINGS.items():
        model = build_embedder(backbone, layers=layers, normalisation="native")
        embedder = Embedder(model.SerializeToString(), work)
        found[name] = lambda embedder=embedder: embedder.embed(images)  # type: ignore[misc]
    return found


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--seconds", type=float, default=0.5, help="of measuring, per cell")
    arguments = parser.parse_args()
    backbone = load_backbone(arguments.backbone)
    rows: list[dict[str, Any]] = []
    for work, hw, batch in product(ENGINES, SIZES, BATCHES):
        ms = least_ms(calls(backbone, work, hw, batch), seconds=arguments.seconds)
        ms = {name: value / batch for name, value in ms.items()}
        where = {
            "runtime": work.runtime,
            "threads": work.cores,
            "size": f"{hw[0]}x{hw[1]}",
            "batch": batch,
        }
        overhead = {name: ms[name] / ms["bare"] for name in EMBEDDINGS}
        rows.append(where | {"ms_per_image": ms, "overhead": overhead})
        cells = "".join(f"{name} {value:6.2f}   " for name, value in ms.items())
        ratios = "  ".join(f"{name} x{value:.2f}" for name, value in overhead.items())
        print(
            f"{work.runtime:12}{work.cores}t {where['size']:8} batch {batch}:  {cells}{ratios}",
            flush=True,
        )
    write_result(arguments.json, {"backbone": arguments.backbone, "rows": rows}, figures=figures(rows))


def figures(rows: list[dict[str, Any]]) -> list[Figure]:
    """The embedder that the benchmarks use, beside the bare backbone, which is its limit."""
    found = []
    for row in rows:
        if (row["runtime"], row["threads"], row["size"]) == ("onnxruntime", 2, "256x256"):
            ms = row["ms_per_image"]
            name = f"embed Lite0 blocks.2 + blocks.4, batch {row['batch']}"
            found.append(Figure(name, "ms/image", ms["2+4"], roofline=ms["bare"]))
    return found


if __name__ == "__main__":
    main()
