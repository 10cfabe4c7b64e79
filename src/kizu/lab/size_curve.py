"""What was found out about sizes of the input, and which one to take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kizu.core.work import Work
from kizu.data.manifest import Sample
from kizu.imaging.sizing import told_size
from kizu.lab.budget import Cost
from kizu.lab.judged import Judged, compare
from kizu.pipeline.config import PipelineConfig
from kizu.pipeline.placing import choose_placement

HALF = 0.5
"""A size that finds a smaller part of the flaws that matter does not find them."""


@dataclass(frozen=True, slots=True)
class SizePoint:
    """One size, what it costs and what it finds."""

    config: PipelineConfig
    tiles: int
    """Per picture; 1: it is not cut"""
    patch_px: float
    """Side of a patch in pixels of the pictures: a flaw below it is less than the network's finest cell"""
    cost: Cost
    found: Mapping[int, float]
    """By side of the flaw: the part found at the promised rate"""
    auroc: Mapping[int, float]
    """By side of the flaw, against the held good pictures"""
    judged: Judged
    exceeds: tuple[str, ...]

    @property
    def name(self) -> str:
        """Height x width, and how it is cut."""
        placement = self.config.placement
        size = told_size(placement.image_size)
        return size if self.tiles == 1 else f"{self.tiles} tiles {size} of {told_size(placement.seen_hw)}"


@dataclass(frozen=True, slots=True)
class SizeCurve:
    """All sizes that were tried, and which one to take."""

    points: tuple[SizePoint, ...]
    false_alarm_rate: float
    """What the threshold promises at which flaws count as found."""
    pictures: int
    """Held good pictures"""
    smallest_px: int | None
    """Side of the smallest flaw that matters; None: nobody said."""
    kept: int | None
    """Which point is the pipeline's own size."""
    warnings: tuple[str, ...]
    left_out: Mapping[str, str]

    @property
    def sides(self) -> tuple[int, ...]:
        """Of the flaws that were painted."""
        return tuple(sorted(self.points[0].found)) if self.points else ()

    @property
    def chosen(self) -> SizePoint | None:
        """The pipeline's own size where nobody said which flaws matter; else the quickest within the budget that finds
        the smallest of them as well as the best does, but for chance. None: nothing fits the budget."""
        fitting = [point for point in self.points if not point.exceeds]
        if self.smallest_px is None:
            own = None if self.kept is None else self.points[self.kept]
            return own if own in fitting else self._quickest(fitting)
        side = self.asked_side
        best = max(fitting, key=lambda p: (p.auroc[side], -p.cost.latency_ms), default=None)
        if best is None:
            return None
        alike = [p for p in fitting if not is_worse(p, best, side)]
        if (
            best.found[side] < HALF
        ):  # nobody proves anything then, and a patch that covers the flaw is the better bet
            alike = [p for p in alike if p.patch_px <= side] or [min(alike, key=lambda p: p.patch_px)]
        return self._quickest(alike)

    @property
    def asked_side(self) -> int:
        """The painted side that is nearest to the smallest flaw that matters."""
        assert self.smallest_px is not None
        return min(self.sides, key=lambda side: abs(side - (self.smallest_px or side)))

    @property
    def config(self) -> PipelineConfig | None:
        """The chosen pipeline, with the flaw that it was chosen for."""
        if self.chosen is None:
            return None
        return sized(self.chosen.config, smallest_flaw_px=self.smallest_px)

    @property
    def reason(self) -> str:
        """Of the choice, in words."""
        chosen = self.chosen
        if chosen is None:
            return "no size that was tried fits the budget"
        if self.smallest_px is None:
            return f"size {chosen.name}; --smallest-flaw-px says which flaws matter, and chooses by them"
        side = self.asked_side
        return (
            f"size {chosen.name}: the quickest within the budget that tells flaws of {side} px as well as any does"
            f" (AUROC {chosen.auroc[side]:.2f}, {chosen.found[side]:.0%} found)"
        )

    @staticmethod
    def _quickest(points: Sequence[SizePoint]) -> SizePoint | None:
        return min(points, key=lambda point: point.cost.latency_ms, default=None)


def is_worse(point: SizePoint, best: SizePoint, side: int) -> bool:
    """Whether it tells flaws of this side less well than chance explains."""
    return compare(point.judged, best.judged, side_px=side).high < 0


def warn(curve: SizeCurve, smallest_px: float, good: Sequence[Sample]) -> list[str]:
    """In words, that the smallest flaw is less than a patch at the chosen size, and which size would find more."""
    notes: list[str] = []
    chosen = curve.chosen
    if chosen is not None:
        told = sized(chosen.config, smallest_flaw_px=smallest_px)
        choose_placement(told, good, Work(on_note=notes.append))
    side = curve.asked_side
    best = max(curve.points, key=lambda point: (point.auroc[side], -point.cost.latency_ms), default=None)
    if best is not None and best.exceeds and (chosen is None or is_worse(chosen, best, side)):
        seen = "no size fits the budget" if chosen is None else f"AUROC {chosen.auroc[side]:.2f}"
        notes.append(
            f"flaws of {side} px: {seen}; size {best.name} has {best.auroc[side]:.2f}, and is beyond the budget:"
            f" {'; '.join(best.exceeds)}"
        )
    elif best is not None and best.found[side] < HALF:
        notes.append(f"flaws of {side} px: no size that was tried finds half of those painted")
    return notes


def sized(settled: PipelineConfig, **values: object) -> PipelineConfig:
    """A pipeline with another placement."""
    placement = settled.placement.model_copy(update=values)
    return settled.model_copy(update={"placement": placement})
