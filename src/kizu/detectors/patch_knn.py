"""Nearest good patches, cosine or L2: AnomalyDINO (Damm, Laszkiewicz, Lederer & Fischer, "AnomalyDINO: Boosting
Patch-based Few-shot Anomaly Detection with DINOv2", WACV 2025), with `neighbours` above 1 as in SPADE (Cohen & Hoshen,
"Sub-Image Anomaly Detection with Deep Pyramid Correspondences", 2020).

A patch's score is its mean distance from its nearest good patches: 1 - cos, or L2 (the root). For few good pictures,
which may be learned in four positions; all their patches are kept unless `coreset` says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from kizu.backbones.builder import GraphBuilder
from kizu.backbones.graph import FLOAT
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
    Position,
    check_features,
    ensure_room,
    patch_scores,
    turned,
    with_mirrored,
)
from kizu.detectors.coverage import Coverage, restore_coverage, told
from kizu.detectors.drawing import constant_of, draw_scores, numbers, reshape
from kizu.detectors.drawing import nearest as draw_nearest
from kizu.detectors.space import Metric, Space, in_space, restore_space
from kizu.scoring.foreground import Foreground, fit_foreground, keep_foreground
from kizu.scoring.maps import ImageScoreRule
from kizu.scoring.moments import moments_of
from kizu.scoring.neighbours import Bank, build_bank, nearest

MOST_TURNED = 16
"""Good images up to which it pays to learn them turned; the bank grows fourfold."""


class PatchKnnConfig(BankConfig):
    """Defaults are AnomalyDINO's but for its two aids, which suit some parts and not others: both begin off."""

    kind: Literal["patch_knn"] = "patch_knn"
    patch_size: Annotated[int, Field(ge=1, le=9)] = 1
    top_fraction: Annotated[float, Field(gt=0, le=1)] = 0.01
    coreset: Annotated[float, Field(gt=0, le=1)] = 1.0
    metric: Metric = "cosine"
    neighbours: Annotated[int, Field(ge=1)] = 1
    """Good patches whose distances are averaged; all, where fewer are kept."""
    turn_up_to: Annotated[int, Field(ge=0, le=MOST_TURNED)] = 0
    """So many good images or fewer are also learned turned: by 90, 180 and 270 degrees where they are square, else by
    180. 0: never. In place of `rotations`, which turn any number of images."""
    foreground: bool = False
    """Leave out what the part lies on, told from the part by the features' first principal component: its patches are
    not learned, and have distance 0. For parts in the middle of an even ground."""
    image_score: ImageScoreRule = "top_patches"

    @property
    def leaves_out(self) -> bool:
        """The ground is told by all images together."""
        return not self.foreground

    def positions(self, count: int, input_hw: HW) -> tuple[Position, ...]:
        """All turns that their shape allows, for `turn_up_to` images or fewer; each mirrored too where that was asked
        for."""
        if count > self.turn_up_to:
            return super().positions(count, input_hw)
        ways = turned(4 if input_hw[0] == input_hw[1] else 2)
        return with_mirrored(ways) if self.mirror else ways

    def may_be_laid(self) -> bool:
        """As `DetectorConfig` has it."""
        return super().may_be_laid() or self.turn_up_to > 0

    @model_validator(mode="after")
    def _turned_one_way(self) -> PatchKnnConfig:
        if self.rotations > 1 and self.turn_up_to:
            raise ValueError(
                "rotations and turn_up_to cannot both be had: rotations turn any number of images"
            )
        return self


@dataclass(frozen=True, slots=True)
class FittedPatchKnn:
    """The good patches, as points of a space."""

    config: PatchKnnConfig
    bank: Bank
    space: Space
    foreground: Foreground | None
    coverage: Coverage | None = None
    """None: it is not known, and the bank cannot be extended."""
    groups: I64 | None = None
    """(M,) whose patches the bank's vectors are, where they were picked group by group."""

    def leave_out(self, embedding: F32, input_hw: HW, groups: I64) -> Scores:
        """As `LeavesOut` has it; by the bank without a group's vectors."""
        assert self.groups is not None
        queries = self.space.points(embedding)  # (N * P, D')
        own = np.repeat(groups, embedding.shape[1] * embedding.shape[2])
        distances = nearest_of_others(queries, own, self.bank, self.groups, self.config.neighbours)
        return self._scores(distances, embedding, input_hw, queries)

    def score(self, embedding: F32, input_hw: HW) -> Scores:
        """(N, h, w, D) of images (N, H, W, 3) -> scores and maps (N, H, W), in 1 - cos or in L2 distance."""
        queries = self.space.points(embedding)  # (N * P, D')
        k = min(self.config.neighbours, len(self.bank.vectors))
        distances, _ = nearest(queries, self.bank, k)  # (N * P, K)
        return self._scores(distances, embedding, input_hw, queries)

    def _scores(self, distances: F32, embedding: F32, input_hw: HW, queries: F32) -> Scores:
        """`distances` (N * P, K) of the `queries` (N * P, D') from their neighbours."""
        patches = self.space.distances(distances).mean(axis=1).reshape(embedding.shape[:3])
        if self.foreground is not None:
            patches *= self.foreground(queries.reshape(*embedding.shape[:3], -1))
        return patch_scores(patches, input_hw, self.config, self.config.image_score)

    def draw(self, graph: GraphBuilder, embedding: str, grid_hw: HW, input_hw: HW) -> Drawn:
        """As `score`."""
        h, w = grid_hw
        dim = self.bank.vectors.shape[1] - (self.space.metric == "cosine")
        queries = self.space.draw_points(graph, reshape(graph, embedding, -1, dim))  # (N * P, D')
        k = min(self.config.neighbours, len(self.bank.vectors))
        found = draw_nearest(graph, queries, self.bank.vectors, k).distances
        distances = self.space.draw_distances(graph, found)
        patches = reshape(graph, graph.node("ReduceMean", distances, axes=[1], keepdims=0), -1, h, w)
        if self.foreground is not None:
            seen = graph.node("MatMul", queries, constant_of(graph, self.foreground.axis))
            patches = graph.node("Mul", patches, _draw_part(graph, seen, self.foreground.threshold, h, w))
        return draw_scores(graph, patches, grid_hw, input_hw, self.config, self.config.image_score)

    def state(self) -> Arrays:
        """The bank (M, D'), how closely it covers how many patches, where that is known, and the axis (D',) and
        threshold of the foreground where it is used.
        """
        arrays = {"bank": self.bank.vectors, **self.space.arrays(), **told(self.coverage, self.groups)}
        if self.foreground is not None:
            arrays["foreground_axis"] = self.foreground.axis
            arrays["foreground_threshold"] = np.array(self.foreground.threshold)
        return arrays

    def update(self, embeddings: Embeddings, *, work: Work = Work()) -> FittedPatchKnn:
        """With what more good images add to the bank; `extend` (detectors/bank.py) says what is promised.

        The foreground stays as it was found. Raises `ConfigError` where images may have been learned turned.
        """
        self.config.ensure_as_they_are()
        with gather(check_features(embeddings, work), embeddings.count, work) as (features, grid):
            points = self.space.points(features)
            if self.foreground is not None:
                points = keep_foreground(self.foreground, points, grid)
            bank, coverage, groups = extend(self.bank, self.coverage, self.config, points, self.groups)
        return FittedPatchKnn(self.config, bank, self.space, self.foreground, coverage, groups)


@dataclass(frozen=True, slots=True)
class PatchKnn:
    """Set up and not yet fitted."""

    config: PatchKnnConfig

    def channels(self, dim: int, rng: np.random.Generator) -> I64 | None:
        """All of them."""
        return None

    def fit(self, embeddings: Embeddings, *, rng: np.random.Generator, work: Work = Work()) -> FittedPatchKnn:
        """Gather all good patches (in a file where memory would not do), keep them or a coreset of them.

        Raises `ConfigError` before it begins when the bank would not fit in memory.
        """
        count = embeddings.count
        stream = self._while_there_is_room(check_features(embeddings, work), count, work)
        with (
            gather(stream, count, work, embeddings.kept) as (features, grid),
            in_space(features, self.config.metric, self.config.whiten, work) as (points, space),
        ):
            foreground = None
            if self.config.foreground:
                foreground = fit_foreground(points, grid, moments_of(points))
                points = keep_foreground(foreground, points, grid)
            picked = pick(points, embeddings.groups, self.config, rng, work)
            bank = build_bank(points[picked.rows], exact_integer_product())
        return FittedPatchKnn(self.config, bank, space, foreground, picked.coverage, picked.groups)

    def _while_there_is_room(self, stream: Iterator[F32], count: int, work: Work) -> Iterator[F32]:
        for index, embedding in enumerate(stream):
            if index == 0:
                _, h, w, dim = embedding.shape
                ensure_room(
                    bank_memory(self.config, count * h * w, dim, work.memory_budget()),
                    work,
                    hint="lower `coreset`, set `coreset_size`, or fit on fewer images or at a smaller size",
                )
            yield embedding

    def memory_bytes(self, count: int, patches: int, dim: int, budget: int) -> int:
        """All features unless they go to disk, what a coreset search keeps of each row, and the bank twice."""
        turns = len(self.config.positions(count, (1, 1)))
        added = 1 if self.config.metric == "cosine" else 0
        return bank_memory(self.config, turns * count * patches, dim + added, budget)

    def restore(self, arrays: Arrays) -> FittedPatchKnn:
        """From `state()`."""
        foreground = None
        if self.config.foreground:
            foreground = Foreground(arrays["foreground_axis"], float(arrays["foreground_threshold"]))
        bank = build_bank(arrays["bank"], exact_integer_product())
        groups = arrays.get("bank_groups")
        space = restore_space(self.config.metric, arrays)
        return FittedPatchKnn(self.config, bank, space, foreground, restore_coverage(arrays), groups)


def _draw_part(graph: GraphBuilder, seen: str, threshold: float, h: int, w: int) -> str:
    """As `scoring.foreground.Foreground`: (N * P,) -> (N, h, w), 1 on the part and 0 elsewhere."""
    inside = graph.node("Cast", graph.node("Greater", seen, numbers(graph, threshold)), to=FLOAT)
    grown = graph.node("MaxPool", reshape(graph, inside, -1, 1, h, w), kernel_shape=[3, 3], pads=[1] * 4)
    nothing = graph.node("Sub", numbers(graph, 1.0), graph.node("ReduceMax", grown, axes=[2, 3], keepdims=1))
    return reshape(graph, graph.node("Max", grown, nothing), -1, h, w)


METHOD = Method(PatchKnnConfig, PatchKnn, candidates=(Candidate("patch k-NN", 6),))
