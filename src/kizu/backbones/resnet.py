"""ResNet-18, -34, -50 and WideResNet-50-2: ONNX graphs drawn from torchvision's (or timm's) state dicts, without torch.

He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, with the stride in the 3 x 3 convolution of a
bottleneck, as torchvision has it; Zagoruyko & Komodakis, "Wide Residual Networks", BMVC 2016. The tensors and the
layers bear torchvision's names: `layer1` to `layer4`, after the ReLU of each stage's last block.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kizu.backbones.base import LOGITS, PIXELS, Layer
from kizu.backbones.builder import GraphBuilder, Shape
from kizu.backbones.weights import Weights, fold_batch_norm, take

if TYPE_CHECKING:
    import onnx

_STEM_STRIDE = 4
"""Of the first convolution and the pooling together."""
_EXPANSION = 4
"""A bottleneck's output has so many times the dims of the plain block's."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One size of the family."""

    repeats: tuple[int, int, int, int]
    """Blocks per stage."""
    bottleneck: bool
    width: int = 1
    """The inner convolutions of a bottleneck are so many times as wide."""
    stem: int = 64
    """Channels after the first convolution; each stage has twice as many as the one before."""

    def dim(self, stage: int) -> int:
        """Channels of `layer<stage + 1>`."""
        return (self.stem << stage) * (_EXPANSION if self.bottleneck else 1)

    def inner(self, stage: int) -> int:
        """Channels between the convolutions of a block."""
        return (self.stem << stage) * self.width


VARIANTS: Mapping[str, Variant] = {
    "resnet18": Variant((2, 2, 2, 2), bottleneck=False),
    "resnet34": Variant((3, 4, 6, 3), bottleneck=False),
    "resnet50": Variant((3, 4, 6, 3), bottleneck=True),
    "wide_resnet50_2": Variant((3, 4, 6, 3), bottleneck=True, width=2),
}


def layers(name: str) -> tuple[Layer, ...]:
    """The facts of the variant `name`, without weights."""
    variant = VARIANTS[name]
    return tuple(
        Layer(f"layer{stage + 1}", stride=_STEM_STRIDE * 2**stage, dim=variant.dim(stage))
        for stage in range(len(variant.repeats))
    )


def draw(name: str, weights: Weights) -> onnx.ModelProto:
    """The graph of the variant `name`, with the head (`logits`) where the weights have one.

    Raises `BackboneError` naming the first tensor that is missing or does not fit, with the expected and the found
    shape.
    """
    variant = VARIANTS[name]
    drawing = _Drawing(GraphBuilder("resnet"), weights)
    x = drawing.conv(PIXELS, "conv1", "bn1", (variant.stem, 3, 7, 7), stride=2)
    x = drawing.graph.node("Relu", x)
    x = drawing.graph.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    outputs: dict[str, tuple[type[np.generic], Shape]] = {}
    dim = variant.stem
    for stage, layer in enumerate(layers(name)):
        last = variant.repeats[stage] - 1
        for repeat in range(last + 1):
            x = drawing.block(
                x,
                _Block(
                    prefix=f"{layer.name}.{repeat}",
                    dims=(dim, variant.inner(stage), layer.dim),
                    stride=2 if stage and not repeat else 1,
                    bottleneck=variant.bottleneck,
                ),
                name=layer.name if repeat == last else None,
            )
            dim = layer.dim
        outputs[x] = (np.float32, ("N", dim, f"h{stage}", f"w{stage}"))
    if "fc.weight" in weights:
        outputs[LOGITS] = (np.float32, ("N", drawing.head(x, dim)))
    return drawing.graph.model({PIXELS: (np.float32, ("N", 3, "H", "W"))}, outputs)


@dataclass(frozen=True, slots=True)
class _Block:
    prefix: str
    dims: tuple[int, int, int]
    """Before it, inside it, after it."""
    stride: int
    bottleneck: bool


@dataclass(frozen=True, slots=True)
class _Drawing:
    graph: GraphBuilder
    weights: Weights

    def conv(self, x: str, conv: str, norm: str, shape: tuple[int, int, int, int], *, stride: int = 1) -> str:
        weight, bias = fold_batch_norm(self.weights, conv, norm, shape)
        return self.graph.conv(x, weight, bias, stride=stride, padding=shape[-1] // 2)

    def block(self, x: str, block: _Block, *, name: str | None) -> str:
        """Two 3 x 3 convolutions, or narrow, 3 x 3 and widen; the input is added back, and ReLU ends it."""
        before, inner, after = block.dims
        start = x
        if block.bottleneck:
            shapes = [(inner, before, 1, 1), (inner, inner, 3, 3), (after, inner, 1, 1)]
        else:
            shapes = [(inner, before, 3, 3), (after, inner, 3, 3)]
        strided = 1 if block.bottleneck else 0  # the 3 x 3 one
        for index, shape in enumerate(shapes):
            x = self.graph.node("Relu", x) if index else x
            place = (f"{block.prefix}.conv{index + 1}", f"{block.prefix}.bn{index + 1}")
            x = self.conv(x, *place, shape, stride=block.stride if index == strided else 1)
        if block.stride != 1 or before != after:
            place = (f"{block.prefix}.downsample.0", f"{block.prefix}.downsample.1")
            start = self.conv(start, *place, (after, before, 1, 1), stride=block.stride)
        return self.graph.node("Relu", self.graph.node("Add", x, start), name=name)

    def head(self, x: str, dim: int) -> int:
        """Feature map -> logits; the number of classes."""
        matrix = take(self.weights, "fc.weight", (None, dim))
        bias = take(self.weights, "fc.bias", matrix.shape[:1])
        x = self.graph.node("Flatten", self.graph.node("GlobalAveragePool", x))
        self.graph.node("Gemm", x, *map(self.graph.constant, (matrix, bias)), transB=1, name=LOGITS)
        return len(bias)
