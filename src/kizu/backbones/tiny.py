"""A very small network with random weights from a fixed seed, for tests: needs no wheel, knows nothing."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from kizu.backbones.base import HALF, PIXELS, BackboneSpec, Layer, default_layers
from kizu.backbones.builder import GraphBuilder, Shape
from kizu.core.hashing import hash_bytes
from kizu.core.randomness import rng_for
from kizu.core.types import F32

if TYPE_CHECKING:
    import onnx

_SEED = 0
_DIMS = (3, 8, 12, 16, 24)
"""Channels before and after each convolution; each halves the grid, and all but the first offer a layer."""


def spec(name: str) -> BackboneSpec:
    """Three layers at strides 4, 8 and 16."""
    layers = tuple(Layer(f"blocks.{index - 1}", 2 ** (index + 1), _DIMS[index + 1]) for index in (1, 2, 3))
    return BackboneSpec(
        name=name,
        layers=layers,
        default_layers=default_layers(layers),
        mean=HALF,
        std=HALF,
        licence="MIT",
        source=f"drawn at random by kizu, seed {_SEED}",
        weights_sha256=hash_bytes(b"".join(weight.tobytes() for weight in _weights())),
    )


def build(name: str) -> onnx.ModelProto:
    """Four 3x3 convolutions of stride 2 with ReLU6 between them; the layers are what comes before ReLU6."""
    graph = GraphBuilder("tiny")
    outputs: dict[str, tuple[type[np.generic], Shape]] = {}
    x = PIXELS
    layers = (None, *spec(name).layers)
    for weight, layer in zip(_weights(), layers, strict=True):
        x = graph.conv(x, weight, np.zeros(len(weight)), stride=2, name=layer.name if layer else None)
        if layer:
            outputs[x] = (np.float32, ("N", layer.dim, f"{x}.h", f"{x}.w"))
        x = graph.relu6(x)
    return graph.model({PIXELS: (np.float32, ("N", 3, "H", "W"))}, outputs)


def _weights() -> list[F32]:
    """One (out, in, 3, 3) kernel per convolution, scaled so that outputs keep the spread of the inputs."""
    rng = rng_for(_SEED, "tiny backbone")
    shapes = [(after, before, 3, 3) for before, after in pairwise(_DIMS)]
    return [
        (rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))).astype(np.float32) for shape in shapes
    ]
