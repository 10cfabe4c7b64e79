"""From a backbone to an embedder: ONE graph, uint8 image in, patch embedding out, so that what is measured is shipped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from kizu.backbones.base import Backbone, Layer
from kizu.backbones.builder import GraphBuilder
from kizu.backbones.session import GraphSession, Runtime
from kizu.core.errors import BackboneError, ConfigError, ScoreError
from kizu.core.types import F32, HW, I64, U8

if TYPE_CHECKING:
    import onnx

__all__ = ["IMAGE", "EMBEDDING", "Embedder", "GraphSession", "Normalisation", "Runtime", "build_embedder"]

Normalisation = Literal["native", "imagenet", "half"]
"""Which mean and std: the ones the network was trained with, ImageNet's, or 0.5 and 0.5."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

IMAGE = "image"
"""Input of an embedder: (N, H, W, 3) uint8 RGB."""
EMBEDDING = "embedding"
"""Output of an embedder: (N, h, w, D) float32."""

_OLDEST_OPSET = 13


def build_embedder(
    backbone: Backbone,
    *,
    layers: Sequence[str],
    normalisation: Normalisation,
    patch_size: int = 3,
    channels: I64 | None = None,
) -> onnx.ModelProto:
    """One graph `image` (N, H, W, 3) uint8 RGB -> `embedding` (N, h, w, D) float32.

    Each layer is averaged over `patch_size` x `patch_size` patches (zeros beyond the border count, as in the
    PatchCore paper's own code: Roth et al., "Towards Total Recall in Industrial Anomaly Detection", CVPR 2022, eq. 2),
    coarser layers are resized bilinearly (half-pixel centres) to the grid of the finest, and all are joined along D.
    The order along D does not depend on the order of `layers`: finest layer first.

    `channels`: (D',) strictly increasing indices into D to keep, as PaDiM's random subset.
    Raises `ConfigError` for an unknown layer, an even patch size or a channel out of range.
    """
    chosen = backbone.spec.choose(tuple(layers))
    if patch_size < 1 or patch_size % 2 == 0:
        raise ConfigError(f"patch_size must be odd and positive, got {patch_size}")
    kept = _kept_channels(chosen, channels)
    graph = GraphBuilder("embedder")
    _normalise(graph, backbone, normalisation)
    _splice(graph, backbone.model, [layer.name for layer in chosen])
    _join(graph, chosen, kept, patch_size)
    dim = sum(len(indices) for indices in kept)
    return graph.model(
        {IMAGE: (np.uint8, ("N", "H", "W", 3))},
        {EMBEDDING: (np.float32, ("N", "h", "w", dim))},
        opsets={entry.domain: entry.version for entry in backbone.model.opset_import},
        metadata={
            "kizu.backbone": backbone.spec.name,
            "kizu.layers": json.dumps([layer.name for layer in chosen]),
            "kizu.normalisation": normalisation,
            "kizu.patch_size": str(patch_size),
            "kizu.licence": backbone.spec.licence,
            "kizu.source": backbone.spec.source,
            "kizu.weights_sha256": backbone.spec.weights_sha256,
        },
    )


def _kept_channels(layers: tuple[Layer, ...], channels: I64 | None) -> list[I64]:
    """For each layer, which of its own channels are kept."""
    total = sum(layer.dim for layer in layers)
    kept = np.arange(total) if channels is None else np.asarray(channels)
    if kept.ndim != 1 or kept.size == 0 or kept[0] < 0 or kept[-1] >= total or np.any(np.diff(kept) <= 0):
        raise ConfigError(f"channels must be strictly increasing within 0..{total - 1}, got {channels}")
    starts = np.cumsum([0, *(layer.dim for layer in layers)])
    return [
        kept[(kept >= start) & (kept < stop)] - start for start, stop in zip(starts, starts[1:], strict=False)
    ]


def _normalise(graph: GraphBuilder, backbone: Backbone, normalisation: Normalisation) -> None:
    """`image` uint8 (N, H, W, 3) -> the backbone's input (N, 3, H, W) float32: (x / 255 - mean) / std."""
    mean, std = {
        "native": (backbone.spec.mean, backbone.spec.std),
        "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
        "half": ((0.5,) * 3, (0.5,) * 3),
    }[normalisation]
    gain = 1 / (255 * np.array(std))
    offset = -np.array(mean) / np.array(std)
    x = graph.node("Transpose", IMAGE, perm=[0, 3, 1, 2])  # (N, 3, H, W)
    x = graph.node("Cast", x, to=1)
    x = graph.node("Mul", x, graph.constant(gain.reshape(3, 1, 1).astype(np.float32)))
    graph.node(
        "Add",
        x,
        graph.constant(offset.reshape(3, 1, 1).astype(np.float32)),
        name=backbone.model.graph.input[0].name,
    )


def _splice(graph: GraphBuilder, model: onnx.ModelProto, outputs: Sequence[str]) -> None:
    """Add the part of `model` that `outputs` depend on, under its own names."""
    needed = set(outputs)
    nodes = []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            nodes.append(node)
            needed.update(node.input)
    graph.nodes.extend(reversed(nodes))
    graph.constants.extend(tensor for tensor in model.graph.initializer if tensor.name in needed)


def _join(graph: GraphBuilder, layers: tuple[Layer, ...], kept: list[I64], patch_size: int) -> None:
    """Feature maps (N, dim, h_l, w_l) -> `embedding` (N, h, w, D)."""
    grid = graph.node("Slice", graph.node("Shape", layers[0].name), *(graph.constant(np.array([v])) for v in (2, 4)))
    parts = []
    for index, (layer, indices) in enumerate(zip(layers, kept, strict=True)):
        if len(indices) == 0:
            continue
        x = layer.name
        if len(indices) < layer.dim:
            x = graph.node("Gather", x, graph.constant(indices), axis=1)
        if patch_size > 1:
            x = graph.node(
                "AveragePool",
                x,
                kernel_shape=[patch_size] * 2,
                pads=[patch_size // 2] * 4,
                count_include_pad=1,
            )
        if index > 0:
            head = graph.node("Slice", graph.node("Shape", x), *(graph.constant(np.array([v])) for v in (0, 2)))
            sizes = graph.node("Concat", head, grid, axis=0)
            x = graph.node("Resize", x, "", "", sizes, mode="linear", coordinate_transformation_mode="half_pixel")
        parts.append(x)
    joined = graph.node("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
    graph.node("Transpose", joined, perm=[0, 2, 3, 1], name=EMBEDDING)


class Embedder:
    """Images in, patch embeddings out: the graph of `build_embedder` in a session."""

    def __init__(
        self, model_bytes: bytes, *, threads: int | None = None, runtime: Runtime = "onnxruntime"
    ) -> None:
        self.model_bytes = model_bytes
        self._session = GraphSession(model_bytes, threads=threads, runtime=runtime)
        self._grids: dict[HW, HW] = {}
        dim = self._session.output_shapes.get(EMBEDDING, ())[-1:]
        if self._session.input_names != (IMAGE,) or not dim or dim[0] is None:
            raise BackboneError("the graph is not an embedder", hint="make one with build_embedder")
        self.dim = dim[0]
        """D"""

    def embed(self, images: U8) -> F32:
        """(N, H, W, 3) uint8 RGB -> (N, h, w, D). Raises `ScoreError` for another type or shape and for a result
        that is not finite."""
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or 0 in images.shape:
            raise ScoreError(f"images must be (N, H, W, 3) uint8, got {images.shape} {images.dtype}")
        embedding: F32 = self._session.run({IMAGE: images})[EMBEDDING]
        # The sum of finite features cannot overflow in practice, and it is several times faster than isfinite.
        if not np.isfinite(embedding.sum()) and not np.isfinite(embedding).all():
            raise ScoreError("the backbone gave features that are not finite numbers")
        return embedding

    def grid_hw(self, input_hw: HW) -> HW:
        """(H, W) -> (h, w): found by embedding one black image, then remembered."""
        if input_hw not in self._grids:
            grid = self.embed(np.zeros((1, *input_hw, 3), np.uint8)).shape
            self._grids[input_hw] = (grid[1], grid[2])
        return self._grids[input_hw]
