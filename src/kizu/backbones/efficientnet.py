"""EfficientNet-B0, -B1 and -B2: ONNX graphs drawn from timm's state dicts, without torch.

Tan & Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019. Two trainings have the
same tensors and differ in what is done with them: timm's own (`efficientnet_b0`) pads and normalises as torch does, the
one taken over from TensorFlow (`tf_efficientnet_b0`) as TensorFlow does. Layers: `blocks.0` to `blocks.6`, as in timm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from kizu.backbones.base import LOGITS, PIXELS, Layer
from kizu.backbones.builder import GraphBuilder, Shape
from kizu.backbones.efficientnet_lite import B0_STAGES, BATCH_NORM_EPSILON, Stage, scale_width
from kizu.backbones.weights import TORCH_EPSILON, Weights, fold_batch_norm, take

if TYPE_CHECKING:
    import onnx

_STEM_DIM, _HEAD_DIM = 32, 1280
_STEM_STRIDE = 2
_EXPANSION = 6
"""A block's depthwise convolution is so many times as wide as its input, but for the first stage's."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One size of the family."""

    width: float
    depth: float
    from_tensorflow: bool = False

    @property
    def stem(self) -> int:
        """Channels after the first convolution."""
        return scale_width(_STEM_DIM, self.width)

    @property
    def head(self) -> int:
        """Channels of the last convolution, before the classes."""
        return scale_width(_HEAD_DIM, self.width)

    @property
    def epsilon(self) -> float:
        """Of the batch norms."""
        return BATCH_NORM_EPSILON if self.from_tensorflow else TORCH_EPSILON

    def stages(self) -> tuple[Stage, ...]:
        """The stages after scaling, all of them deepened."""
        return tuple(
            Stage(
                repeats=math.ceil(stage.repeats * self.depth),
                kernel=stage.kernel,
                stride=stage.stride,
                dim=scale_width(stage.dim, self.width),
            )
            for stage in B0_STAGES
        )


VARIANTS: Mapping[str, Variant] = {
    "efficientnet_b0": Variant(1.0, 1.0),
    "efficientnet_b1": Variant(1.0, 1.1),
    "efficientnet_b2": Variant(1.1, 1.2),
    "tf_efficientnet_b0": Variant(1.0, 1.0, from_tensorflow=True),
    "tf_efficientnet_b1": Variant(1.0, 1.1, from_tensorflow=True),
    "tf_efficientnet_b2": Variant(1.1, 1.2, from_tensorflow=True),
}


def layers(name: str) -> tuple[Layer, ...]:
    """The facts of the variant `name`, without weights."""
    found, stride = [], _STEM_STRIDE
    for index, stage in enumerate(VARIANTS[name].stages()):
        stride *= stage.stride
        found.append(Layer(f"blocks.{index}", stride=stride, dim=stage.dim))
    return tuple(found)


def draw(name: str, weights: Weights) -> onnx.ModelProto:
    """The graph of the variant `name`, with the head (`logits`) where the weights have one.

    Raises `BackboneError` naming the first tensor that is missing or does not fit, with the expected and the found
    shape.
    """
    variant = VARIANTS[name]
    drawing = _Drawing(GraphBuilder("efficientnet"), weights, variant)
    x = drawing.conv(PIXELS, "conv_stem", "bn1", (variant.stem, 3, 3, 3), stride=_STEM_STRIDE)
    x, dim = drawing.silu(x), variant.stem
    outputs: dict[str, tuple[type[np.generic], Shape]] = {}
    for index, stage in enumerate(variant.stages()):
        for repeat in range(stage.repeats):
            block = _Block(
                prefix=f"blocks.{index}.{repeat}",
                before=dim,
                inner=dim * (_EXPANSION if index else 1),
                after=stage.dim,
                kernel=stage.kernel,
                stride=stage.stride if repeat == 0 else 1,
            )
            x = drawing.block(x, block, name=f"blocks.{index}" if repeat == stage.repeats - 1 else None)
            dim = stage.dim
        outputs[x] = (np.float32, ("N", dim, f"h{index}", f"w{index}"))
    if "classifier.weight" in weights:
        outputs[LOGITS] = (np.float32, ("N", drawing.head(x, dim)))
    return drawing.graph.model({PIXELS: (np.float32, ("N", 3, "H", "W"))}, outputs)


class _Block(NamedTuple):
    prefix: str
    before: int
    inner: int
    after: int
    kernel: int
    stride: int


@dataclass(frozen=True, slots=True)
class _Drawing:
    graph: GraphBuilder
    weights: Weights
    variant: Variant

    def conv(
        self,
        x: str,
        conv: str,
        norm: str,
        shape: tuple[int, int, int, int],
        *,
        stride: int = 1,
        name: str | None = None,
    ) -> str:
        weight, bias = fold_batch_norm(self.weights, conv, norm, shape, epsilon=self.variant.epsilon)
        padding = None if self.variant.from_tensorflow else shape[-1] // 2
        return self.graph.conv(x, weight, bias, stride=stride, padding=padding, name=name)

    def silu(self, x: str) -> str:
        """x * sigmoid(x)"""
        return self.graph.node("Mul", x, self.graph.node("Sigmoid", x))

    def block(self, x: str, block: _Block, *, name: str | None) -> str:
        """An inverted residual: widen (not in the first stage), depthwise, squeeze and excite, narrow."""
        start, prefix = x, block.prefix
        depthwise = (block.inner, 1, block.kernel, block.kernel)
        narrow = (block.after, block.inner, 1, 1)
        if block.inner == block.before:
            places = (("conv_dw", "bn1"), ("conv_pw", "bn2"))
        else:
            widen = (block.inner, block.before, 1, 1)
            x = self.silu(self.conv(x, f"{prefix}.conv_pw", f"{prefix}.bn1", widen))
            places = (("conv_dw", "bn2"), ("conv_pwl", "bn3"))
        (middle, middle_norm), (last, last_norm) = places
        x = self.conv(x, f"{prefix}.{middle}", f"{prefix}.{middle_norm}", depthwise, stride=block.stride)
        x = self.excite(self.silu(x), f"{prefix}.se", block.inner)
        is_residual = block.stride == 1 and block.before == block.after
        x = self.conv(
            x, f"{prefix}.{last}", f"{prefix}.{last_norm}", narrow, name=None if is_residual else name
        )
        return self.graph.node("Add", x, start, name=name) if is_residual else x

    def excite(self, x: str, prefix: str, dim: int) -> str:
        """Each channel times what the means of all channels say of it."""
        reduce = take(self.weights, f"{prefix}.conv_reduce.weight", (None, dim, 1, 1))
        few = len(reduce)
        expand = take(self.weights, f"{prefix}.conv_expand.weight", (dim, few, 1, 1))
        biases = [
            take(self.weights, f"{prefix}.{part}.bias", (size,))
            for part, size in (("conv_reduce", few), ("conv_expand", dim))
        ]
        y = self.graph.node("GlobalAveragePool", x)
        y = self.silu(self.graph.conv(y, reduce, biases[0], padding=0))
        y = self.graph.node("Sigmoid", self.graph.conv(y, expand, biases[1], padding=0))
        return self.graph.node("Mul", x, y)

    def head(self, x: str, dim: int) -> int:
        """Feature map -> logits; the number of classes."""
        x = self.silu(self.conv(x, "conv_head", "bn2", (self.variant.head, dim, 1, 1)))
        x = self.graph.node("Flatten", self.graph.node("GlobalAveragePool", x))
        matrix = take(self.weights, "classifier.weight", (None, self.variant.head))
        bias = take(self.weights, "classifier.bias", matrix.shape[:1])
        self.graph.node("Gemm", x, *map(self.graph.constant, (matrix, bias)), transB=1, name=LOGITS)
        return len(bias)
