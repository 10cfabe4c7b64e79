"""A search for the pipeline without labels: looks, methods and settings, judged by painted flaws, within a time.

Successive halving (Jamieson & Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization",
AISTATS 2016): all contenders meet few pictures, the better ones more, and the best all of them. No test picture and no
label is looked at. Good pictures that judge are of groups that no fit has seen.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kizu.core.errors import ConfigError
from kizu.core.work import Work
from kizu.data.defects import PAINTERS
from kizu.data.manifest import Manifest
from kizu.detectors.base import AS_IT_IS, EmbeddingConfig
from kizu.imaging.codec import image_size
from kizu.lab.budget import Budget
from kizu.lab.painted import FlawPlan, paint_held, part_good
from kizu.lab.search_rounds import HELD, Clock, Round, rounds_for
from kizu.lab.search_space import (
    SQUARES,
    Contender,
    Look,
    default_contender,
    installed_backbones,
    list_contenders,
    list_settings,
)
from kizu.lab.searched import Searched, exceeds
from kizu.lab.shared_look import Pictures, PlacedPictures, Seen, SharedLook
from kizu.pipeline.config import PipelineConfig
from kizu.pipeline.placing import choose_placement

SECONDS = 600.0
FEW_HELD = 24
"""Into fewer pictures each kind of flaw is painted in every size, not in one of them."""
FAINTEST = 0.25
"""Of the contrast that painters have: flaws that all contenders find tell nothing."""
FLAW_PARTS = (1 / 16, 1 / 8, 1 / 4)
"""Sides of flaws as parts of a picture's shorter side, where nobody says which are the smallest that matter."""
FLAW_STEPS = (1, 2, 4, 8)
"""Else so many times the smallest."""
LAST_START = 0.92
"""Part of the time after which nothing is begun: the finalists are timed then."""
TIMED = 15
"""Calls of each finalist, by turns with the default's, that tell its latency."""
FINALISTS = 6
"""Beside the default: they are timed, and shown."""
NEARLY = 1.25
"""A latency that a few calls told may be so many times the budget before its contender is dropped."""


def search(
    manifest: Manifest,
    budget: Budget = Budget(),
    *,
    base: PipelineConfig = PipelineConfig(),
    seconds: float = SECONDS,
    backbones: Sequence[str] | None = None,
    smallest_px: float | None = None,
    squares: Sequence[int] = SQUARES,
    work: Work = Work(),
) -> Searched:
    """Search around `base`, which is the default that a winner has to beat, for so many seconds.

    `backbones`: None for all that are installed. `smallest_px`: side of the smallest flaw that matters. Raises
    `DataError` for too few good pictures, `ConfigError` for a default that is cut into tiles.
    """
    return _Search(manifest, budget, base, seconds, work).run(backbones, smallest_px, squares)


class _Search:
    """One search under way."""

    def __init__(
        self, manifest: Manifest, budget: Budget, base: PipelineConfig, seconds: float, work: Work
    ) -> None:
        self.start, self.seconds, self.budget = time.perf_counter(), seconds, budget
        self.work = replace(work, on_note=None)  # what a fit on a sample has to say is not of the product
        if base.placement.tile_overlap is not None:
            raise ConfigError(
                "a search does not cut pictures into tiles", hint="leave tile_overlap out of the config"
            )
        self.base = choose_placement(base, manifest.train_good(), work)
        self.parted = part_good(manifest, self.base, HELD, pictures=HELD, work=work)
        self.sizes = [image_size(sample.path) for sample in self.parted.held]
        self.default = default_contender(self.base)
        self.clock = Clock()
        self.limit = seconds
        self.beyond: dict[str, str] = {}
        self.late = 0
        self.tried: list[int] = []

    def run(
        self, backbones: Sequence[str] | None, smallest_px: float | None, squares: Sequence[int]
    ) -> Searched:
        names, left_out = installed_backbones(self.base.embedding.backbone, backbones)
        self.painted = paint_held(self.parted, self._plan(smallest_px), self.base, self.work)
        asked, steps = self.budget, rounds_for(len(self.parted.fit), len(self.parted.held))
        met = self._pictures(steps[0])
        (alone,) = self._play([self.default], met, steps[0], "default")
        self.budget = asked.beside(alone.latency_ms)
        contenders = self._affordable(list_contenders(self.base, names, self.sizes, squares))
        found = [alone]
        for number, step in enumerate(steps):
            if number == len(steps) - 1 or number == 1:
                contenders = self._widened(contenders)
            pictures = self._pictures(step)
            now = self._play([self.default, *contenders], pictures, step, f"round {number + 1}")
            self.tried.append(len(now))
            if len(now) < 2 and len(found) > 1:  # there was no time for more than the default, if for that
                break
            found, met = now or found, pictures if now else met
            contenders = self._better(found, step.keep)
        finalists = self._timed(found, met)
        default = next(one for one in finalists if one.contender is self.default)
        self.budget = asked.beside(default.latency_ms)
        return Searched(
            count=self.parted.count,
            fitted=len(met.fit),
            judged_by=len(met.painted.pictures),
            flaws=met.painted.image_count - len(met.painted.pictures),
            finalists=tuple(sorted(finalists, key=lambda one: (-one.worth, one.latency_ms))),
            default=default,
            budget=self.budget,
            tried=tuple(self.tried),
            beyond=self.beyond,
            not_tried=self.late,
            left_out=left_out,
            seconds=self.elapsed,
        )

    @property
    def elapsed(self) -> float:
        """Seconds since the search began."""
        return time.perf_counter() - self.start

    def _plan(self, smallest_px: float | None) -> FlawPlan:
        if smallest_px is None:
            side = float(np.median([min(size) for size in self.sizes]))
            sides = [part * side for part in FLAW_PARTS]
        else:
            sides = [times * smallest_px for times in FLAW_STEPS]
        wanted = tuple(dict.fromkeys(max(2, round(side)) for side in sides))
        few = len(self.parted.held) < FEW_HELD
        return FlawPlan(tuple(PAINTERS), wanted, each_side=few, faintest=FAINTEST, pictures=HELD)

    def _pictures(self, step: Round) -> Pictures:
        fit = self.parted.fit[: step.fit]
        groups = tuple(self.parted.numbers(fit))
        return Pictures(fit, groups, self.painted.first(step.held), self.parted.count)

    def _affordable(self, contenders: Sequence[Contender]) -> list[Contender]:
        """Those whose network alone keeps to the budget; measured once for each size of each network and its layers."""
        if self.budget.latency_ms is None and self.budget.pixels is None:
            return list(contenders)
        taken: dict[Look, float] = {}
        opened: dict[EmbeddingConfig, SharedLook] = {}
        kept: list[Contender] = []
        for one in contenders:
            look = one.look
            if self.budget.pixels is not None and math.prod(look.placement.image_size) > self.budget.pixels:
                self.beyond[look.name] = f"more than {self.budget.pixels} pixels"
                continue
            if look not in taken:
                if look.embedding not in opened:
                    opened[look.embedding] = SharedLook(look, 1, self.work)
                taken[look] = opened[look.embedding].latency_ms(look.placement.image_size)
            if self.budget.latency_ms is not None and taken[look] > NEARLY * self.budget.latency_ms:
                self.beyond[look.name] = (
                    f"the network takes {taken[look]:.3g} ms of {self.budget.latency_ms:.3g}"
                )
            else:
                kept.append(one)
        return kept

    def _widened(self, contenders: Sequence[Contender]) -> list[Contender]:
        """Each with all settings of its method."""
        wide = [
            one.with_settings(settings)
            for one in contenders
            for settings in ([one.settings] if one.settings else list_settings(one.config.detector.kind))
        ]
        return list({one.config.model_dump_json(): one for one in wide}.values())

    def _play(
        self, contenders: Sequence[Contender], pictures: Pictures, step: Round, stage: str
    ) -> list[Seen]:
        """Every contender on these pictures, as far as the time allows; the first ones first."""
        groups: dict[tuple[Look, int], list[Contender]] = {}
        for one in contenders:
            if one is self.default or one.config != self.default.config:
                groups.setdefault((one.look, one.config.detector.patch_size), []).append(one)
        placed, found = PlacedPictures(pictures), []
        images = len(pictures.fit) + pictures.painted.image_count
        for number, ((look, patch_size), members) in enumerate(groups.items()):
            has_default = self.default in members
            self.limit = self.seconds * (LAST_START if has_default else min(LAST_START, step.until))
            size = images * math.prod(look.placement.image_size)
            first_of_all = has_default and not self.clock.pixels
            if not first_of_all and self.elapsed + self.clock.predict(size, len(members)) > self.limit:
                self.late += len(members)
                continue
            start = time.perf_counter()
            shared = SharedLook(look, patch_size, self.work)
            members = [one for one in members if one is self.default or self._fits(shared, one)]
            with self.work.limit():
                found += shared.try_all(
                    members,
                    placed,
                    accepts=self._accepts,
                    goes_on=lambda: self.elapsed < LAST_START * self.seconds,
                )
            self.clock.tell(size, len(members), time.perf_counter() - start)
            self.work.report(stage, number + 1, len(groups))
        return found

    def _accepts(self, one: Seen, seconds: float) -> bool:
        """Before it is judged: a search through all patches takes as long for each of the painted pictures."""
        if one.contender is self.default:
            return True
        if broken := self.budget.over_latency(one.latency_ms, NEARLY):
            self.beyond[one.contender.name] = "; ".join(broken)
            return False
        if self.elapsed + seconds > self.limit:
            self.late += 1
            return False
        return True

    def _fits(self, shared: SharedLook, one: Contender) -> bool:
        if one.config.detector.positions(self.parted.count, shared.hw) != (AS_IT_IS,):
            self.beyond[one.name] = "it learns pictures turned or mirrored, which no look shares"
            return False
        if broken := self.budget.over_memory(shared.memory_bytes(one, self.parted.count)):
            self.beyond[one.name] = "; ".join(broken)
        return not broken

    def _better(self, found: Sequence[Seen], keep: int) -> list[Contender]:
        """Those that go on, of what may yet fit the budget: the best of each method first, for methods gain unlike much
        by more pictures; then the best of the rest."""
        kept: list[Contender] = []
        for one in sorted(found, key=lambda one: -one.worth):
            broken = exceeds(one, self.budget, NEARLY)
            if one.contender is self.default:
                continue
            if broken:
                self.beyond[one.contender.name] = "; ".join(broken)
            else:
                kept.append(one.contender)
        first: dict[str, Contender] = {}
        for contender in kept:
            first.setdefault(contender.config.detector.kind, contender)
        return sorted(kept, key=lambda one: one is not first[one.config.detector.kind])[:keep]

    def _timed(self, found: Sequence[Seen], met: Pictures) -> list[Seen]:
        """The best few and the default, timed by turns: on a busy machine one waits as long as the other."""
        best = sorted((one for one in found if one.contender is not self.default), key=lambda one: -one.worth)
        fitting = [one for one in best if not exceeds(one, self.budget, NEARLY)][:FINALISTS]
        chosen = [one for one in found if one.contender is self.default] + fitting
        pictures = [next(met.painted.batches(one.contender.look.placement))[:1] for one in chosen]
        taken = np.empty((TIMED + 1, len(chosen)))
        with self.work.limit():
            for turn in taken:
                turn[:] = [one.time_once(image) for one, image in zip(chosen, pictures, strict=True)]
        medians = np.median(taken[1:], axis=0)
        return [replace(one, latency_ms=float(ms)) for one, ms in zip(chosen, medians, strict=True)]
