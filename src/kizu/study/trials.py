"""One fit and all trials that it serves: fitted once, thresholds set once for each set of validation images, each test
set scored once."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

import numpy as np

from kizu.backbones.graph import Embedder
from kizu.core.errors import CalibrationError, ConfigError, DataError, ImageError
from kizu.core.hashing import hash_value
from kizu.core.randomness import rng_for
from kizu.core.split import Split
from kizu.core.types import U8
from kizu.core.work import Work
from kizu.data.batches import place_source, stream
from kizu.data.manifest import Sample
from kizu.decision.calibration import CalibrationConfig, Thresholds, good_thresholds, keep_held_out
from kizu.decision.rules import Rule
from kizu.decision.thresholds import Threshold, f1_max
from kizu.lab.evaluate import measure_predictions
from kizu.lab.predictions import Predictions, predict_samples
from kizu.metrics.pixels import rank_pixels
from kizu.metrics.ranking import oracle_f1_of
from kizu.pipeline.fitting import UnfittedPipeline
from kizu.pipeline.opened import Pipeline, PlacedImages
from kizu.study.conditions import CONDITIONS, Key, Source
from kizu.study.config import StudyConfig
from kizu.study.pictures import CategoryPictures, sets_of
from kizu.study.record import Cost, Record

Sets = list[tuple[str, int]]
LATENCY_RUNS = 7

NOT_MEASURED = (ConfigError, DataError, CalibrationError)
"""What makes a trial impossible, and not the study; an image that cannot be read is no such thing."""


@dataclass(slots=True)
class Bench:
    """The fits of one method and seed, made when a trial asks for them; those that others build on are kept."""

    config: StudyConfig
    method: str
    seed: int
    pictures: dict[str, CategoryPictures]
    work: Work
    _kept: dict[str, tuple[Pipeline, int, float]] = field(default_factory=dict)
    _sha256: dict[str, str] = field(default_factory=dict)

    def run(self, source: Source, keys: Sequence[Key]) -> Iterator[Record]:
        """The records of trials that share a fit, all of one category unless it is global."""
        names = list(dict.fromkeys(key.category for key in keys))
        try:
            pipeline, count, seconds = self._fit(source, names)
        except ImageError:
            raise
        except NOT_MEASURED as error:
            yield from (self._failed(key, error.message) for key in keys)
            return
        cost = self._cost(pipeline, names[0], seconds, is_timed=source.fit == "clean")
        thresholds = _Remembered(lambda wanted: self._thresholds(pipeline, wanted))
        for name in names:
            own = [key for key in keys if key.category == name]
            for met in dict.fromkeys(tuple(self._met(key)) for key in own):
                here = [key for key in own if tuple(self._met(key)) == met]
                samples = self.pictures[name].of(self.seed, list(met), Split.TEST)
                yield from self._measure(pipeline, samples, here, thresholds, (count, cost))

    def _met(self, key: Key) -> Sets:
        return sets_of(self.config, CONDITIONS[key.condition].met, key.severity)

    def _fit(self, source: Source, names: Sequence[str]) -> tuple[Pipeline, int, float]:
        """A pipeline, of how many images, in how many seconds."""
        if source.fit == "updated":
            return self._update(source, names[0])
        if source.fit == "clean" and names[0] in self._kept:
            return self._kept[names[0]]
        words: Sets = {
            "clean": [("", 0)],
            "global": [("", 0)],
            "shifted": [(self.config.shift, source.severity)],
            "both": [("", 0), (self.config.shift, source.severity)],
        }[source.fit]
        within = list(self.pictures) if source.fit == "global" else names
        samples = [s for name in within for s in self.pictures[name].of(self.seed, words, Split.TRAIN)]
        start = time.perf_counter()
        unfitted = UnfittedPipeline.prepare(self.config.pipeline(self.method, self.seed), self.work)
        placement = unfitted.config.placement
        batches = (batch.images for batch in stream(samples, placement, refuse_flat=True))
        fitted = unfitted.fit(PlacedImages(len(samples), batches), "fit", self.work.quiet())
        made = fitted, len(samples), time.perf_counter() - start
        if source.fit == "clean":
            self._kept = {names[0]: made}
        return made

    def _update(self, source: Source, name: str) -> tuple[Pipeline, int, float]:
        """The clean fit after some shifted training images, drawn by the seed."""
        pipeline, count, _ = self._fit(Source("clean"), [name])
        _ = pipeline.updatable  # refused before anything is read
        samples = self.pictures[name].of(self.seed, [(self.config.shift, source.severity)], Split.TRAIN)
        if source.count > len(samples):
            raise DataError(f"{source.count} shifted images were to be learned, and there are {len(samples)}")
        order = rng_for(self.seed, "update", name).permutation(len(samples))
        chosen = [samples[index] for index in sorted(order[: source.count])]
        start = time.perf_counter()
        batches = (batch.images for batch in stream(chosen, pipeline.placement, refuse_flat=True))
        updated = pipeline.updated(PlacedImages(len(chosen), batches), self.work.quiet())
        return updated, count + len(chosen), time.perf_counter() - start

    def _thresholds(self, pipeline: Pipeline, wanted: tuple[str, tuple[tuple[str, int], ...]]) -> Thresholds:
        """On the validation images of a category, of "" all categories'."""
        name, sets = wanted
        within = [name] if name else list(self.pictures)
        samples = [
            s for one in within for s in self.pictures[one].of(self.seed, list(sets), Split.VALIDATION)
        ]
        with self._predict(pipeline, samples) as found:
            return set_thresholds(found, rng_for(self.seed, "pixels"))

    def _predict(self, pipeline: Pipeline, samples: Sequence[Sample]) -> AbstractContextManager[Predictions]:
        return predict_samples(pipeline, samples, pipeline.placement, work=self.work.quiet())

    def _measure(
        self,
        pipeline: Pipeline,
        samples: Sequence[Sample],
        keys: Sequence[Key],
        thresholds: "_Remembered",
        made: tuple[int, Cost],
    ) -> Iterator[Record]:
        with self._predict(pipeline, samples) as found, self.work.limit():
            for key in keys:
                condition = CONDITIONS[key.condition]
                sets = tuple(sets_of(self.config, condition.thresholds, key.severity))
                try:
                    chosen = thresholds("" if condition.pooled else key.category, sets)
                    yield self._record(key, found, chosen, made)
                except ImageError:
                    raise
                except NOT_MEASURED as error:
                    yield self._failed(key, error.message)

    def _record(self, key: Key, found: Predictions, chosen: Thresholds, made: tuple[int, Cost]) -> Record:
        result = measure_predictions(found, chosen)
        interval = result.intervals.get("image_auroc")
        return self._empty(key).model_copy(
            update={
                "metrics": {name: None if v is None else float(v) for name, v in result.metrics.items()},
                "reasons": result.reasons,
                "auroc_interval": None if interval is None else (float(interval.low), float(interval.high)),
                "image_threshold": float(chosen.image.value),
                "pixel_threshold": float(chosen.pixel.value),
                "rules": (chosen.image.rule.describe(), chosen.pixel.rule.describe()),
                "fitted": made[0],
                "validated": chosen.image.count,
                "ids": tuple(s.id for s in found.samples),
                "kinds": tuple("good" if s.label == "good" else s.defect for s in found.samples),
                "scores": tuple(float(score) for score in found.scores),
                "cost": made[1],
            }
        )

    def _empty(self, key: Key) -> Record:
        return Record(
            category=key.category,
            method=key.method,
            seed=key.seed,
            condition=key.condition,
            severity=key.severity,
            count=key.count,
            study_sha256=self.config.sha256(),
            pictures_sha256=self.pictures_sha256(key),
        )

    def _failed(self, key: Key, why: str) -> Record:
        return self._empty(key).model_copy(update={"error": why})

    def pictures_sha256(self, key: Key) -> str:
        """Of the pictures and splits that a trial depends on."""
        if not self._sha256:
            self._sha256 = {name: one.sha256(self.seed) for name, one in self.pictures.items()}
        of_all = CONDITIONS[key.condition].fit == "global"
        return hash_value([key.category, self._sha256]) if of_all else self._sha256[key.category]

    def _cost(self, pipeline: Pipeline, name: str, seconds: float, *, is_timed: bool) -> Cost:
        arrays = sum(array.nbytes for array in pipeline.fitted.state().values())
        latency = self._latency_ms(pipeline, name) if is_timed else None
        model_bytes = arrays + len(pipeline.embedder.model_bytes)
        return Cost(fit_seconds=seconds, latency_ms=latency, model_bytes=model_bytes)

    def _latency_ms(self, pipeline: Pipeline, name: str) -> float:
        """The least of some calls with one picture, its features computed and not read from the cache."""
        sample = self.pictures[name].of(self.seed, [("", 0)], Split.TRAIN)[0]
        image: U8 = place_source(sample, pipeline.placement).image[None]
        embedder = Embedder(pipeline.embedder.model_bytes, replace(self.work, features_bytes=0))
        times = []
        for _ in range(LATENCY_RUNS):
            start = time.perf_counter()
            pipeline.score_embedding(embedder.embed(image), pipeline.placement.image_size)
            times.append(1000 * (time.perf_counter() - start))
        return min(times[1:])


class _Remembered:
    """Thresholds by category and sets, each set once."""

    def __init__(self, make: Callable[[tuple[str, tuple[tuple[str, int], ...]]], Thresholds]) -> None:
        self._make = make
        self._known: dict[tuple[str, tuple[tuple[str, int], ...]], Thresholds] = {}

    def __call__(self, category: str, sets: tuple[tuple[str, int], ...]) -> Thresholds:
        wanted = category, sets
        if wanted not in self._known:
            self._known[wanted] = self._make(wanted)
        return self._known[wanted]


def set_thresholds(found: Predictions, rng: np.random.Generator) -> Thresholds:
    """The highest F1 of images and of pixels on labelled validation images; where one kind is missing, or nobody drew
    the flaws, as for good images alone (conformal).

    Raises `CalibrationError` without any good image.
    """
    defective = found.defective
    good = good_thresholds(
        CalibrationConfig(),
        keep_held_out(CalibrationConfig(), found.scores[~defective], found.net_maps[~defective], rng),
    )
    image, pixel = good.image, good.pixel
    if defective.any():
        image = f1_max(found.scores, defective, split=Split.VALIDATION)
    if found.has_drawn_flaws:
        best = oracle_f1_of(rank_pixels(found.native_maps(), found.native_masks()).ranking)
        pixel = Threshold(
            value=best.threshold,
            rule=Rule(name="pixel_f1_max"),
            split=Split.VALIDATION,
            count=len(found.mapped),
        )
    return Thresholds(image=image, pixel=pixel)
