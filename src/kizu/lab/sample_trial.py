"""A fit on a sample of the good images: what one on all of them would cost, and what it sees of painted flaws."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from kizu.core.randomness import rng_for
from kizu.core.types import F32, U8, Bool
from kizu.core.work import BATCH, Work
from kizu.data.batches import stream
from kizu.data.defects import PAINTERS
from kizu.data.manifest import Sample
from kizu.detectors.bank import LEAST_KEPT, LEAST_PICKED, BankConfig
from kizu.detectors.registry import make_detector
from kizu.imaging.tiling import cut, tiles_per_image
from kizu.lab.budget import Cost
from kizu.lab.scheme import leaves_out
from kizu.metrics.overlap import aupro
from kizu.metrics.ranking import auroc
from kizu.pipeline.config import PipelineConfig
from kizu.pipeline.fitting import UnfittedPipeline
from kizu.pipeline.opened import Pipeline, PlacedImages

LATENCY_RUNS = 15


class SampleTrial:
    """One pipeline on a sample of the good images: `fit` of them, `held` ones to time it on, out of `count`."""

    def __init__(
        self, config: PipelineConfig, fit: Sequence[Sample], held: Sequence[Sample], count: int, work: Work
    ) -> None:
        self.config, self.count, self.scale = config, count, count / len(fit)
        self.work = work.quiet()
        self.unfitted = UnfittedPipeline.prepare(config, self.work)
        self.images = _place(fit, config)
        self.held = _place(held, config)

    def fit(self, base_bytes: int) -> tuple[Pipeline, Cost]:
        """A fit on the sample, and what it takes with all good images; the process holds `base_bytes` before."""
        pipeline, fit_seconds = self._fit_seconds()
        memory = base_bytes + self.unfitted.estimate_bytes(self.count)
        latency = self._latency_ms(pipeline)
        fit_seconds += (
            self.count * (self.config.calibration.fraction or 1) * latency / 1000
        )  # what sets the thresholds is scored: all, where none is held out
        return pipeline, Cost(fit_seconds, memory, latency)

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
            patches = h * w * tiles_per_image(self.config.placement)
            least = LEAST_PICKED if leaves_out(self.config, self.count) else LEAST_KEPT
            wanted, there = bank.bank_size(self.count * patches, least), len(self.images) * patches
            size = min(wanted, there)
            larger = wanted / size
            sized = bank.model_copy(update={"coreset_size": size, "coreset_method": "random"})
            config = self.config.model_copy(update={"detector": sized})
            pipeline = _fit(replace(self.unfitted, config=config, detector=make_detector(sized)), self.images)
        whole = milliseconds(lambda: pipeline.score(self.held[:1]))
        if larger == 1:
            return whole
        first = cut(self.held[:1], self.config.placement)
        features = milliseconds(lambda: pipeline.embedder.embed(first))
        return features + max(0.0, whole - features) * larger

    def score_painted(self, pipeline: Pipeline) -> tuple[float, float]:
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


def _place(samples: Sequence[Sample], config: PipelineConfig) -> U8:
    return np.concatenate([b.images for b in stream(samples, config.placement, batch_size=len(samples))])


def _cut(images: U8) -> list[U8]:
    return [images[start : start + BATCH] for start in range(0, len(images), BATCH)]


def _fit(unfitted: UnfittedPipeline, images: U8) -> Pipeline:
    return unfitted.fit(PlacedImages(len(images), _cut(images)), "fit", unfitted.work)


def milliseconds(call: Any) -> float:
    """Median of some calls, after two that warm up."""
    seconds = []
    for _ in range(LATENCY_RUNS + 2):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return 1000 * float(np.median(seconds[2:]))
