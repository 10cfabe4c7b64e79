"""From a backbone to an embedder: one graph, images in, patch embeddings out, measured and shipped alike."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np

from kizu.backbones.base import HALF, IMAGENET_MEAN, IMAGENET_STD, Backbone, Layer, Triple
from kizu.backbones.builder import GraphBuilder
from kizu.backbones.features import FeatureCache, feature_cache
from kizu.backbones.session import GraphSession
from kizu.core.errors import BackboneError, ConfigError, ScoreError
from kizu.core.hashing import hash_bytes
from kizu.core.provenance import package_versions
from kizu.core.registry import look_up
from kizu.core.types import F32, HW, I64, U8
from kizu.core.work import Work

if TYPE_CHECKING:
    import onnx

Normalisation = Literal["native", "imagenet", "half"]
"""Which mean and std: the ones the network was trained with, ImageNet's, or 0.5 and 0.5."""

Combination = Literal["concat", "mean"]
"""Features of all layers side by side, or the mean of layers of one size and width."""

IMAGE = "image"
"""Input of an embedder: (N, H, W, 3) uint8 RGB."""
EMBEDDING = "embedding"
"""Output of an embedder: (N, h, w, D) float32."""

FLOAT = 1
"""`onnx.TensorProto.FLOAT`, without importing onnx."""

MEAN = "kizu.mean_of_layers"
"""What the mean of several layers is called."""

_BACKBONE = "backbone/"
"""Begins every name that comes from the backbone, so that a file may call its values what it likes."""


def build_embedder(
    backbone: Backbone,
    *,
    layers: Sequence[str],
    normalisation: Normalisation,
    patch_size: int = 3,
    channels: I64 | None = None,
    combine: Combination = "concat",
) -> onnx.ModelProto:
    """One graph `image` (N, H, W, 3) uint8 RGB -> `embedding` (N, h, w, D) float32.

    Each layer is averaged over `patch_size` x `patch_size` patches (odd; 1: not at all), zeros beyond the
    border counted as in the code of the PatchCore paper (Roth et al., "Towards Total Recall in Industrial
    Anomaly Detection", CVPR 2022, eq. 2). Coarser layers are resized bilinearly (half-pixel centres) to the
    grid of the finest. All are joined along D, finest first, whatever the order of `layers`; or `combine` makes one of
    them by their mean.

    `channels`: (D',) strictly increasing indices into D to keep, as PaDiM's random subset.
    Raises `ConfigError` for an unknown layer, an even patch size, a channel out of range, layers without a mean.
    """
    chosen = backbone.spec.choose(tuple(layers))
    if patch_size < 1 or patch_size % 2 == 0:
        raise ConfigError(f"patch_size must be odd and positive, got {patch_size}")
    joined = chosen if combine == "concat" else _as_one(chosen)
    kept = _split_channels(joined, channels)
    scalings = {
        "native": (backbone.spec.mean, backbone.spec.std),
        "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
        "half": (HALF, HALF),
    }
    mean, std = look_up(scalings, normalisation, noun="normalisation")
    graph = GraphBuilder("embedder")
    _normalise(graph, mean, std, name=_BACKBONE + backbone.model.graph.input[0].name)
    graph.splice(backbone.model, [layer.name for layer in chosen], prefix=_BACKBONE)
    if joined != chosen:
        graph.node("Mean", *(_BACKBONE + layer.name for layer in chosen), name=_BACKBONE + MEAN)
    _join(graph, joined, kept, patch_size)
    return graph.model(
        {IMAGE: (np.uint8, ("N", "H", "W", 3))},
        {EMBEDDING: (np.float32, ("N", "h", "w", sum(map(len, kept))))},
        like=backbone.model,
        metadata={
            "kizu.backbone": backbone.spec.name,
            "kizu.layers": json.dumps([layer.name for layer in chosen]),
            "kizu.normalisation": normalisation,
            "kizu.patch_size": str(patch_size),
            **({} if combine == "concat" else {"kizu.combine": combine}),
            "kizu.licence": backbone.spec.licence,
            "kizu.source": backbone.spec.source,
            "kizu.weights_sha256": backbone.spec.weights_sha256,
        },
    )


def _as_one(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """What stands for layers whose mean is taken; of one layer itself. Raises `ConfigError` where they have none."""
    if len({(layer.stride, layer.dim) for layer in layers}) > 1:
        told = ", ".join(f"{layer.name} (1/{layer.stride}, {layer.dim})" for layer in layers)
        raise ConfigError(
            f"there is no mean of layers of several sizes: {told}",
            hint="choose layers of one size, as the blocks of a transformer are, or combine: concat",
        )
    return layers if len(layers) == 1 else (Layer(MEAN, layers[0].stride, layers[0].dim),)


def _split_channels(layers: tuple[Layer, ...], channels: I64 | None) -> list[I64]:
    """For each layer, which of its own channels are kept."""
    total = sum(layer.dim for layer in layers)
    kept = np.arange(total) if channels is None else np.asarray(channels)
    if kept.ndim != 1 or kept.size == 0 or kept[0] < 0 or kept[-1] >= total or np.any(np.diff(kept) <= 0):
        raise ConfigError(f"channels must be strictly increasing within 0..{total - 1}, got {channels}")
    starts = np.cumsum([0, *(layer.dim for layer in layers)])
    return [kept[(kept >= start) & (kept < stop)] - start for start, stop in pairwise(starts)]


def _normalise(graph: GraphBuilder, mean: Triple, std: Triple, *, name: str) -> None:
    """`image` (N, H, W, 3) uint8 -> `name` (N, 3, H, W) float32: (x / 255 - mean) / std."""
    gain = 1 / (255 * np.array(std))
    offset = -np.array(mean) / np.array(std)
    per_channel = [graph.constant(v.reshape(3, 1, 1).astype(np.float32)) for v in (gain, offset)]
    x = graph.node("Transpose", IMAGE, perm=[0, 3, 1, 2])  # (N, 3, H, W), moved while it is still bytes
    x = graph.node("Cast", x, to=FLOAT)
    graph.node("Add", graph.node("Mul", x, per_channel[0]), per_channel[1], name=name)


def _join(graph: GraphBuilder, layers: tuple[Layer, ...], kept: list[I64], patch_size: int) -> None:
    """Feature maps (N, dim, h_l, w_l), finest first -> `embedding` (N, h, w, D).

    The maps turn to (N, h_l, w_l, dim) while they are small, so that enlarging them is two matrix products:
    a Resize of (N, dim, h_l, w_l) and a Transpose of all of it took 0.7 ms more per image in ONNX Runtime and
    9 ms more in OpenVINO (256 x 256 px, blocks.1 + 2 + 4, one thread).
    """
    parts = []
    h, w = (_side(graph, _BACKBONE + layers[0].name, axis) for axis in (2, 3))
    for layer, indices in zip(layers, kept, strict=True):
        x = _BACKBONE + layer.name
        if len(indices) == 0:
            continue
        if len(indices) < layer.dim:
            x = graph.node("Gather", x, graph.constant(indices), axis=1)
        if patch_size > 1:
            pads = [patch_size // 2] * 4
            x = graph.node("AveragePool", x, kernel_shape=[patch_size] * 2, pads=pads, count_include_pad=1)
        x = graph.node("Transpose", x, perm=[0, 2, 3, 1])  # (N, h_l, w_l, dim)
        parts.append(x if layer.stride == layers[0].stride else _enlarge(graph, x, len(indices), h, w))
    graph.node("Concat", *parts, axis=3, name=EMBEDDING)


def _enlarge(graph: GraphBuilder, x: str, dim: int, h: str, w: str) -> str:
    """(N, h_l, w_l, dim) -> (N, h, w, dim), bilinearly."""
    h_l, w_l = (_side(graph, x, axis) for axis in (1, 2))
    same, rest, d = (graph.constant(np.array([size])) for size in (0, -1, dim))
    x = graph.node("Reshape", x, graph.node("Concat", same, h_l, rest, axis=0))  # (N, h_l, w_l * dim)
    x = graph.node("MatMul", _interpolation(graph, h_l, h), x)  # (N, h, w_l * dim)
    x = graph.node("Reshape", x, graph.node("Concat", same, h, w_l, d, axis=0))  # (N, h, w_l, dim)
    return graph.node("MatMul", _interpolation(graph, w_l, w), x)  # (N, h, w, dim)


def _interpolation(graph: GraphBuilder, before: str, after: str) -> str:
    """The matrix (after, before) of linear interpolation with half-pixel centres: the identity, resized."""
    square, tall = (graph.node("Concat", side, before, axis=0) for side in (before, after))
    identity = graph.node("EyeLike", graph.node("ConstantOfShape", square))
    return graph.node(
        "Resize", identity, "", "", tall, mode="linear", coordinate_transformation_mode="half_pixel"
    )


def _side(graph: GraphBuilder, x: str, axis: int) -> str:
    """The length of one axis of `x`, as (1,) int64."""
    return graph.node("Gather", graph.node("Shape", x), graph.constant(np.array([axis])), axis=0)


class Embedder:
    """Images in, patch embeddings out: the graph of `build_embedder` in a session."""

    def __init__(self, model_bytes: bytes, work: Work = Work()) -> None:
        """Raises `BackboneError` for a graph that is not an embedder, and what `GraphSession` raises."""
        self.model_bytes = model_bytes
        self._session = GraphSession(model_bytes, work)
        self._grids: dict[HW, HW] = {}
        dim = self._session.outputs.get(EMBEDDING, ())[-1:]
        if list(self._session.inputs) != [IMAGE] or not dim or dim[0] is None:
            raise BackboneError("the graph is not an embedder", hint="make one with build_embedder")
        self.dim = dim[0]
        """D"""
        self._cache = feature_cache(work.features_budget())
        if self._cache is not None:
            version = package_versions()[work.runtime]
            self._graph_sha256 = hash_bytes(f"{work.runtime} {version} {work.device} ".encode() + model_bytes)

    def embed(self, images: U8) -> F32:
        """(N, H, W, 3) uint8 RGB -> (N, h, w, D).

        Raises `ScoreError` for another type or shape and for features that are not finite.
        """
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or 0 in images.shape:
            raise ScoreError(f"images must be (N, H, W, 3) uint8, got {images.shape} {images.dtype}")
        embedding = self._compute(images) if self._cache is None else self._look_up(images, self._cache)
        flat = embedding.reshape(-1)
        # A sum of squares is finite unless an element is not (or is beyond 1e18); it needs no mask.
        with np.errstate(over="ignore", invalid="ignore"):
            squares = flat @ flat
        if not np.isfinite(squares) and not np.isfinite(flat).all():
            raise ScoreError("the backbone gave features that are not finite numbers")
        return embedding

    def _compute(self, images: U8) -> F32:
        embedding: F32 = self._session.run_each({IMAGE: images})[EMBEDDING]
        return embedding

    def _look_up(self, images: U8, kept: FeatureCache) -> F32:
        """From the cache what is there; the rest is computed, and kept."""
        keys = [kept.key(self._graph_sha256, image) for image in images]
        found = [kept.get(key) for key in keys]
        missing = [i for i, embedding in enumerate(found) if embedding is None]
        if missing:
            for i, embedding in zip(missing, self._compute(images[missing]), strict=True):
                kept.put(keys[i], embedding)
                found[i] = embedding
        return np.stack([embedding for embedding in found if embedding is not None])

    def grid_hw(self, input_hw: HW) -> HW:
        """(H, W) -> (h, w): found by embedding one black image, then remembered."""
        if input_hw not in self._grids:
            grid = self.embed(np.zeros((1, *input_hw, 3), np.uint8)).shape
            self._grids[input_hw] = (grid[1], grid[2])
        return self._grids[input_hw]
