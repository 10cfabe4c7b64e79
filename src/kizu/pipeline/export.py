"""A fitted detector as one ONNX graph: from a uint8 image to its score and its map, and nothing outside.

What is drawn are the very constants that score in Python; the graph carries the bundle's manifest, so that a file alone
can be inspected with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from kizu.backbones.builder import GraphBuilder
from kizu.backbones.graph import EMBEDDING, IMAGE
from kizu.bundles.exported import MANIFEST, MAP, SCORE, SHA256
from kizu.bundles.manifest import Bundle
from kizu.core.errors import ConfigError
from kizu.pipeline.opened import open_pipeline

if TYPE_CHECKING:
    import onnx

MAX_CONSTANTS_MB = 512
"""What was learned may take so much of a graph: ONNX files end at 2 GB, and a line's memory before."""
_EMBEDDER = "embedder/"


def build_model(
    bundle: Bundle, bundle_sha256: str, *, max_constants_mb: float = MAX_CONSTANTS_MB
) -> onnx.ModelProto:
    """`image` (N, H, W, 3) uint8 RGB at the bundle's input size -> `pred_score` (N,), `anomaly_map` (N, H, W).

    N is free. Raises `ConfigError` where what was learned takes more than `max_constants_mb`, or cannot be drawn.
    """
    import onnx

    size_mb = sum(array.nbytes for array in bundle.arrays.values()) / 2**20
    if size_mb > max_constants_mb:
        raise ConfigError(
            f"what {bundle.manifest.model} learned takes {size_mb:.0f} MB, and a graph may hold {max_constants_mb:.0f}",
            hint="keep a smaller coreset, fewer features or a low-rank covariance; or run the bundle itself, which has"
            " no such limit; or raise the limit",
        )
    pipeline = open_pipeline(bundle)
    input_hw = bundle.manifest.placement.image_size
    embedder = onnx.load_model_from_string(bundle.graph)
    graph = GraphBuilder("kizu")
    graph.node("Identity", IMAGE, name=_EMBEDDER + IMAGE)
    graph.splice(embedder, [EMBEDDING], prefix=_EMBEDDER)
    grid_hw = pipeline.embedder.grid_hw(input_hw)
    drawn = pipeline.fitted.draw(graph, _EMBEDDER + EMBEDDING, grid_hw, input_hw)
    graph.node("Identity", drawn.score, name=SCORE)
    graph.node("Identity", drawn.map, name=MAP)
    known = {prop.key: prop.value for prop in embedder.metadata_props}
    return graph.model(
        {IMAGE: (np.uint8, ("N", *input_hw, 3))},
        {SCORE: (np.float32, ("N",)), MAP: (np.float32, ("N", *input_hw))},
        like=embedder,
        metadata={**known, **_metadata(bundle, bundle_sha256)},
    )


def _metadata(bundle: Bundle, bundle_sha256: str) -> Mapping[str, str]:
    manifest = bundle.manifest
    return {
        MANIFEST: manifest.model_dump_json(),
        SHA256: bundle_sha256,
        "kizu.version": manifest.versions["kizu"],
        "kizu.detector": manifest.model,
        "kizu.category": manifest.category,
        "kizu.input": f"{manifest.placement.image_size[0]} x {manifest.placement.image_size[1]}",
        "kizu.image_threshold": manifest.thresholds.image.describe(),
        "kizu.pixel_threshold": manifest.thresholds.pixel.describe(),
    }
