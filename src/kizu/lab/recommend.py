"""Before a fit: what would each pipeline cost on this machine with this many images, and what does it see?

Every candidate is fitted on a sample of the good images and timed. What is said of all images is scaled from there:
a fit with their number, a search with the size of its bank. How well a candidate tells good from bad is measured with
flaws that are painted into good images it was not fitted on. Painted flaws are not real ones: they show what a pipeline
cannot see, and do not order those that see nearly alike.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kizu.core.errors import DataError, MissingExtraError
from kizu.core.randomness import rng_for
from kizu.core.types import F32, U8, Bool
from kizu.core.work import BATCH, Work, free_memory, memory_in_use
from kizu.data.batches import stream
from kizu.data.defects import PAINTERS
from kizu.data.manifest import Manifest, Sample
from kizu.detectors import DETECTORS
from kizu.detectors.bank import BankConfig
from kizu.detectors.registry import make_detector, method
from kizu.metrics.overlap import aupro
from kizu.metrics.ranking import auroc
from kizu.pipeline.config import PipelineConfig
from kizu.pipeline.fitting import UnfittedPipeline
from kizu.pipeline.opened import Pipeline, PlacedImages
from kizu.pipeline.placing import choose_placement

FIT_SAMPLE, HELD_SAMPLE = 48, 16
"""Good images that candidates are fitted on, and others that flaws are painted into."""
LATENCY_RUNS = 15
ALIKE = 0.01
"""Candidates whose worth differs by less are taken for equals; then `Candidate.preference` decides."""

Change = Mapping[str, Mapping[str, Any]]
"""{"detector": {"kind": ..., ...}, "embedding": {...}, "placement": {...}}"""


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent; None: whatever it takes."""

    latency_ms: float | None = None
    """For one image, decoded and at the network's size, by itself."""
    memory_mb: float | None = None
    """At the peak of the fit. None: what the machine has free."""
    fit_seconds: float | None = None


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
    estimates: list[Estimate] = []
    left_out: dict[str, str] = {}
    candidates = list_candidates() if candidates is None else candidates
    for number, (name, change) in enumerate(candidates.items()):
        try:
            tried = choose_placement(_apply(base, change, name), fit, work.quiet())
            trial = _Trial(tried, fit, held, len(good), work)
        except MissingExtraError as error:
            left_out[name] = error.hint or error.message
            continue
        with work.limit():
            estimates.append(trial.estimate(name, before, budget))
        work.report("candidates", number + 1, len(candidates))
    return Recommendation(len(good), tuple(estimates), left_out)


class _Trial:
    """One candidate on the sample."""

    def __init__(
        self, config: PipelineConfig, fit: Sequence[Sample], held: Sequence[Sample], count: int, work: Work
    ) -> None:
        self.config, self.count, self.scale = config, count, count / len(fit)
        self.work = work.quiet()
        self.unfitted = UnfittedPipeline.prepare(config, self.work)
        self.images = _place(fit, config)
        self.held = _place(held, config)

    def estimate(self, name: str, base_bytes: int, budget: Budget) -> Estimate:
        """Fit, time, score."""
        pipeline, fit_seconds = self._fit_seconds()
        memory = base_bytes + self.unfitted.estimate_bytes(self.count)
        latency = self._latency_ms(pipeline)
        fit_seconds += (
            self.count * (self.config.calibration.fraction or 1) * latency / 1000
        )  # what sets the thresholds is scored: all, where none is held out
        image_auroc, region_overlap = self._score_painted(pipeline)
        free_mb = free_memory() / 2**20 if budget.memory_mb is None else budget.memory_mb
        limits = {
            "memory": (memory / 2**20, free_mb, "MB"),
            "fit": (fit_seconds, budget.fit_seconds, "s"),
            "latency": (latency, budget.latency_ms, "ms"),
        }
        exceeds = tuple(
            f"{what} {value:.3g} {unit} of {limit:.3g}"
            for what, (value, limit, unit) in limits.items()
            if limit is not None and value > limit
        )
        return Estimate(name, self.config, fit_seconds, memory, latency, image_auroc, region_overlap, exceeds)

    def _fit_seconds(self) -> tuple[Pipeline, float]:
        """A fit on the sample, and what one on all images would take: fits on half of the sample and on all of it tell
        what grows from what does not. Growth is linear; the lazy coreset search was found so from 24 to 320 images."""
        _fit(self.unfitted, self.images[:BATCH])  # prepares what is prepared once
        seconds = []
        for part in (0.5, 1.0):
            images = self.images[: max(1, round(part * len(self.images)))]
            start = time.perf_counter()
            pipeline = _fit(self.unfitted, images)
            seconds.append(time.perf_counter() - start)
        growing = max(0.0, 2 * (seconds[1] - seconds[0]))
        return pipeline, max(0.0, seconds[1] - growing) + growing * self.scale

    def _latency_ms(self, pipeline: Pipeline) -> float:
        """Of one image, with a bank of the size that all images would give."""
        bank = self.config.detector
        larger = 1.0
        if isinstance(bank, BankConfig):
            h, w = pipeline.embedder.grid_hw(self.config.placement.image_size)
            wanted, there = bank.bank_size(self.count * h * w), len(self.images) * h * w
            size = min(wanted, there)
            larger = wanted / size
            sized = bank.model_copy(update={"coreset_size": size, "coreset_method": "random"})
            config = self.config.model_copy(update={"detector": sized})
            pipeline = _fit(replace(self.unfitted, config=config, detector=make_detector(sized)), self.images)
        whole = _milliseconds(lambda: pipeline.score(self.held[:1]))
        if larger == 1:
            return whole
        features = _milliseconds(lambda: pipeline.embedder.embed(self.held[:1]))
        return features + max(0.0, whole - features) * larger

    def _score_painted(self, pipeline: Pipeline) -> tuple[float, float]:
        """Image AUROC and AU-PRO@0.30 of held-out good images and the same with painted flaws."""
        rng = rng_for(self.config.seed, "painted")
        flawed = [paint(image, rng, None) for image in self.held for paint in PAINTERS.values()]
        images = np.concatenate([self.held, np.stack([item.image for item in flawed])])
        scores: list[F32] = []
        maps: list[F32] = []
        for batch in _cut(images):
            found = pipeline.score(batch)
            scores.append(found.image)
            maps += list(found.maps)
        labels = np.arange(len(images)) >= len(self.held)
        masks: list[Bool] = [np.zeros(m.shape, bool) for m in maps[: len(self.held)]]
        return auroc(labels, np.concatenate(scores)), aupro(
            maps, masks + [item.mask for item in flawed], 0.30
        )


def _apply(base: PipelineConfig, change: Change, name: str) -> PipelineConfig:
    detector = dict(change["detector"])
    config = base.with_detector(detector.pop("kind"), detector)
    return config.changed({k: v for k, v in change.items() if k != "detector"}, where=f"candidate {name}")


def _place(samples: Sequence[Sample], config: PipelineConfig) -> U8:
    return np.concatenate([b.images for b in stream(samples, config.placement, batch_size=len(samples))])


def _cut(images: U8) -> list[U8]:
    return [images[start : start + BATCH] for start in range(0, len(images), BATCH)]


def _fit(unfitted: UnfittedPipeline, images: U8) -> Pipeline:
    return unfitted.fit(PlacedImages(len(images), _cut(images)), "fit", unfitted.work)


def _milliseconds(call: Any) -> float:
    """Median of some calls, after two that warm up."""
    seconds = []
    for _ in range(LATENCY_RUNS + 2):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return 1000 * float(np.median(seconds[2:]))
