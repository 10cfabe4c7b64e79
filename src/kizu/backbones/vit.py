"""Vision transformers as ONNX graphs, drawn from their weights without torch.

Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021; DeiT (Touvron et al., ICML 2021); DINO (Caron et al.,
"Emerging Properties in Self-Supervised Vision Transformers", ICCV 2021); DINOv2 (Oquab et al., TMLR 2024) and its
registers (Darcet et al., "Vision Transformers Need Registers", ICLR 2024).

A graph has four outputs for each block: `blocks.<n>`, the patch tokens as a map (N, dim, h, w); `blocks.<n>.norm`, the
same behind the network's last norm; `blocks.<n>.class`, the class token (N, dim); and `blocks.<n>.class_attention`, how
much of each patch the class token takes in (N, heads, h * w). The first two are layers; who asks for one output pays
for no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kizu.backbones.base import HALF, IMAGENET_MEAN, IMAGENET_STD, NORMED, PIXELS, Layer, Triple
from kizu.backbones.builder import GraphBuilder, Shape
from kizu.backbones.position_table import Convention, draw_resampled, resample
from kizu.backbones.vit_weights import Sizes, Weights, fitting_weights
from kizu.core.registry import look_up
from kizu.core.types import F32, F64, HW

if TYPE_CHECKING:
    import onnx

CLASS, CLASS_ATTENTION = ".class", ".class_attention"
"""End the names of a block's outputs that are no layers."""

NORM_EPSILON = 1e-6
"""Of all transformers here (torch's own default is 1e-5)."""


@dataclass(frozen=True, slots=True)
class Variant(Sizes):
    """One network of the family, and the pixels that it was trained on."""

    mean: Triple = IMAGENET_MEAN
    std: Triple = IMAGENET_STD


def _dinov2(dim: int, depth: int, registers: int = 0) -> Variant:
    positions: Convention = "antialias" if registers else "dinov2"
    return Variant(
        patch_px=14,
        dim=dim,
        depth=depth,
        heads=dim // 64,
        grid_side=37,
        positions=positions,
        registers=registers,
        layer_scale=True,
    )


def _plain(
    patch_px: int, dim: int, positions: Convention, mean: Triple = IMAGENET_MEAN, std: Triple = IMAGENET_STD
) -> Variant:
    return Variant(
        patch_px=patch_px,
        dim=dim,
        depth=12,
        heads=dim // 64,
        grid_side=224 // patch_px,
        positions=positions,
        mean=mean,
        std=std,
    )


VARIANTS: Mapping[str, Variant] = {
    "dinov2_vits14": _dinov2(384, 12),
    "dinov2_vitb14": _dinov2(768, 12),
    "dinov2_vitl14": _dinov2(1024, 24),
    "dinov2_vits14_reg": _dinov2(384, 12, registers=4),
    "dinov2_vitb14_reg": _dinov2(768, 12, registers=4),
    "dinov2_vitl14_reg": _dinov2(1024, 24, registers=4),
    "dino_vits16": _plain(16, 384, "dinov2"),
    "dino_vits8": _plain(8, 384, "dinov2"),
    "dino_vitb16": _plain(16, 768, "dinov2"),
    "dino_vitb8": _plain(8, 768, "dinov2"),
    "deit_tiny_patch16_224": _plain(16, 192, "antialias"),
    "deit_small_patch16_224": _plain(16, 384, "antialias"),
    "deit_base_patch16_224": _plain(16, 768, "antialias"),
    "vit_small_patch16_224": _plain(16, 384, "antialias", HALF, HALF),
    "vit_base_patch16_224": _plain(16, 768, "antialias", HALF, HALF),
}
"""By the names of their releases; the last five by timm's."""


def layers(name: str) -> tuple[Layer, ...]:
    """What the variant `name` offers: all blocks, then all blocks behind the last norm."""
    return layers_of(look_up(VARIANTS, name, noun="vision transformer"))


def draw(
    name: str, weights: Weights, *, positions: Convention | None = None, image_hw: HW | None = None
) -> onnx.ModelProto:
    """The graph of the variant `name`, of `weights` as the release, timm or transformers (DINOv2) name them.

    `positions`: how the table of positions is resampled, where the weights were used otherwise than published.
    `image_hw`: for images of this size (H, W) only, for a runtime that wants all sizes fixed.
    Raises `BackboneError` naming the first tensor that is missing or does not fit.
    """
    variant = look_up(VARIANTS, name, noun="vision transformer")
    fitting = fitting_weights(name, weights, VARIANTS)
    return draw_sizes(variant, fitting, positions=positions, image_hw=image_hw)


def layers_of(sizes: Sizes) -> tuple[Layer, ...]:
    """What a transformer of these sizes offers."""
    names = [f"blocks.{block}" for block in range(sizes.depth)]
    return tuple(Layer(name + end, sizes.patch_px, sizes.dim) for end in ("", NORMED) for name in names)


def draw_sizes(
    sizes: Sizes, weights: Weights, *, positions: Convention | None = None, image_hw: HW | None = None
) -> onnx.ModelProto:
    """The graph of any transformer, of all the tensors in `sizes.shapes()`."""
    graph = GraphBuilder("vit")
    drawing = _Drawing(graph, weights, sizes)
    tokens, grid = drawing.embed(positions or sizes.positions, image_hw)
    outputs: dict[str, tuple[type[np.generic], Shape]] = {}
    for block in range(sizes.depth):
        tokens = drawing.block(tokens, f"blocks.{block}")
        drawing.offer(tokens, f"blocks.{block}", grid)
    h, w = [side // sizes.patch_px for side in image_hw] if image_hw else ("h", "w")
    for layer in layers_of(sizes):
        outputs[layer.name] = (np.float32, ("N", sizes.dim, h, w))
    for block in range(sizes.depth):
        outputs[f"blocks.{block}{CLASS}"] = (np.float32, ("N", sizes.dim))
        outputs[f"blocks.{block}{CLASS_ATTENTION}"] = (np.float32, ("N", sizes.heads, "P"))
    return graph.model({PIXELS: (np.float32, ("N", 3, *(image_hw or ("H", "W"))))}, outputs)


@dataclass(frozen=True, slots=True)
class _Drawing:
    graph: GraphBuilder
    weights: Weights
    sizes: Sizes

    def embed(self, positions: Convention, image_hw: HW | None) -> tuple[str, str]:
        """Pixels -> the tokens (N, T, D) of class, registers and patches; and the (2,) int64 h, w."""
        node, numbers, d = self.graph.node, self.numbers, self.sizes.dim
        kernel, bias = self.read("patch_embed.proj.weight"), self.read("patch_embed.proj.bias")
        x = self.graph.conv(PIXELS, kernel, bias, stride=self.sizes.patch_px)  # (N, D, h, w)
        shape = node("Shape", x)
        grid = node("Slice", shape, numbers(2), numbers(4))
        x = node("Transpose", node("Reshape", x, numbers(0, d, -1)), perm=[0, 2, 1])  # (N, P, D)
        x = node("Add", x, self.positions(grid, positions, image_hw))
        table = self.read("pos_embed")[:, :1]
        first = [
            self.read("cls_token") + table,
            *([self.read("register_tokens")] if self.sizes.registers else []),
        ]
        tokens = self.constant(np.concatenate(first, axis=1))  # (1, 1 + R, D); registers have no position
        count = node("Slice", shape, numbers(0), numbers(1))
        tokens = node("Expand", tokens, node("Concat", count, numbers(1, 1), axis=0))
        return node("Concat", tokens, x, axis=1), grid

    def positions(self, grid: str, convention: Convention, image_hw: HW | None) -> str:
        """(1, P, D) of the patches."""
        table = self.read("pos_embed")[0, 1:].astype(np.float32)
        side, d = self.sizes.grid_side, self.sizes.dim
        square: F32 = table.reshape(side, side, d)
        if image_hw is not None:
            height, width = (length // self.sizes.patch_px for length in image_hw)
            return self.constant(resample(square, (height, width), convention).reshape(1, -1, d))
        h, w = self.graph.several("Split", grid, count=2, axis=0)
        return draw_resampled(self.graph, square, h, w, convention)

    def block(self, x: str, name: str) -> str:
        """(N, T, D) -> (N, T, D): attention, then an MLP, each behind a norm and added to what came."""
        x = self.graph.node("Add", x, self.attention(self.norm(x, f"{name}.norm1"), name))
        return self.graph.node("Add", x, self.mlp(self.norm(x, f"{name}.norm2"), name))

    def attention(self, x: str, name: str) -> str:
        """Each token takes in what is like it. Queries come divided by the root of a head's width."""
        node, heads = self.graph.node, self.sizes.heads
        weight, bias = (self.read(f"{name}.attn.qkv.{part}") for part in ("weight", "bias"))
        scale = np.ones(3 * self.sizes.dim)
        scale[: self.sizes.dim] = (self.sizes.dim // heads) ** -0.5
        x = self.product(x, weight * scale[:, None], bias * scale)  # (N, T, 3 D)
        x = node("Reshape", x, self.numbers(0, 0, 3 * heads, self.sizes.dim // heads))
        x = node("Transpose", x, perm=[0, 2, 1, 3])  # (N, 3 heads, T, D / heads)
        query, key, value = self.graph.several("Split", x, count=3, axis=1)
        key = node("Transpose", key, perm=[0, 1, 3, 2])
        self.offer_attention(query, key, name)
        x = node("MatMul", node("Softmax", node("MatMul", query, key), axis=-1), value)
        x = node("Transpose", x, perm=[0, 2, 1, 3])
        x = node("Reshape", x, self.numbers(0, 0, self.sizes.dim))
        return self.scaled(x, f"{name}.attn.proj", f"{name}.ls1.gamma")

    def mlp(self, x: str, name: str) -> str:
        """Widen, GELU by its error function (as an operator it is younger than the opset), narrow."""
        node = self.graph.node
        x = self.product(x, *(self.read(f"{name}.mlp.fc1.{part}") for part in ("weight", "bias")))
        half, one, root = (self.constant(np.array(value)) for value in (0.5, 1, np.sqrt(2)))
        error = node("Add", node("Erf", node("Div", x, root)), one)
        x = node("Mul", node("Mul", x, error), half)
        return self.scaled(x, f"{name}.mlp.fc2", f"{name}.ls2.gamma")

    def scaled(self, x: str, name: str, gamma: str) -> str:
        """A product whose outcome LayerScale multiplies: that is put into its weights."""
        weight, bias = (self.read(f"{name}.{part}") for part in ("weight", "bias"))
        if self.sizes.layer_scale:
            scale = self.read(gamma)
            weight, bias = weight * scale[:, None], bias * scale
        return self.product(x, weight, bias)

    def offer(self, tokens: str, name: str, grid: str) -> None:
        """A block's outputs but for its attention."""
        node, first = self.graph.node, 1 + self.sizes.registers
        shape = node("Concat", self.numbers(0, self.sizes.dim), grid, axis=0)
        patches = node("Slice", tokens, self.numbers(first), self.numbers(_END), self.numbers(1))
        for end, x in (("", patches), (NORMED, self.norm(patches, "norm"))):
            node("Reshape", node("Transpose", x, perm=[0, 2, 1]), shape, name=name + end)
        node("Gather", tokens, self.constant_index(0), axis=1, name=name + CLASS)

    def offer_attention(self, query: str, key: str, name: str) -> None:
        """The class token's part in `attention`, computed apart, so that the runtimes can fuse the whole."""
        node, numbers = self.graph.node, self.numbers
        query = node("Slice", query, numbers(0), numbers(1), numbers(2))  # (N, heads, 1, D / heads)
        parts = node("Softmax", node("MatMul", query, key), axis=-1)  # (N, heads, 1, T)
        patches = node("Slice", parts, numbers(1 + self.sizes.registers), numbers(_END), numbers(3))
        node("Squeeze", patches, numbers(2), name=name + CLASS_ATTENTION)

    def norm(self, x: str, name: str) -> str:
        weight, bias = (self.constant(self.read(f"{name}.{part}")) for part in ("weight", "bias"))
        return self.graph.node("LayerNormalization", x, weight, bias, axis=-1, epsilon=NORM_EPSILON)

    def product(self, x: str, weight: NDArray[Any], bias: NDArray[Any]) -> str:
        """`weight`: (out, in)"""
        return self.graph.node(
            "Add", self.graph.node("MatMul", x, self.constant(weight.T)), self.constant(bias)
        )

    def read(self, name: str) -> F64:
        return self.weights[name].astype(np.float64)

    def constant(self, values: NDArray[Any]) -> str:
        return self.graph.constant(values.astype(np.float32))

    def constant_index(self, index: int) -> str:
        return self.graph.constant(np.array(index))

    def numbers(self, *values: int) -> str:
        return self.graph.constant(np.array(values))


_END = np.iinfo(np.int64).max
"""To the last, in ONNX's Slice."""
