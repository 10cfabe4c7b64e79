"""What several methods draw into an exported graph: the same numbers as in `scoring`, as ONNX nodes.

Values are names in a `GraphBuilder`; shapes are those of the functions of the same meaning in `scoring`.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kizu.backbones.builder import GraphBuilder
from kizu.core.types import F32, HW
from kizu.detectors.base import DetectorConfig, Drawn
from kizu.scoring.maps import ImageScoreRule, map_maker
from kizu.scoring.neighbours import nearest as search

BLOCK = 64
"""Columns that are looked through together for the highest."""
DOUBLE = 11
"""`onnx.TensorProto.DOUBLE`, without importing onnx."""
SAMPLE, SOME = 512, 0.05
"""Vectors that stand for a bank, and the part of them that must lie near another for the bank to be tight."""
CONFUSED = 5e-4
TIGHT = (2.0**-22 / (2 * CONFUSED)) ** 0.5
"""0.015"""


def numbers(graph: GraphBuilder, *values: float) -> str:
    """A constant vector of float32; one value: a scalar."""
    return graph.constant(np.array(values[0] if len(values) == 1 else values, np.float32))


def reshape(graph: GraphBuilder, x: str, *sides: int) -> str:
    """`x` in another shape; -1: what is left, 0: as it was."""
    return graph.node("Reshape", x, graph.constant(np.array(sides, np.int64)))


def sum_squares(graph: GraphBuilder, x: str, axis: int) -> str:
    """Sum of squares along one axis, which goes."""
    return graph.node("ReduceSum", graph.node("Mul", x, x), _axes(graph, axis), keepdims=0)


def distance_to(graph: GraphBuilder, x: str, y: str) -> str:
    """L2 distance along the last axis."""
    return graph.node("Sqrt", sum_squares(graph, graph.node("Sub", x, y), -1))


class Nearest(NamedTuple):
    """What a search finds."""

    distances: str
    """(Q, K), nearest first"""
    indices: str
    """(Q, K)"""


def nearest(graph: GraphBuilder, queries: str, bank: F32, k: int) -> Nearest:
    """The `k` rows of `bank` (M, D) nearest to each of `queries` (Q, D), in L2.

    Found by |b|^2 / 2 - q.b, both centred; the distance is then taken from the difference itself, so that what a
    product rounds away costs no digit of it. The product is float32's, but of a tight bank float64's (`is_tight`),
    which takes twice the time; OpenVINO makes it float32 again, without a word.
    """
    tight = is_tight(bank)
    kind = np.float64 if tight else np.float32
    centre = bank.mean(axis=0)
    centred = bank.astype(kind) - centre
    half_norms = np.einsum("md,md->m", centred, centred, dtype=np.float64) / 2
    moved = graph.node(
        "Sub",
        graph.node("Cast", queries, to=DOUBLE) if tight else queries,
        graph.constant(centre.astype(kind)),
    )
    padding = -len(bank) % BLOCK if k == 1 else 0  # columns that are never the closest
    turned = np.pad(centred.T, ((0, 0), (0, padding)))
    heights = np.pad(-half_norms, (0, padding), constant_values=np.finfo(np.float32).min).astype(kind)
    closeness = graph.node(
        "Gemm", moved, graph.constant(turned), graph.constant(heights)
    )  # (Q, M), in one pass
    # Centred ones lose less as float16; of near ones no digit is to be lost.
    vectors, seen = (graph.constant(bank), queries) if tight else (graph.constant(centred), moved)
    if k == 1:
        index = _highest(graph, closeness, len(heights))  # (Q,)
        found = graph.node("Gather", vectors, index, axis=0)  # (Q, D)
        distances = distance_to(graph, seen, found)
        last = _axes(graph, 1)
        return Nearest(graph.node("Unsqueeze", distances, last), graph.node("Unsqueeze", index, last))
    _, indices = graph.several("TopK", closeness, _count(graph, k), count=2, axis=1, sorted=1)
    found = graph.node("Gather", vectors, indices, axis=0)  # (Q, K, D)
    return Nearest(distance_to(graph, graph.node("Unsqueeze", seen, _axes(graph, 1)), found), indices)


def is_tight(bank: F32) -> bool:
    """Whether products of float32 would confuse vectors of `bank` (M, D) and change the distances that are said.

    They are off by about 2^-22 of the largest squared norm. Of two vectors that they confuse the one is farther by that
    over twice the distance, which is `CONFUSED` of it or less where vectors lie `TIGHT` of the norm apart. Some that do
    not, as in every large bank, leave the scores of images as they are. Equal ones may be confused.
    """
    if len(bank) < 2:
        return False
    wide = bank.astype(np.float64)
    longest = float(np.linalg.norm(wide - wide.mean(axis=0), axis=1).max())
    sample = bank[:: max(1, len(bank) // SAMPLE)]
    apart = search(sample, bank, 2)[0][:, 1]
    near = np.count_nonzero((apart > 0) & (apart < TIGHT * longest))
    return bool(near > SOME * len(sample))


def _highest(graph: GraphBuilder, x: str, columns: int) -> str:
    """(Q, M) -> the first column of the highest value of each row (Q,); M a multiple of `BLOCK`.

    The highest of each block first, then the place within the best block: an ArgMax over all columns takes 1 ms more
    for 1,024 x 2,949 in ONNX Runtime, where a maximum is vectorised and its place is not.
    """
    blocks = reshape(graph, x, -1, columns // BLOCK, BLOCK)  # (Q, M / BLOCK, BLOCK)
    best = graph.node("ReduceMax", blocks, axes=[2], keepdims=0)
    block = graph.node("ArgMax", best, axis=1, keepdims=1)  # (Q, 1)
    place = graph.node("ArgMax", graph.node("GatherND", blocks, block, batch_dims=1), axis=1, keepdims=1)
    start = graph.node("Mul", block, graph.constant(np.array(BLOCK, np.int64)))
    return graph.node("Squeeze", graph.node("Add", start, place), _axes(graph, 1))


def draw_smoothed_map(graph: GraphBuilder, patches: str, grid_hw: HW, input_hw: HW, smoothing: float) -> str:
    """Patch distances (N, h, w) -> (N, H, W), by the matrices that `scoring.maps` uses."""
    maker = map_maker(grid_hw, input_hw, smoothing)
    tall = graph.node("MatMul", graph.constant(maker.rows), patches)  # (N, H, w)
    return graph.node("MatMul", tall, graph.constant(np.ascontiguousarray(maker.columns.T)))


def image_score(
    graph: GraphBuilder,
    patches: str,
    drawn_map: str,
    rule: ImageScoreRule,
    top_fraction: float,
    patch_count: int,
) -> str:
    """As `scoring.maps.image_scores`: -> (N,)."""
    if rule == "max_map":
        return graph.node("ReduceMax", drawn_map, axes=[1, 2], keepdims=0)
    flat = reshape(graph, patches, 0, patch_count)  # (N, P)
    if rule == "max_patch":
        return graph.node("ReduceMax", flat, axes=[1], keepdims=0)
    if rule == "top_patches":
        k = max(1, round(top_fraction * patch_count))
        highest, _ = graph.several("TopK", flat, _count(graph, k), count=2, axis=1, sorted=0)
        return graph.node("ReduceMean", highest, axes=[1], keepdims=0)
    place = (patch_count - 1) * top_fraction  # from above, between two patches
    below = min(math.floor(place), patch_count - 1)
    k = min(below + 2, patch_count)
    highest, _ = graph.several("TopK", flat, _count(graph, k), count=2, axis=1, sorted=1)
    weights = np.zeros(k, np.float32)
    weights[below] = 1 - (place - below)
    if below + 1 < k:
        weights[below + 1] = place - below
    return graph.node("MatMul", highest, graph.constant(weights))


def draw_scores(
    graph: GraphBuilder,
    patches: str,
    grid_hw: HW,
    input_hw: HW,
    config: DetectorConfig,
    rule: ImageScoreRule,
) -> Drawn:
    """As `detectors.base.patch_scores`."""
    drawn_map = draw_smoothed_map(graph, patches, grid_hw, input_hw, config.smoothing)
    count = grid_hw[0] * grid_hw[1]
    return Drawn(image_score(graph, patches, drawn_map, rule, config.top_part(count), count), drawn_map)


def constant_of(graph: GraphBuilder, values: NDArray[np.floating]) -> str:
    """A float32 constant."""
    return graph.constant(np.ascontiguousarray(values, np.float32))


def _axes(graph: GraphBuilder, axis: int) -> str:
    return graph.constant(np.array([axis], np.int64))


def _count(graph: GraphBuilder, k: int) -> str:
    return graph.constant(np.array([k], np.int64))
