"""The learned table of positions of a vision transformer, brought to the grid of another image size.

The table is (G, G, D) for the size that the network was trained at. All conventions are bicubic (Keys, "Cubic
convolution interpolation for digital image processing", IEEE TASSP 1981) with half-pixel centres, one axis after the
other. They differ in three numbers, and are not interchangeable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from kizu.backbones.builder import GraphBuilder
from kizu.core.types import F32, F64, HW

Convention = Literal["dinov2", "antialias", "size"]
"""Whose code the weights were used with: `dinov2` (of DINO and of DINOv2 without registers, as published), `antialias`
(DINOv2 with registers, timm) or `size` (transformers)."""


@dataclass(frozen=True, slots=True)
class Cubic:
    """How a table is resampled."""

    a: float
    """Keys' free number: the slope of the kernel at distance 1."""
    antialias: bool
    """Widen the kernel when the grid shrinks, and renormalise it at the border; otherwise the border is repeated."""
    offset: float
    """Added to the wanted side before the ratio is taken; not for the table's own grid."""


CONVENTIONS: Mapping[Convention, Cubic] = {
    "dinov2": Cubic(a=-0.75, antialias=False, offset=0.1),
    "antialias": Cubic(a=-0.5, antialias=True, offset=0.0),
    "size": Cubic(a=-0.75, antialias=False, offset=0.0),
}

_REACH = 2
"""Cells from its centre at which the kernel ends."""
_FLOAT = 1
"""`onnx.TensorProto.FLOAT`, without importing onnx."""


def resample(table: F32, grid_hw: HW, convention: Convention) -> F32:
    """(G, G, D) -> (h, w, D); the table itself for its own grid."""
    cubic, side = CONVENTIONS[convention], len(table)
    offset = 0.0 if grid_hw == (side, side) else cubic.offset
    rows, columns = (_weights(side, length, cubic, offset) for length in grid_hw)  # (h, G'), (w, G')
    found: F64 = np.einsum("hi,wj,ijd->hwd", rows, columns, _bordered(table, cubic), optimize=True)
    return found.astype(np.float32)  # (h, w, D)


def draw_resampled(graph: GraphBuilder, table: F32, h: str, w: str, convention: Convention) -> str:
    """`resample` as nodes for a grid that is known only when the graph runs: (1, h * w, D).

    `h`, `w`: (1,) int64. For ViT-S/14 at 224 px these are 24 million products of the network's 11 billion.
    """
    cubic, side, dim = CONVENTIONS[convention], len(table), table.shape[2]
    bordered = _bordered(table, cubic).astype(np.float32)  # (G', G', D)
    flat = graph.constant(bordered.reshape(len(bordered), -1))
    offset = _draw_offset(graph, h, w, side, cubic)
    rows, columns = (_draw_weights(graph, length, side, cubic, offset) for length in (h, w))
    shape = np.array([-1, len(bordered), dim])
    x = graph.node("Reshape", graph.node("MatMul", rows, flat), graph.constant(shape))  # (h, G', D)
    x = graph.node("MatMul", columns, x)  # (h, w, D)
    return graph.node("Reshape", x, graph.constant(np.array([1, -1, dim])))


def _bordered(table: F32, cubic: Cubic) -> F32:
    """(G, G, D) -> (G', G', D): with its border repeated as far as the kernel reaches beyond it."""
    if cubic.antialias:
        return table
    return np.pad(table, ((_REACH, _REACH), (_REACH, _REACH), (0, 0)), mode="edge")


def _cells(side: int, cubic: Cubic) -> F32:
    """(G',) where the cells of `_bordered` lie, in cells of the table."""
    border = 0 if cubic.antialias else _REACH
    return np.arange(-border, side + border, dtype=np.float32)


def _weights(side: int, length: int, cubic: Cubic, offset: float) -> F64:
    """(length, G') the part that each cell has in each place along one axis."""
    ratio = side / (length + offset)
    centres = (np.arange(length) + 0.5) * ratio - 0.5
    distance = np.abs(_cells(side, cubic) - centres[:, None])  # (length, G')
    if not cubic.antialias:
        return _kernel(distance, cubic.a)
    weights = _kernel(distance / max(ratio, 1.0), cubic.a)
    weights /= weights.sum(axis=1, keepdims=True)
    return weights


def _kernel(distance: F64, a: float) -> F64:
    """Keys' eq. 4: two cubics that meet in 0 at distance 1; the second ends in 0 at 2."""
    near, far = np.minimum(distance, 1), np.clip(distance, 1, _REACH)
    values: F64 = ((a + 2) * near - (a + 3)) * near**2 + 1 + a * (((far - 5) * far + 8) * far - 4)
    return values


def _draw_offset(graph: GraphBuilder, h: str, w: str, side: int, cubic: Cubic) -> str | None:
    """(1,) `cubic.offset`, or 0 for the table's own grid; None where it is 0 for all."""
    if not cubic.offset:
        return None
    own = graph.constant(np.array([side]))
    other = graph.node("Not", graph.node("And", graph.node("Equal", h, own), graph.node("Equal", w, own)))
    offset = graph.constant(np.array(cubic.offset, np.float32))
    return graph.node("Mul", graph.node("Cast", other, to=_FLOAT), offset)


def _draw_weights(graph: GraphBuilder, length: str, side: int, cubic: Cubic, offset: str | None) -> str:
    """`_weights` as nodes: (length, G')."""
    number = _Numbers(graph)
    whole = graph.node("Cast", length, to=_FLOAT)  # (1,)
    wanted = whole if offset is None else graph.node("Add", whole, offset)
    ratio = graph.node("Div", number(side), wanted)
    zero, one = (graph.constant(np.array(value)) for value in (0, 1))
    places = graph.node("Range", zero, graph.node("Squeeze", length), one)
    places = graph.node("Unsqueeze", graph.node("Cast", places, to=_FLOAT), graph.constant(np.array([1])))
    centres = graph.node("Mul", graph.node("Add", places, number(0.5)), ratio)
    centres = graph.node("Sub", centres, number(0.5))  # (length, 1)
    distance = graph.node("Abs", graph.node("Sub", graph.constant(_cells(side, cubic)), centres))
    if not cubic.antialias:
        return _draw_kernel(number, distance, cubic.a)
    distance = graph.node("Div", distance, graph.node("Max", ratio, number(1)))
    weights = _draw_kernel(number, distance, cubic.a)
    total = graph.node("ReduceSum", weights, graph.constant(np.array([1])), keepdims=1)
    return graph.node("Div", weights, total)


def _draw_kernel(number: _Numbers, distance: str, a: float) -> str:
    """`_kernel` as nodes."""
    node = number.graph.node
    near = node("Min", distance, number(1))
    far = node("Clip", distance, number(1), number(_REACH))
    inner = node("Sub", node("Mul", near, number(a + 2)), number(a + 3))
    inner = node("Add", node("Mul", inner, node("Mul", near, near)), number(1))
    outer = node("Add", node("Mul", node("Sub", far, number(5)), far), number(8))
    outer = node("Mul", node("Sub", node("Mul", outer, far), number(4)), number(a))
    return node("Add", inner, outer)


@dataclass(frozen=True, slots=True)
class _Numbers:
    """Single numbers in a graph."""

    graph: GraphBuilder

    def __call__(self, value: float) -> str:
        return self.graph.constant(np.array(value, np.float32))
