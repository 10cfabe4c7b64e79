"""Good pictures that are kept from a fit, each as it is and with flaws of stated sizes: what fits are judged by."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kizu.core.errors import DataError
from kizu.core.randomness import rng_for
from kizu.core.types import F32, I64, U8
from kizu.core.work import BATCH, Work
from kizu.data.manifest import Manifest, Sample
from kizu.data.sized import LARGEST_PART, SizedFlaw, paint_sized
from kizu.data.splits import blocks_of
from kizu.imaging.codec import decode
from kizu.imaging.placement import PlacementConfig, place
from kizu.lab.grouping import group_good
from kizu.lab.judged import Judged
from kizu.pipeline.config import PipelineConfig

LEAST_GOOD = 4
"""Good pictures, or groups of them: fewer cannot be parted into those to fit and those to judge by."""


@dataclass(frozen=True, slots=True)
class Parted:
    """The good pictures on two sides; what may not be parted is on one."""

    fit: tuple[Sample, ...]
    """In a random order of their groups: the first ones are a sample."""
    held: tuple[Sample, ...]
    """One of each held group, then the second ones, and so on"""
    groups: Mapping[Sample, int]
    count: int
    """Of all good pictures"""

    def numbers(self, samples: Sequence[Sample]) -> list[int]:
        """The groups of samples."""
        return [self.groups[sample] for sample in samples]


@dataclass(frozen=True, slots=True)
class FlawPlan:
    """Which flaws are painted into each picture."""

    kinds: tuple[str, ...]
    sides_px: tuple[int, ...]
    """In pixels of the pictures; those that do not fit one are left out there."""
    each_side: bool = True
    """Every kind in every size; else each kind in one of them, by turns."""
    faintest: float = 1.0
    """Of the painters' contrast: each flaw has one between this and all of it, by chance."""
    pictures: int = 16
    """In how many of the held pictures; the others are only good."""


@dataclass(frozen=True, slots=True)
class PaintedSet:
    """N held pictures, and the flaws of the first ones."""

    pictures: tuple[Sample, ...]
    flaws: tuple[tuple[SizedFlaw, ...], ...]
    """Of each picture"""
    groups: I64
    """(N,) of each picture"""

    def first(self, count: int) -> "PaintedSet":
        """Of so many pictures."""
        return PaintedSet(self.pictures[:count], self.flaws[:count], self.groups[:count])

    @property
    def image_count(self) -> int:
        """Good and flawed."""
        return len(self.pictures) + sum(map(len, self.flaws))

    @property
    def owner(self) -> I64:
        """(M,) of each image the picture that it shows"""
        return np.repeat(np.arange(len(self.pictures)), [1 + len(flaws) for flaws in self.flaws])

    @property
    def side_px(self) -> I64:
        """(M,) of each image's flaw; 0: it is good"""
        return np.array([side for flaws in self.flaws for side in (0, *(flaw.side_px for flaw in flaws))])

    def batches(self, placement: PlacementConfig) -> Iterator[U8]:
        """(n, H, W, 3) as a placement sees them: of each picture the good one, then the flawed ones. Each is decoded
        once. Raises `ImageError`."""
        ready: list[U8] = []
        for sample, flaws in zip(self.pictures, self.flaws, strict=True):
            original = decode(sample.path, scale=placement.scale)
            for image in (original, *(flaw.on(original) for flaw in flaws)):
                ready.append(place(image, placement))
                if len(ready) == BATCH:
                    yield np.stack(ready)
                    ready = []
        if ready:
            yield np.stack(ready)


def part_good(
    manifest: Manifest, config: PipelineConfig, held: int, *, pictures: int | None = None, work: Work = Work()
) -> Parted:
    """Hold `held` groups of good pictures back, and no more than a third of all, as they are told or found
    (`lab/grouping.py`). `pictures` of theirs judge, the first one of each group before the second ones; None: one of
    each. The rest of a held group is on no side. By the config's seed.

    Raises `DataError` for fewer than four groups.
    """
    good = group_good(manifest.with_hashes(), config.placement, work=work).train_good()
    blocks = blocks_of(good)
    if len(set(blocks)) < LEAST_GOOD:
        raise DataError(
            f"{manifest.category} has {len(good)} good training image(s) of {len(set(blocks))} part(s)",
            hint=f"at least {LEAST_GOOD} parts to recommend anything",
        )
    order = rng_for(config.seed, "painted").permutation(max(blocks) + 1)
    in_order = sorted(zip(good, blocks, strict=True), key=lambda item: order[item[1]])
    kept_back = {int(block) for block in np.argsort(order)[: max(1, min(held, len(order) // 3))]}
    met: Counter[int] = Counter()
    turns: list[tuple[int, Sample]] = []
    for sample, block in in_order:
        if block in kept_back:
            turns.append((met[block], sample))
            met[block] += 1
    turns.sort(key=lambda turn: turn[0])
    most = len(kept_back) if pictures is None else max(pictures, len(kept_back))
    return Parted(
        fit=tuple(sample for sample, block in in_order if block not in kept_back),
        held=tuple(sample for _, sample in turns[:most]),
        groups=dict(in_order),
        count=len(good),
    )


def paint_held(parted: Parted, plan: FlawPlan, config: PipelineConfig, work: Work = Work()) -> PaintedSet:
    """The flaws of a plan in each held picture; all chance comes from the config's seed. Raises `ImageError`."""
    flaws = []
    for number, sample in enumerate(parted.held[: plan.pictures]):
        image = decode(sample.path, scale=config.placement.scale)
        most = int(LARGEST_PART * min(image.shape[:2]))
        sides = [side for side in plan.sides_px if 2 <= side <= most]
        if not sides:
            raise DataError(
                f"{sample.id}: flaws of {', '.join(map(str, plan.sides_px))} px do not fit {image.shape[0]} x"
                f" {image.shape[1]} pixels",
                hint="pictures of 16 x 16 pixels and more can be judged by",
            )
        rng = rng_for(config.seed, "painted", sample.id)
        wanted = [
            (kind, side)
            for place_of, kind in enumerate(plan.kinds)
            for side in (sides if plan.each_side else sides[(number + place_of) % len(sides) :][:1])
        ]
        flaws.append(
            tuple(
                paint_sized(image, kind, side, rng, strength=plan.faintest ** rng.uniform())
                for kind, side in wanted
            )
        )
        work.report("flaws", number + 1, min(plan.pictures, len(parted.held)))
    flaws += [()] * (len(parted.held) - len(flaws))
    return PaintedSet(parted.held, tuple(flaws), np.array(parted.numbers(parted.held), np.int64))


def judged_as(painted: PaintedSet, scores: Sequence[F32]) -> Judged:
    """What was said of the images of a painted set, batch by batch."""
    return Judged(np.concatenate(scores), painted.owner, painted.side_px, painted.groups)
