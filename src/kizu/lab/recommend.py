"""Before a fit: what would each pipeline cost on this machine with this many images, and what does it see?

Every candidate is fitted on a sample of the good images and timed. What is said of all images is scaled from there:
a fit with their number, a search with the size of its bank. How well a candidate tells good from bad is measured with
flaws that are painted into good images it was not fitted on. Painted flaws are not real ones: they show what a pipeline
cannot see, and do not order those that see nearly alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kizu.core.errors import DataError, MissingExtraError
from kizu.core.randomness import rng_for
from kizu.core.work import Work, memory_in_use
from kizu.data.manifest import Manifest
from kizu.detectors import DETECTORS
from kizu.detectors.registry import method
from kizu.lab.budget import Budget
from kizu.lab.sample_trial import SampleTrial
from kizu.pipeline.config import PipelineConfig
from kizu.pipeline.placing import choose_placement

FIT_SAMPLE, HELD_SAMPLE = 48, 16
"""Good images that candidates are fitted on, and others that flaws are painted into."""
ALIKE = 0.01
"""Candidates whose worth differs by less are taken for equals; then `Candidate.preference` decides."""

Change = Mapping[str, Mapping[str, Any]]
"""{"detector": {"kind": ..., ...}, "embedding": {...}, "placement": {...}}"""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one candidate would cost and how it did on the sample."""

    name: str
    config: PipelineConfig
    fit_seconds: float
    """For all good images, on this machine as busy as it is now."""
    memory_bytes: int
    """At the peak of that fit."""
    latency_ms: float
    """Measured; beyond the sample's patches scaled with the size of the bank."""
    painted_auroc: float
    """Image AUROC of painted flaws."""
    painted_aupro: float
    """AU-PRO@0.30 of painted flaws, at the network's size."""
    exceeds: tuple[str, ...]
    """What of the budget it would break, in words."""

    @property
    def worth(self) -> float:
        """The mean of both."""
        return (self.painted_auroc + self.painted_aupro) / 2


@dataclass(frozen=True, slots=True)
class Recommendation:
    """All that was tried, and the choice."""

    count: int
    """Good images that there are to learn from."""
    estimates: tuple[Estimate, ...]
    left_out: Mapping[str, str]
    """Candidates that could not be tried, and why."""
    budget: Budget = field(default_factory=Budget)
    """With a latency in milliseconds, where one was told by the default's."""

    @property
    def chosen(self) -> Estimate | None:
        """Of those within the budget whose worth is within `ALIKE` of the best, the first; None: nothing fits."""
        fitting = [estimate for estimate in self.estimates if not estimate.exceeds]
        best = max((estimate.worth for estimate in fitting), default=0.0)
        return next((estimate for estimate in fitting if estimate.worth >= best - ALIKE), None)

    @property
    def reason(self) -> str:
        """Of the choice, in words."""
        chosen = self.chosen
        if chosen is None:
            return "nothing that was tried fits the budget"
        fitting = [estimate for estimate in self.estimates if not estimate.exceeds]
        alike = [
            e.name for e in fitting if e is not chosen and e.worth >= max(f.worth for f in fitting) - ALIKE
        ]
        if not alike:
            return f"{chosen.name} sees the painted flaws best of the {len(fitting)} within the budget"
        return (
            f"{chosen.name} sees the painted flaws as well as {', '.join(alike)}, and comes before them by what is"
            " known of real flaws"
        )


def list_candidates() -> dict[str, Change]:
    """What the methods offer to try, by name, in the order of preference among equals."""
    offered = sorted(
        ((kind, candidate) for kind in DETECTORS for candidate in method(kind).candidates),
        key=lambda item: item[1].preference,
    )
    return {
        candidate.name: {
            "detector": {"kind": kind, **candidate.detector},
            "embedding": candidate.embedding,
            "placement": candidate.placement,
        }
        for kind, candidate in offered
    }


def recommend(
    manifest: Manifest,
    budget: Budget = Budget(),
    *,
    base: PipelineConfig = PipelineConfig(),
    candidates: Mapping[str, Change] | None = None,
    work: Work = Work(),
) -> Recommendation:
    """Try `candidates` (None: `list_candidates`), each a change of `base`, on the good training images of `manifest`.

    Raises `DataError` for fewer than four of them.
    """
    good = manifest.train_good()
    if len(good) < 4:
        raise DataError(
            f"{manifest.category} has {len(good)} good training image(s)",
            hint="at least 4 to recommend anything",
        )
    order = rng_for(base.seed, "recommend").permutation(len(good))
    held_count = min(HELD_SAMPLE, max(1, len(good) // 4))
    held = [good[i] for i in order[:held_count]]
    fit = [good[i] for i in order[held_count : held_count + FIT_SAMPLE]]
    base = choose_placement(base, fit, work)
    before = memory_in_use()
    if budget.latency_ratio is not None:
        _, cost = SampleTrial(base, fit, held, len(good), work).fit(before)
        budget = budget.beside(cost.latency_ms)
    estimates: list[Estimate] = []
    left_out: dict[str, str] = {}
    candidates = list_candidates() if candidates is None else candidates
    for number, (name, change) in enumerate(candidates.items()):
        try:
            tried = choose_placement(change_base(base, change, name), fit, work.quiet())
            trial = SampleTrial(tried, fit, held, len(good), work)
        except MissingExtraError as error:
            left_out[name] = error.hint or error.message
            continue
        with work.limit():
            estimates.append(_estimate(trial, name, before, budget))
        work.report("candidates", number + 1, len(candidates))
    return Recommendation(len(good), tuple(estimates), left_out, budget)


def _estimate(trial: SampleTrial, name: str, base_bytes: int, budget: Budget) -> Estimate:
    """Fit, time, score."""
    pipeline, cost = trial.fit(base_bytes)
    image_auroc, region_overlap = trial.score_painted(pipeline)
    exceeds = budget.exceeded(trial.config, cost)
    return Estimate(
        name=name,
        config=trial.config,
        fit_seconds=cost.fit_seconds,
        memory_bytes=cost.memory_bytes,
        latency_ms=cost.latency_ms,
        painted_auroc=image_auroc,
        painted_aupro=region_overlap,
        exceeds=exceeds,
    )


def change_base(base: PipelineConfig, change: Change, name: str) -> PipelineConfig:
    """A candidate's pipeline. Raises `ConfigError` naming it."""
    detector = dict(change["detector"])
    config = base.with_detector(detector.pop("kind"), detector)
    return config.changed({k: v for k, v in change.items() if k != "detector"}, where=f"candidate {name}")
