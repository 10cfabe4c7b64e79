"""What methods that keep good patches share: gather them all, then keep a coreset of them; take more later."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from kizu.backbones.products import exact_integer_product
from kizu.core.errors import CalibrationError, ConfigError
from kizu.core.types import F32, HW, I64
from kizu.core.work import BYTES_PER_FLOAT, Work
from kizu.detectors.base import (
    NEVER_LEFT_OUT,
    DetectorConfig,
    Position,
    Rotations,
    turned,
    with_mirrored,
)
from kizu.detectors.coverage import Coverage
from kizu.detectors.space import Whitening
from kizu.scoring.coreset import greedy_k_centre, random_coreset
from kizu.scoring.covering import continue_picks, radius_of_picks
from kizu.scoring.neighbours import Bank, build_bank, nearest
from kizu.scoring.projection import project, sparse_projection

SEARCH_BYTES_PER_ROW = 25
"""Bounds, norms and counters of the greedy search, beside the features themselves."""

LEAST_KEPT = 1000
"""A bank of a part of the patches has at least so many, or all: of one good image 1 % is ten (docs/choices.md)."""
LEAST_PICKED = 3000
"""Picked group by group, a bank has at least so many patches, or all: a few of each image alone do not cover what it
shows (docs/choices.md)."""


class BankConfig(DetectorConfig):
    """Which of the good patches are kept."""

    coreset: Annotated[float, Field(gt=0, le=1)]
    """Part of the good patches that is kept."""
    coreset_size: Annotated[int, Field(ge=1)] | None = None
    """How many patches are kept (all, where there are fewer); None: `coreset` says it."""
    coreset_method: Literal["greedy", "random"] = "greedy"
    projection: Annotated[int, Field(ge=1)] | None = None
    """Dimensions in which the greedy search looks: a sparse random projection, quicker and approximate. None, or where
    the features have no more: the search is exact."""
    mirror: bool = False
    """Learn each good image mirrored too, left and right changed: for parts that may lie either way, and for few
    images. The features to thin double, and the time to embed them."""
    rotations: Rotations = 1
    """Learn each good image turned so many ways (`base.Rotations`); the features to thin grow as much."""
    whiten: Whitening | None = None
    """Press directions together in which good patches vary much, before distances are taken. Fitted on all good
    patches, so that what a fit without some of them would say is known but nearly: a rate costs twice the images."""

    @property
    def leaves_out(self) -> bool:
        """What fits without a group of images would keep is there: each group is thinned by itself."""
        return True

    @property
    def monotone(self) -> bool:
        """More vectors bring the nearest ones nearer, and each group brings its own; unless all whiten together."""
        return self.leaves_out and self.whiten is None

    def anchors(self, groups: int) -> int:
        """A fifth of 50 groups and more, a third from 100 on, where a part of the patches is picked by greedy search.
        Fewer groups do not lose by being thinned each by itself, and each of them tightens the promise."""
        is_all = self.coreset == 1 and self.coreset_size is None
        if is_all or self.coreset_method == "random" or self.projection is not None:
            return 0
        return groups // 3 if groups >= 100 else groups // 5 if groups >= 50 else 0

    def positions(self, count: int, input_hw: HW) -> tuple[Position, ...]:
        """Turned as `rotations` asks, and each mirrored too where that was asked for."""
        ways = turned(self.rotations)
        return with_mirrored(ways) if self.mirror else ways

    def may_be_laid(self) -> bool:
        """As `DetectorConfig` has it."""
        return self.mirror or self.rotations > 1

    def ensure_as_they_are(self) -> None:
        """Raises `ConfigError` where images may have been learned in several positions: more could not join them."""
        if self.may_be_laid():
            raise ConfigError(
                "images that were learned turned or mirrored cannot be joined by more",
                hint="train anew on all images, or fit with rotations 1, turn_up_to 0 and mirror false",
            )

    def bank_size(self, rows: int, least: int | None = None) -> int:
        """How many of so many good patches are kept; where the part is given, at least `least` (None: `LEAST_KEPT`), or
        all."""
        if self.coreset_size is not None:
            return min(self.coreset_size, rows)
        return max(1, round(rows * self.coreset), min(LEAST_KEPT if least is None else least, rows))


@contextmanager
def gather(
    embeddings: Iterator[F32], count: int, work: Work, kept: F32 | None = None
) -> Iterator[tuple[F32, tuple[int, int, int]]]:
    """All patches (N * P, D) of embeddings (N, h, w, D), and (N, h, w); in a file where memory would not do.

    `count`: how many images come, at most. `kept`: as in `Embeddings`, of these very ones. The patches are gone after
    the block.
    """
    first = next(embeddings)
    n, h, w, dim = first.shape
    if kept is not None:
        n += sum(map(len, embeddings))
        yield kept[: n * h * w], (n, h, w)
        return
    with work.feature_array(max(count, n) * h * w, dim) as features:
        filled = 0
        for embedding in chain([first], embeddings):
            patches = embedding.reshape(-1, dim)  # (N * P, D)
            features[filled : filled + len(patches)] = patches
            filled += len(patches)
        yield features[:filled], (filled // (h * w), h, w)


def pick_patches(features: F32, config: BankConfig, rng: np.random.Generator, work: Work) -> I64:
    """Indices of the coreset of `features` (M, D)."""
    size = config.bank_size(len(features))
    if config.coreset_method == "random" or size == len(features):
        return random_coreset(len(features), size, rng)
    first = int(rng.integers(len(features)))
    if config.projection is None or config.projection >= features.shape[1]:
        return greedy_k_centre(features, size, first=first, on_progress=work.report)
    matrix = sparse_projection(features.shape[1], config.projection, rng)
    with work.feature_array(len(features), config.projection) as small:
        project(features, matrix, out=small)
        return greedy_k_centre(small, size, first=first, on_progress=work.report)


@dataclass(frozen=True, slots=True)
class Picked:
    """What a bank keeps of good patches."""

    rows: I64
    """(M',) indices of the patches"""
    coverage: Coverage | None
    groups: I64 | None = None
    """(M',) whose they are; None: they were picked from all together"""


def pick(
    features: F32, of_images: Sequence[int] | None, config: BankConfig, rng: np.random.Generator, work: Work
) -> Picked:
    """The coreset of `features` (M, D), and how closely it covers them.

    `of_images`: the group of each image that they are of, image by image; then each group's patches are thinned by
    themselves, so that the bank without a group is what a fit without it would have kept. None: all together. Groups
    that are never left out are thinned first, together, to a half of the bank; each other one adds those of its patches
    that lie farthest from them.
    """
    if of_images is None:
        rows = pick_patches(features, config, rng, work)
        return Picked(rows, coverage_of(features, features[rows], config))
    groups = np.repeat(np.asarray(of_images, np.int64), len(features) // len(of_images))
    wanted = config.bank_size(len(features), LEAST_PICKED)
    picked: list[Picked] = []
    anchors: Bank | None = None
    numbers = np.unique(groups)  # those that are never left out first
    rest = np.count_nonzero(groups != NEVER_LEFT_OUT)
    for number in numbers:
        inside = np.flatnonzero(groups == number)
        own = np.asarray(features[inside])
        share = wanted // 2 if number == NEVER_LEFT_OUT else wanted * len(inside) / rest
        size = min(len(inside), max(1, round(share)))
        if anchors is None:
            of_size = config.model_copy(update={"coreset_size": size})
            rows = pick_patches(own, of_size, rng, work.quiet())
            coverage = coverage_of(own, own[rows], of_size)
        else:
            rows, left = continue_picks(own, anchors, radius=0.0, most=size)
            coverage = Coverage(len(own), left)
        if number == NEVER_LEFT_OUT:
            anchors, wanted = _ready(own[rows]), wanted - len(rows)
        picked.append(Picked(inside[rows], coverage, np.full(len(rows), number)))
        work.report("coreset", len(picked), len(numbers))
    radii = [part.coverage.radius for part in picked if part.coverage is not None]
    coverage = Coverage(len(features), max(radii)) if len(radii) == len(picked) else None
    rows, labels = (np.concatenate([getattr(part, name) for part in picked]) for name in ("rows", "groups"))
    return Picked(rows, coverage, labels)


def nearest_of_others(queries: F32, groups: I64, bank: Bank, bank_groups: I64, k: int) -> F32:
    """L2 distances (Q, k') of `queries` (Q, D) from the vectors of a bank that are of other groups than their own, k' =
    k or as many as there are. Raises `CalibrationError` where there are none."""
    numbers = np.unique(groups)
    left = min(int(np.count_nonzero(bank_groups != number)) for number in numbers)
    if left == 0:
        raise CalibrationError(
            "without one group of good images nothing is left", hint="give more good images"
        )
    distances = np.empty((len(queries), min(k, left)), np.float32)
    for number in numbers:
        rows = np.flatnonzero(groups == number)
        others = _ready(bank.vectors[bank_groups != number])  # made in a tenth of what the search takes
        distances[rows] = nearest(queries[rows], others, min(k, left))[0]
    return distances


def bank_memory(config: BankConfig, rows: int, dim: int, budget: int) -> int:
    """Bytes at the peak: all features unless they are more than `budget` and go to disk, what the search keeps of each
    row, and the bank twice."""
    features = min(rows * dim * BYTES_PER_FLOAT, budget)
    if config.projection is not None and config.projection < dim:
        features += min(rows * config.projection * BYTES_PER_FLOAT, budget)
    return (
        features
        + rows * SEARCH_BYTES_PER_ROW
        + 3 * config.bank_size(rows, LEAST_PICKED) * dim * BYTES_PER_FLOAT
    )


def coverage_of(features: F32, kept: F32, config: BankConfig) -> Coverage | None:
    """How closely `kept` (M', D), picked from `features` (M, D) as `config` says, covers them.

    None for a random choice and for a search in a projection, which do not tell.
    """
    total = len(features)
    if len(kept) == total:
        return Coverage(total, 0.0)
    projected_search = config.projection is not None and config.projection < features.shape[1]
    if config.coreset_method == "random" or projected_search:
        return None
    if len(kept) > 1:
        return Coverage(total, radius_of_picks(kept))
    return Coverage(total, float(nearest(features, kept, 1)[0].max()))


def extend(
    bank: Bank, coverage: Coverage | None, config: BankConfig, features: F32, groups: I64 | None = None
) -> tuple[Bank, Coverage, I64 | None]:
    """The bank with what `features` (N, D) of new good patches add to it, how closely it covers old and new, and the
    groups of its vectors, where `groups` (M,) tells those of the old ones.

    - A bank that holds all its patches takes all new ones: it is what a fit on all images would have kept.
    - One of a part of them (`coreset`) keeps every vector it has, so that no patch's distance can grow, and takes those
      new ones that lie farther than its covering radius, the farthest first, until none does or the part of all patches
      is reached.
    - One of a fixed number (`coreset_size`) that is full is thinned again together with the new ones; what it covered
      lies then within the sum of both radii.

    The radius is exact to float32 rounding. Raises `ConfigError` where the bank does not know how closely it covers.
    """
    if coverage is None:
        raise ConfigError(
            "this bank does not know how closely it covers the good patches",
            hint="greedy search without a projection tells, since this version: train anew on all images",
        )
    total = coverage.patches + len(features)
    size, vectors = config.bank_size(total), bank.vectors
    if config.coreset_size is None:  # a bank may hold more than its part
        size = max(size, len(vectors) + config.bank_size(len(features), least=0))
    if coverage.radius == 0 and size == total:
        return (
            _ready(np.concatenate([vectors, features])),
            Coverage(total, 0.0),
            _label(groups, len(features)),
        )
    if config.coreset_size is None or size > len(vectors):
        picks, left = continue_picks(features, bank, radius=coverage.radius, most=size - len(vectors))
        radius = max(coverage.radius, left)
        joined = np.concatenate([vectors, features[picks]])
        return _ready(joined), Coverage(total, radius), _label(groups, len(picks))
    union = np.concatenate([vectors, features])
    picks = greedy_k_centre(union, len(vectors), first=0)
    kept, labels = union[picks], _label(groups, len(features))
    radius = coverage.radius + float(nearest(union, _ready(kept), 1)[0].max())
    return _ready(kept), Coverage(total, radius), None if labels is None else labels[picks]


def _label(groups: I64 | None, added: int) -> I64 | None:
    return None if groups is None else np.concatenate([groups, np.full(added, NEVER_LEFT_OUT)])


def _ready(vectors: F32) -> Bank:
    return build_bank(vectors, exact_integer_product())
