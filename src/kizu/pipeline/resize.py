"""The resize in front of an exported graph: pictures of one size in, the same bytes out as `place` gives.

Sums of weight * byte take up to 30 bits and float32 holds 24, so weights are cut in two halves of 11 bits: each half's
sum is exact in float32, in whatever order and on whatever processor, and so is all that follows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kizu.backbones.builder import GraphBuilder
from kizu.backbones.graph import FLOAT, IMAGE
from kizu.backbones.session import GraphSession
from kizu.bundles.exported import MAP, PICTURE_SIZE, SCORE
from kizu.core.errors import ConfigError
from kizu.core.types import F32, HW, I64
from kizu.core.work import Work
from kizu.imaging.kernel import ROUNDING, Kernel, kernel
from kizu.imaging.placement import PlacementConfig, place

if TYPE_CHECKING:
    import onnx

_HALF = 1 << 11
_EXACT = 1 << 24
"""Whole numbers up to here are exact in float32."""
_MAX_AREA = 256
"""Of a box: the division below is Pillow's for smaller ones."""
_SEEN = "seen/"
_BYTE = 2
"""`onnx.TensorProto.UINT8`, without importing onnx."""


def take_pictures(model: onnx.ModelProto, picture_hw: HW, placement: PlacementConfig) -> onnx.ModelProto:
    """The exported `model` for pictures (N, H, W, 3) as they come, of one size.

    Its map stays at the network's input size. Raises `ConfigError` for tiles, which are cut outside, and where the
    resize cannot be drawn to the last bit.
    """
    if placement.tile_overlap is not None:
        raise ConfigError(
            "a tiled model takes its tiles, not whole pictures",
            hint="leave --input-size out and cut them outside",
        )
    how = kernel(picture_hw, placement)
    _ensure_same(how, placement)
    graph = GraphBuilder("picture")
    draw_resize(graph, IMAGE, how, name=_SEEN + IMAGE)
    graph.splice(model, [SCORE, MAP], prefix=_SEEN)
    for name in (SCORE, MAP):
        graph.node("Identity", _SEEN + name, name=name)
    told = {prop.key: prop.value for prop in model.metadata_props}
    return graph.model(
        {IMAGE: (np.uint8, ("N", *picture_hw, 3))},
        {SCORE: (np.float32, ("N",)), MAP: (np.float32, ("N", *placement.image_size))},
        like=model,
        metadata={**told, PICTURE_SIZE: f"{picture_hw[0]}x{picture_hw[1]}"},
    )


def draw_resize(graph: GraphBuilder, images: str, how: Kernel, *, name: str) -> None:
    """`images` (N, H, W, 3) uint8 -> `name` (N, h, w, 3) uint8, as `how` says. Raises `ConfigError`."""
    x = graph.node("Cast", images, to=FLOAT)
    x = graph.node("Transpose", _draw_boxes(graph, x, how), perm=[0, 3, 1, 2])  # (N, 3, H', W')
    turns = ((how.rows, 2), (how.columns, 3)) if how.rows_first else ((how.columns, 3), (how.rows, 2))
    for weights, axis in turns:
        if weights is not None:
            x = _draw_weighted(graph, x, weights, axis)
    for axis, cut in zip((2, 3), how.crop, strict=True):
        if cut != slice(None):
            bounds = (graph.constant(np.array([number], np.int64)) for number in (cut.start, cut.stop, axis))
            x = graph.node("Slice", x, *bounds)
    x = graph.node("Transpose", x, perm=[0, 2, 3, 1])  # (N, h, w, 3)
    graph.node("Cast", x, to=_BYTE, name=name)


def _draw_boxes(graph: GraphBuilder, x: str, how: Kernel) -> str:
    """(N, H, W, 3) -> (N, H', W', 3): the mean of each box, rounded as Pillow does."""
    if how.factors == (1, 1):
        return x
    area = how.area
    if area.max() >= _MAX_AREA:
        raise ConfigError(
            f"pictures of {how.picture_hw} shrink too far to be resized inside the file",
            hint="resize them before",
        )
    (height, width), (down, across) = how.picture_hw, how.factors
    missing = -height % down, -width % across
    if any(missing):
        x = graph.node("Pad", x, graph.constant(np.array([0, 0, 0, 0, 0, *missing, 0], np.int64)))
    sides = (0, area.shape[0], down, area.shape[1], across, 3)
    x = graph.node("Reshape", x, graph.constant(np.array(sides, np.int64)))
    x = graph.node("ReduceSum", x, graph.constant(np.array([2, 4], np.int64)), keepdims=0)
    # Half of one more or less makes the rounded quotient safe; Pillow's is one too small of whole multiples,
    # unless the area is a power of two.
    offset = area // 2 + np.where(area & (area - 1), -0.5, 0.5)
    moved = graph.node("Add", x, graph.constant(_as_small(offset)))
    return graph.node("Floor", graph.node("Div", moved, graph.constant(_as_small(area))))


def _draw_weighted(graph: GraphBuilder, x: str, weights: I64, axis: int) -> str:
    """(N, 3, H', W') -> the same with one side, `axis`, resized."""
    high, low = np.divmod(weights, _HALF)
    for part, rest in ((high, 0), (low, ROUNDING)):
        if np.abs(part).sum(axis=1).max() * 255 + rest >= _EXACT:
            raise ConfigError("so wide a kernel is not exact in float32", hint="resize pictures before")
    both = np.concatenate([high, low]).astype(np.float32)  # (2 h, H')
    factors = (x, graph.constant(both.T)) if axis == 3 else (graph.constant(both), x)
    sums = graph.node("MatMul", *factors)
    of_high, of_low = graph.several("Split", sums, count=2, axis=axis)
    half, rounding = (graph.constant(np.array(number, np.float32)) for number in (_HALF, ROUNDING))
    carried = graph.node("Floor", graph.node("Div", graph.node("Add", of_low, rounding), half))
    whole = graph.node("Floor", graph.node("Div", graph.node("Add", of_high, carried), half))
    limits = (graph.constant(np.array(number, np.float32)) for number in (0, 255))
    return graph.node("Clip", whole, *limits)


def _as_small(values: I64 | F32) -> F32:
    """(H', W') -> (H', W', 1), or one number where all are the same."""
    small = values.astype(np.float32)
    return small.reshape(-1)[0] if (small == small.flat[0]).all() else small[..., None]


def _ensure_same(how: Kernel, placement: PlacementConfig) -> None:
    """Raises `ConfigError` where the drawn resize gives another picture of noise than `place`."""
    graph = GraphBuilder("resize")
    draw_resize(graph, IMAGE, how, name="seen")
    model = graph.model(
        {IMAGE: (np.uint8, ("N", *how.picture_hw, 3))}, {"seen": (np.uint8, ("N", *placement.seen_hw, 3))}
    )
    noise = np.random.default_rng(1).integers(0, 256, (1, *how.picture_hw, 3), np.uint8)
    found = GraphSession(model, Work()).run({IMAGE: noise})["seen"][0]
    if not np.array_equal(found, place(noise[0], placement)):
        raise ConfigError(
            f"the resize of {how.picture_hw} inside the file is not kizu's own", hint="leave --input-size out"
        )
