"""How large a flaw must be to be found, at which size of the input, and at what cost.

One pipeline is fitted on a sample of the good pictures at several sizes, and in tiles where pictures are larger than
any of them. Flaws of stated sides are painted into good pictures that no fit has seen, one of each group. What lies
above the highest score of these N pictures as they are counts as found, which promises a false-alarm rate of 1 / (N +
1); from 39 on above the second highest. Sizes are compared by AUROC, which does not hang on that one score.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from kizu.core.errors import ConfigError, DataError
from kizu.core.types import HW
from kizu.core.work import Work, memory_in_use
from kizu.data.manifest import Manifest
from kizu.data.sized import COMPACT
from kizu.decision.calibration import DEFAULT_RATE
from kizu.decision.conformal import conformal, usual_rate
from kizu.imaging.codec import image_size
from kizu.imaging.sizing import fit_size, kept_aspect, told_size
from kizu.imaging.tiling import tiles_per_image
from kizu.lab.budget import Budget
from kizu.lab.judged import Judged
from kizu.lab.painted import FlawPlan, PaintedSet, Parted, judged_as, paint_held, part_good
from kizu.lab.recommend import FIT_SAMPLE
from kizu.lab.sample_trial import SampleTrial
from kizu.lab.size_curve import SizeCurve, SizePoint, sized, warn
from kizu.pipeline.config import PipelineConfig
from kizu.pipeline.opened import Pipeline
from kizu.pipeline.placing import choose_placement, strides_of

SIDES_PX = (4, 8, 16, 32, 64)
"""Of painted flaws, in pixels of the pictures."""
SQUARES = (192, 256, 384, 512)
"""Sizes that are tried: so many pixels as squares of these sides have, at the product's shape."""
LARGER = 1.2
"""From so many times the pixels of the largest size on pictures are tried in tiles too."""
TILE_OVERLAP = 0.25
HELD_GROUPS = 39
"""Good pictures that set the threshold at which flaws count as found, each of another group: with so many the second
highest promises 5 %."""


def show_sizes(
    manifest: Manifest,
    config: PipelineConfig,
    budget: Budget = Budget(),
    *,
    smallest_px: float | None = None,
    squares: Sequence[int] = SQUARES,
    work: Work = Work(),
) -> SizeCurve:
    """Try a pipeline at its own size, at those of `squares` and of `budget.pixels`, and in tiles where pictures are
    larger. `smallest_px`: side of the smallest flaw that matters.

    Raises `DataError` for too few good pictures.
    """
    settled = choose_placement(config, manifest.train_good(), work.quiet())
    parted = part_good(manifest, settled, HELD_GROUPS, work=work)
    least = None if smallest_px is None else max(2, round(smallest_px))
    sides = tuple(sorted({*SIDES_PX, least or SIDES_PX[0]}))
    painted = paint_held(parted, FlawPlan(COMPACT, sides), settled, work)
    sizes = [image_size(sample.path) for sample in parted.held]
    tried = _configs(settled, sizes, squares, budget)
    before = memory_in_use()
    points: list[SizePoint] = []
    left_out: dict[str, str] = {}
    rate = usual_rate(len(parted.held), DEFAULT_RATE)
    for number, one in enumerate(tried):
        try:
            with work.limit():
                points.append(_point(one, parted, painted, sizes, _Asked(budget, before, rate), work))
        except (ConfigError, DataError) as error:
            left_out[told_size(one.placement.image_size)] = error.message
        work.report("sizes", number + 1, len(tried))
    kept = next((n for n, p in enumerate(points) if p.config.placement == settled.placement), None)
    curve = SizeCurve(tuple(points), rate, len(parted.held), least, kept, (), left_out)
    warnings = [] if smallest_px is None else warn(curve, smallest_px, parted.held)
    work.note(*warnings)
    return replace(curve, warnings=tuple(warnings))


@dataclass(frozen=True, slots=True)
class _Asked:
    budget: Budget
    base_bytes: int
    rate: float
    """Of false alarms, that a fit promises where nobody asks for one."""


def _configs(
    settled: PipelineConfig, sizes: Sequence[HW], squares: Sequence[int], budget: Budget
) -> list[PipelineConfig]:
    """The pipeline at each size once, the smallest first, and then in tiles."""
    placement = settled.placement
    strides = strides_of(settled.embedding)
    step = math.lcm(*strides)
    wanted = sorted({*(side**2 for side in squares), *([budget.pixels] if budget.pixels else [])})
    aspect = kept_aspect(sizes)
    own = placement.image_size if placement.tile_overlap is None and placement.resize is None else None
    found = {fit_size(aspect, pixels, step) for pixels in wanted if pixels >= (2 * step) ** 2}
    ordered = sorted({*found, *([own] if own else [])}, key=math.prod)
    plain = {"resize": None, "tile_overlap": None, "pixels": None}
    configs = [sized(settled, image_size=size, **plain) for size in ordered]
    if own is None:
        configs.insert(0, settled)
    area = float(np.median([height * width for height, width in sizes]))
    if area >= LARGER * max(wanted):
        tile = fit_size(aspect, 256 * 256, step) if (2 * step) ** 2 <= 256 * 256 else ordered[0]
        configs.append(
            sized(
                settled,
                image_size=tile,
                resize=fit_size(aspect, int(area), step),
                tile_overlap=TILE_OVERLAP,
                pixels=None,
            )
        )
    return configs


def _point(
    config: PipelineConfig,
    parted: Parted,
    painted: PaintedSet,
    sizes: Sequence[HW],
    asked: _Asked,
    work: Work,
) -> SizePoint:
    trial = SampleTrial(config, parted.fit[:FIT_SAMPLE], parted.held[:1], parted.count, work)
    pipeline, cost = trial.fit(asked.base_bytes)
    judged = judge(pipeline, painted)
    threshold = conformal(judged.good, asked.rate).value
    sides = sorted(set(judged.side_px[judged.is_flawed].tolist()))
    return SizePoint(
        config=config,
        tiles=tiles_per_image(config.placement),
        patch_px=_patch_px(config, sizes),
        cost=cost,
        found={side: float(judged.found(threshold, side).mean()) for side in sides},
        auroc={side: judged.auroc(side) for side in sides},
        judged=judged,
        exceeds=asked.budget.exceeded(config, cost),
    )


def judge(pipeline: Pipeline, painted: PaintedSet) -> Judged:
    """What a fit says of each image of a painted set."""
    scores = [pipeline.score(batch).image for batch in painted.batches(pipeline.placement)]
    return judged_as(painted, scores)


def _patch_px(config: PipelineConfig, sizes: Sequence[HW]) -> float:
    """On the side that is shrunk most."""
    stride = min(strides_of(config.embedding))
    seen = config.placement.resized_hw
    return max(
        stride * float(np.median(sides)) / length
        for length, sides in zip(seen, zip(*sizes, strict=True), strict=True)
    )
