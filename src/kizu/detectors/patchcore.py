"""PatchCore (Roth et al., "Towards Total Recall in Industrial Anomaly Detection", CVPR 2022).

A memory bank of good patches, thinned by greedy k-centre; a patch's score is its L2 distance to the nearest one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from kizu.backbones.builder import GraphBuilder
from kizu.backbones.products import exact_integer_product
from kizu.core.types import F32, HW, I64, Scores
from kizu.core.work import Work
from kizu.detectors.bank import (
    BankConfig,
    bank_memory,
    extend,
    gather,
    nearest_of_others,
    pick,
)
from kizu.detectors.base import (
    Arrays,
    Candidate,
    Drawn,
    Embeddings,
    Method,
    check_features,
    patch_scores,
    smooth_maps,
)
from kizu.detectors.coverage import Coverage, restore_coverage, told
from kizu.detectors.drawing import (
    Nearest,
    constant_of,
    distance_to,
    draw_scores,
    draw_smoothed_map,
    numbers,
    reshape,
)
from kizu.detectors.drawing import (
    nearest as draw_nearest,
)
from kizu.detectors.space import Metric, Space, in_space, restore_space
from kizu.scoring.maps import ImageScoreRule
from kizu.scoring.neighbours import Bank, build_bank, nearest


class PatchcoreConfig(BankConfig):
    """Defaults by evidence (docs/choices.md); where they are not the paper's, they say so."""

    kind: Literal["patchcore"] = "patchcore"
    patch_size: Annotated[int, Field(ge=1, le=9)] = 3
    coreset: Annotated[float, Field(gt=0, le=1)] = 0.01
    """Part of the good patches that is kept. The paper finds 1 % nearly as good as 10 %, and it scores faster."""
    distance: Metric = "l2"
    """`cosine`: how patches differ in kind, not in strength."""
    neighbours: Annotated[int, Field(ge=1)] = 9
    """Bank patches around the nearest one that weigh the image score (the paper's b)."""
    top_fraction: Annotated[float, Field(gt=0, le=1)] = 0.01
    image_score: Literal["reweighted_max"] | ImageScoreRule = "top_patches"
    """The paper takes `reweighted_max` (equation 7), which one unlucky patch decides."""

    @property
    def leaves_out(self) -> bool:
        """Weighed by the bank around it, a score could rise as the bank grows."""
        return self.image_score != "reweighted_max"

    @model_validator(mode="after")
    def _weights_are_of_l2(self) -> PatchcoreConfig:
        if self.image_score == "reweighted_max" and self.distance != "l2":
            raise ValueError(
                "reweighted_max is made of L2 distances: take distance l2, or another image_score"
            )
        return self


@dataclass(frozen=True, slots=True)
class FittedPatchcore:
    """The thinned memory bank."""

    config: PatchcoreConfig
    bank: Bank
    space: Space
    coverage: Coverage | None = None
    """None: it is not known, and the bank cannot be extended."""
    groups: I64 | None = None
    """(M,) whose patches the bank's vectors are, where they were picked group by group."""

    def leave_out(self, embedding: F32, input_hw: HW, groups: I64) -> Scores:
        """As `LeavesOut` has it: the bank without a group's vectors is what a fit without it would have kept, but for
        the number that all groups share (`pick`)."""
        assert self.groups is not None
        assert self.config.image_score != "reweighted_max"
        n, h, w, _ = embedding.shape
        own = np.repeat(groups, h * w)
        found = nearest_of_others(self.space.points(embedding), own, self.bank, self.groups, 1)
        patches = self.space.distances(found[:, 0]).reshape(n, h, w)
        return patch_scores(patches, input_hw, self.config, self.config.image_score)

    def score(self, embedding: F32, input_hw: HW) -> Scores:
        """(N, h, w, D) of images (N, H, W, 3) -> scores and maps (N, H, W), in L2 distance or 1 - cos."""
        n, h, w, _ = embedding.shape
        queries = self.space.points(embedding)
        distances, indices = nearest(queries, self.bank, 1)
        patches = self.space.distances(distances).reshape(n, h, w)
        if self.config.image_score != "reweighted_max":
            return patch_scores(patches, input_hw, self.config, self.config.image_score)
        maps = smooth_maps(patches, input_hw, self.config.smoothing)
        flat = patches.reshape(n, h * w)
        highest = np.arange(n) * (h * w) + flat.argmax(axis=1)
        return Scores(self._reweight(queries[highest], indices[highest, 0], distances[highest, 0]), maps)

    def _reweight(self, queries: F32, nearest_index: I64, distance: F32) -> F32:
        """Equation 7: the farther the bank patch is from its own neighbours, the more its distance counts.

        `queries`: (N, D), each image's most anomalous patch. `nearest_index`, `distance`: (N,). -> (N,)
        """
        vectors = self.bank.vectors
        k = min(self.config.neighbours, len(vectors))
        if k == 1:
            return distance
        _, around = nearest(vectors[nearest_index], self.bank, k)  # (N, K)
        to_around = np.linalg.norm(queries[:, None] - vectors[around], axis=2)  # (N, K)
        # exp(d) overflows for raw distances; the same quotient with the largest exponent taken out does not.
        top = np.maximum(to_around.max(axis=1), distance)
        share = np.exp(distance - top) / np.exp(to_around - top[:, None]).sum(axis=1)
        weighted: F32 = ((1 - share) * distance).astype(np.float32)
        return weighted

    def draw(self, graph: GraphBuilder, embedding: str, grid_hw: HW, input_hw: HW) -> Drawn:
        """As `score`."""
        h, w = grid_hw
        vectors = self.bank.vectors
        dim = vectors.shape[1] - (self.space.metric == "cosine")
        queries = self.space.draw_points(graph, reshape(graph, embedding, -1, dim))  # (N * P, D')
        found = draw_nearest(graph, queries, vectors, 1)
        patches = reshape(graph, self.space.draw_distances(graph, found.distances), -1, h, w)
        rule = self.config.image_score
        if rule != "reweighted_max":
            return draw_scores(graph, patches, grid_hw, input_hw, self.config, rule)
        drawn_map = draw_smoothed_map(graph, patches, grid_hw, input_hw, self.config.smoothing)
        return Drawn(self._draw_reweighted(graph, queries, found, h * w), drawn_map)

    def _draw_reweighted(self, graph: GraphBuilder, queries: str, found: Nearest, count: int) -> str:
        """Equation 7, with the bank's own neighbours as a table."""
        vectors = self.bank.vectors
        k = min(self.config.neighbours, len(vectors))
        flat = reshape(graph, found.distances, -1, count)  # (N, P)
        highest = graph.node("ArgMax", flat, axis=1, keepdims=1)  # (N, 1)
        distance = graph.node("GatherElements", flat, highest, axis=1)  # (N, 1)
        if k == 1:
            return graph.node("Squeeze", distance, graph.constant(np.array([1])))
        _, around = nearest(vectors, self.bank, k)  # (M, K)
        index = graph.node("GatherElements", reshape(graph, found.indices, -1, count), highest, axis=1)
        one = graph.constant(np.array([1]))
        table = graph.node(
            "Gather", graph.constant(around), graph.node("Squeeze", index, one), axis=0
        )  # (N, K)
        neighbours = graph.node("Gather", constant_of(graph, vectors), table, axis=0)  # (N, K, D)
        images = reshape(graph, queries, -1, count, vectors.shape[1])  # (N, P, D)
        query = graph.node("GatherND", images, highest, batch_dims=1)  # (N, D)
        to_around = distance_to(graph, graph.node("Unsqueeze", query, one), neighbours)  # (N, K)
        top = graph.node("Max", graph.node("ReduceMax", to_around, axes=[1], keepdims=1), distance)
        part = graph.node("Exp", graph.node("Sub", distance, top))
        whole = graph.node("ReduceSum", graph.node("Exp", graph.node("Sub", to_around, top)), one, keepdims=1)
        weight = graph.node("Sub", numbers(graph, 1.0), graph.node("Div", part, whole))
        return graph.node("Squeeze", graph.node("Mul", weight, distance), one)

    def state(self) -> Arrays:
        """The bank, (M, D), and how closely it covers how many patches, where that is known."""
        return {"bank": self.bank.vectors, **self.space.arrays(), **told(self.coverage, self.groups)}

    def update(self, embeddings: Embeddings, *, work: Work = Work()) -> FittedPatchcore:
        """With what more good images add to the bank; `extend` (detectors/bank.py) says what is promised. What whitens
        stays as it was. Raises `ConfigError` where images were learned in several positions."""
        self.config.ensure_as_they_are()
        with gather(check_features(embeddings, work), embeddings.count, work) as (features, _):
            points = self.space.points(features)
            bank, coverage, groups = extend(self.bank, self.coverage, self.config, points, self.groups)
        return FittedPatchcore(self.config, bank, self.space, coverage, groups)


@dataclass(frozen=True, slots=True)
class Patchcore:
    """PatchCore, set up and not yet fitted."""

    config: PatchcoreConfig

    def channels(self, dim: int, rng: np.random.Generator) -> I64 | None:
        """All of them."""
        return None

    def fit(
        self, embeddings: Embeddings, *, rng: np.random.Generator, work: Work = Work()
    ) -> FittedPatchcore:
        """Gather all good patches (in a file where memory would not do), keep a coreset of them."""
        stream = check_features(embeddings, work)
        with (
            gather(stream, embeddings.count, work, embeddings.kept) as (features, _),
            in_space(features, self.config.distance, self.config.whiten, work) as (points, space),
        ):
            picked = pick(points, embeddings.groups, self.config, rng, work)
            bank = build_bank(points[picked.rows], exact_integer_product())
        return FittedPatchcore(self.config, bank, space, picked.coverage, picked.groups)

    def memory_bytes(self, count: int, patches: int, dim: int, budget: int) -> int:
        """All features unless they go to disk, what the coreset search keeps of each row, and the bank twice."""
        rows = count * patches * len(self.config.positions(count, (1, 1)))
        return bank_memory(self.config, rows, dim + (self.config.distance == "cosine"), budget)

    def restore(self, arrays: Arrays) -> FittedPatchcore:
        """From `state()`."""
        bank = build_bank(arrays["bank"], exact_integer_product())
        space = restore_space(self.config.distance, arrays)
        return FittedPatchcore(self.config, bank, space, restore_coverage(arrays), arrays.get("bank_groups"))


METHOD = Method(
    PatchcoreConfig,
    Patchcore,
    designs=({}, {"detector": {"image_score": "max_patch"}}, {"detector": {"top_fraction": 0.03}}),
    candidates=(
        Candidate("patchcore 1 %", 1),
        Candidate("patchcore 10 %", 3, {"coreset": 0.1}),
        Candidate("patchcore 1 %, 192 px", 7, placement={"pixels": 192 * 192}),
        Candidate("patchcore 1 %, 384 px", 9, placement={"pixels": 384 * 384}),
        Candidate(
            "patchcore 1 %, three layers",
            10,
            embedding={"backbone": "efficientnet_lite0", "layers": ("blocks.1", "blocks.2", "blocks.4")},
        ),
        Candidate("patchcore 1 %, Lite2", 11, embedding={"backbone": "efficientnet_lite2"}),
    ),
)
