"""Where the scores come from that set thresholds: good images held out of the fit, or left out of it in thought."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from kizu.core.errors import ConfigError, ImageError
from kizu.core.randomness import rng_for
from kizu.core.types import I64, U8
from kizu.core.work import BATCH
from kizu.data.batches import Source, stream
from kizu.data.manifest import Sample
from kizu.decision.calibration import HeldOut
from kizu.detectors.base import NEVER_LEFT_OUT
from kizu.imaging.placement import PlacementConfig
from kizu.pipeline.config import PipelineConfig
from kizu.pipeline.opened import PlacedImages

S = TypeVar("S", bound=Source)

MANY_GROUPS = 400
"""From so many on 199 groups can be held out, which promise 1 % and spare one, and the fit keeps half and more."""
HELD_GROUPS = {MANY_GROUPS: 199, 200: 99}
"""How many groups are held out at least, where there are so many; the most first."""
TENTH = 0.1
LEAST_GROUPS = 20
"""Fewer do not tell a trend."""


def leaves_out(config: PipelineConfig, groups: int) -> bool:
    """Whether thresholds are set on scores of left-out groups, of which there are so many.

    Raises `ConfigError` where that was asked for and cannot be had.
    """
    calibration, why = config.calibration, _why_not(config)
    if calibration.scheme == "left_out" and why:
        raise ConfigError(f"scheme left_out cannot be had: {why}", hint="take scheme: held_out")
    if why or groups < 2 or calibration.scheme == "held_out":
        return False
    return calibration.scheme == "left_out" or (calibration.fraction is None and groups < MANY_GROUPS)


def _why_not(config: PipelineConfig) -> str:
    """Empty: it can be had."""
    calibration = config.calibration
    if calibration.folds is not None:
        return "folds were asked for"
    if not config.detector.leaves_out:
        return f"{config.detector.kind} with these settings cannot tell what it would say without an image"
    if config.placement.tile_overlap is not None:
        return "images are cut into tiles, which see one another"
    if "conformal_confident" in (calibration.rule, calibration.pixel_rule):
        return "a rate with a confidence wants images that were held out"
    return ""


def choose_anchors(config: PipelineConfig, groups: int) -> frozenset[int]:
    """The numbers of those of so many groups that are never left out, by the config's seed."""
    drawn = rng_for(config.seed, "anchors").permutation(groups)[: config.detector.anchors(groups)]
    return frozenset(drawn.tolist())


def mark_anchors(config: PipelineConfig, groups: Sequence[int]) -> list[int]:
    """Of each image (N,) its group, by numbers from 0; `NEVER_LEFT_OUT` where that is one of the anchors."""
    anchors = choose_anchors(config, max(groups) + 1)
    return [NEVER_LEFT_OUT if group in anchors else group for group in groups]


def held_fraction(config: PipelineConfig, groups: int) -> float:
    """The part of the good images that is held out, where there are so many groups of them."""
    calibration = config.calibration
    if calibration.fraction is not None:
        return calibration.fraction
    if calibration.scheme != "auto":
        return TENTH
    least = next((held for many, held in HELD_GROUPS.items() if groups >= many), 0)
    return max(TENTH, least / max(groups, 1))


def tell_trend(samples: Sequence[Sample], held: HeldOut, rng: np.random.Generator) -> str | None:
    """What to say where the good images do not score alike from first to last, by their names: then they are no draw
    from one hat, and what comes next need not be like them. None: nothing shows, or there are too few groups to tell.

    `samples`: those that were scored, in the order of `held`. Of a group its mean counts.
    """
    from kizu.decision.exchangeable import LEVEL, compare_samples

    order = sorted(range(len(samples)), key=lambda row: _in_counting_order(samples[row].id))
    groups = list(dict.fromkeys(held.groups[order].tolist()))
    if len(groups) < LEAST_GROUPS:
        return None
    means = np.array([held.scores[held.groups == group].mean() for group in groups])
    early, late = means[: len(means) // 2], means[len(means) // 2 :]
    found = compare_samples(early, late, rng=rng)
    if found.p_value > LEVEL:
        return None
    way = "higher" if found.higher > 0.5 else "lower"
    return (
        f"by their names the later half of the good images scores {way} than the earlier half, in"
        f" {max(found.higher, 1 - found.higher):.0%} of pairs (p = {found.p_value:.2g}): lots, or a drift; what is"
        " promised holds for parts like all of them together, and the next lot may be another one"
    )


def _in_counting_order(name: str) -> list[str | int]:
    """What sorts 9.png before 10.png: text and numbers by turns."""
    return [int(part) if place % 2 else part for place, part in enumerate(re.split("([0-9]+)", name))]


def whole_groups(groups: I64) -> Iterator[I64]:
    """Rows of `groups` (N,), group by group in the order of their numbers: a batch or more of them at a time, and the
    whole of each group."""
    order = np.argsort(groups, kind="stable")
    start = 0
    for end in range(1, len(order) + 1):
        is_last = end == len(order)
        if is_last or (end - start >= BATCH and groups[order[end]] != groups[order[end - 1]]):
            yield order[start:end]
            start = end


def place_grouped(
    sources: Sequence[S],
    placement: PlacementConfig,
    groups: Sequence[int],
    on_broken: Callable[[S, ImageError], None] | None = None,
) -> PlacedImages:
    """The images and, as they come, the group of each; `groups` (N,) of the sources."""
    known = {id(source): group for source, group in zip(sources, groups, strict=True)}
    told: list[int] = []

    def batches() -> Iterator[U8]:
        for batch in stream(sources, placement, on_broken=on_broken, refuse_flat=True):
            told.extend(known[id(sample)] for sample in batch.samples)
            yield batch.images

    return PlacedImages(len(sources), batches(), told)


def place_groups(
    sources: Sequence[S],
    placement: PlacementConfig,
    groups: Sequence[int],
    on_broken: Callable[[S, ImageError], None] | None = None,
) -> Iterator[tuple[U8, I64]]:
    """The same, whole groups at a time (N, H, W, 3) and (N,); `sources` in the order of their groups."""
    known = {id(source): group for source, group in zip(sources, groups, strict=True)}
    images: list[U8] = []
    numbers: list[int] = []
    for batch in stream(sources, placement, on_broken=on_broken, refuse_flat=True):
        for sample, image in zip(batch.samples, batch.images, strict=True):
            if len(numbers) >= BATCH and known[id(sample)] != numbers[-1]:
                yield np.stack(images), np.array(numbers, np.int64)
                images, numbers = [], []
            images.append(image)
            numbers.append(known[id(sample)])
    if images:
        yield np.stack(images), np.array(numbers, np.int64)
