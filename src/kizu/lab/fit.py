"""Good images in, a bundle out: fit, then set thresholds on good images that were not fitted on."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from kizu.bundles.manifest import BackboneRecord, Bundle, BundleManifest, FittedOn
from kizu.core.errors import CalibrationError
from kizu.core.provenance import package_versions, utc_now
from kizu.core.randomness import rng_for
from kizu.core.types import F32, I64, U8, Bool, Scorer, Scores
from kizu.core.work import Work, memory_in_use
from kizu.decision.calibration import CalibrationConfig, HeldOut, Thresholds, good_thresholds, keep_held_out
from kizu.decision.good_scores import number_groups
from kizu.detectors.base import NEVER_LEFT_OUT
from kizu.lab.scheme import whole_groups
from kizu.pipeline.config import PipelineConfig
from kizu.pipeline.fitting import UnfittedPipeline
from kizu.pipeline.opened import CountedBatches, Pipeline, PlacedImages

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LabelledImages:
    """Validation images in batches (N, H, W, 3), read once, and which of each batch are defective (N,)."""

    count: int
    """How many there are, at most."""
    batches: Iterable[tuple[U8, Bool]]


@dataclass(frozen=True, slots=True)
class Sides:
    """What a fit may see. The test split is not among it."""

    fit: PlacedImages
    calibration: PlacedImages
    """Good images that are not fitted on; none when there are folds."""
    validation: LabelledImages | None = None
    folds: tuple[tuple[PlacedImages, PlacedImages], ...] = ()
    """(fitted on, held out): each good image is held out once."""
    left_out: bool = False
    """In place of `calibration`: all that is fitted on, each scored as by a fit without its group."""
    parts: Mapping[str, PlacedImages] = field(default_factory=dict)
    """In place of `calibration`, for a model of several categories: each one's own."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What the bundle will call itself."""

    category: str
    run_id: str
    dataset: str
    manifest_sha256: str


@dataclass(frozen=True, slots=True)
class FittedBundle:
    """A bundle, and how it came about."""

    bundle: Bundle
    pipeline: Pipeline
    """The same, open."""
    calibration: HeldOut
    seconds: dict[str, float]
    """By stage."""
    estimated_peak_bytes: int
    """What the process was expected to take at most, before the fit began."""


@dataclass(slots=True)
class Stopwatch:
    """Seconds by stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block under `name`."""
        start = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


def fit_bundle(
    config: PipelineConfig,
    sides: Sides,
    identity: Identity,
    *,
    work: Work = Work(),
    on_estimate: Callable[[int], None] | None = None,
) -> FittedBundle:
    """Fit on `sides.fit`, set thresholds on the other sides. `on_estimate` is told the bytes that the process will take
    at most, before the fit begins. Raises `DataError`, `CalibrationError`, `ConfigError`."""
    watch = Stopwatch()
    with watch.stage("backbone"):
        unfitted = UnfittedPipeline.prepare(config, work)
    estimate = memory_in_use() + unfitted.estimate_bytes(sides.fit.count, keeping=sides.left_out)
    _log.info("fit images=%d estimated_peak_mb=%d", sides.fit.count, estimate >> 20)
    if on_estimate is not None:
        on_estimate(estimate)
    counted = CountedBatches(sides.fit.batches)
    images = replace(sides.fit, batches=counted)
    with ExitStack() as stack:
        with watch.stage("fit"):
            if sides.left_out:
                pipeline, kept = stack.enter_context(unfitted.fit_keeping(images, "fit", work))
            else:
                pipeline, kept = unfitted.fit(images, "fit", work), None
        with watch.stage("calibrate"):
            calibrated = _calibrate(unfitted, pipeline, sides, kept, work)
    manifest = _describe(unfitted, calibrated, identity, fit_count=counted.count)
    bundle = Bundle(manifest, pipeline.embedder.model_bytes, pipeline.fitted.state())
    return FittedBundle(bundle, pipeline, calibrated.held, watch.seconds, estimate)


@dataclass(frozen=True, slots=True)
class _Calibrated:
    """What held-out images say, and the thresholds they set."""

    held: HeldOut
    thresholds: Thresholds
    by_category: dict[str, Thresholds]


def _calibrate(
    unfitted: UnfittedPipeline, pipeline: Pipeline, sides: Sides, kept: F32 | None, work: Work
) -> _Calibrated:
    """`kept`: the embeddings of what was fitted on, where each image is left out in thought."""
    config = unfitted.config.calibration
    drawn = rng_for(unfitted.config.seed, "pixels")
    parts: dict[str, HeldOut] = {}
    if sides.parts:
        parts = {
            name: _score_held_out(config, pipeline, images, drawn, work)
            for name, images in sides.parts.items()
        }
        held = HeldOut.join_parts(list(parts.values()))
    elif kept is not None:
        scored = _leave_out(pipeline, kept, sides.fit.groups or ())
        monotone = unfitted.config.detector.monotone
        count = sum(group != NEVER_LEFT_OUT for group in sides.fit.groups or ())
        held = score_left_out(config, scored, drawn, count=count, monotone=monotone, work=work)
    elif sides.folds:
        held = _score_folds(unfitted, sides.folds, drawn, work)
    else:
        held = _score_held_out(config, pipeline, sides.calibration, drawn, work)
    thresholds = good_thresholds(config, held, validation=_score_validation(pipeline, sides.validation))
    if sides.folds:
        thresholds = thresholds.out_of(len(sides.folds))
    return _Calibrated(
        held, thresholds, {name: good_thresholds(config, part) for name, part in parts.items()}
    )


def _describe(
    unfitted: UnfittedPipeline, calibrated: _Calibrated, identity: Identity, *, fit_count: int
) -> BundleManifest:
    config, spec = unfitted.config, unfitted.backbone
    return BundleManifest(
        model=config.detector.kind,
        category=identity.category,
        run_id=identity.run_id,
        created_at=utc_now(),
        detector=config.detector.model_dump(mode="json"),
        embedding=unfitted.embedding.model_dump(mode="json"),
        placement=config.placement,
        thresholds=calibrated.thresholds,
        thresholds_by_category=calibrated.by_category,
        calibration=config.calibration,
        seed=config.seed,
        preset=config.told_preset(),
        backbone=BackboneRecord(
            name=spec.name, licence=spec.licence, source=spec.source, weights_sha256=spec.weights_sha256
        ),
        fitted_on=FittedOn(
            dataset=identity.dataset,
            manifest_sha256=identity.manifest_sha256,
            fit_count=fit_count,
            calibration_count=len(calibrated.held.scores),
        ),
        versions=package_versions(),
    )


def _score_held_out(
    config: CalibrationConfig, scorer: Scorer, images: PlacedImages, rng: np.random.Generator, work: Work
) -> HeldOut:
    parts = []
    done = 0
    for batch in images.batches:
        scored = scorer.score(batch)
        parts.append(keep_held_out(config, scored.image, scored.maps, rng))
        done += len(batch)
        work.report("calibration", done, images.count)
    if not parts:
        raise CalibrationError("there are no calibration images", hint="hold some good images out of the fit")
    held = HeldOut.join_parts(parts)
    return held if images.groups is None else replace(held, groups=number_groups(images.groups))


def score_left_out(
    config: CalibrationConfig,
    scored: Iterable[tuple[Scores, I64]],
    rng: np.random.Generator,
    *,
    count: int,
    monotone: bool,
    work: Work = Work(),
) -> HeldOut:
    """From what was said of good images that were fitted on, about `count`, each as by a fit without its group; whole
    groups (N,) at a time. `monotone`: as `DetectorConfig.monotone` has it."""
    parts = []
    done = 0
    for scores, groups in scored:
        parts.append(
            keep_held_out(
                config, scores.image, scores.maps, rng, groups=groups, left_out=True, monotone=monotone
            )
        )
        done += len(groups)
        work.report("calibration", done, count)
    if not parts:
        raise CalibrationError("there are no calibration images", hint="give more good images")
    return HeldOut.join_parts(parts)


def _leave_out(pipeline: Pipeline, kept: F32, groups: Sequence[int]) -> Iterator[tuple[Scores, I64]]:
    """Group by group, in their order, from the embeddings (N, h, w, D) that `pipeline` was fitted on; not those that
    are never left out."""
    numbers = np.asarray(groups, np.int64)
    inside = np.flatnonzero(numbers != NEVER_LEFT_OUT)
    for part in whole_groups(numbers[inside]):
        rows = inside[part]
        found = pipeline.leave_out_embedding(kept[rows], pipeline.placement.image_size, numbers[rows])
        yield found, numbers[rows]


def _score_folds(
    unfitted: UnfittedPipeline,
    folds: Sequence[tuple[PlacedImages, PlacedImages]],
    pixels: np.random.Generator,
    work: Work,
) -> HeldOut:
    """Every good image, scored by a fit that has not seen it."""
    parts = []
    for number, (fit_side, held) in enumerate(folds):
        pipeline = unfitted.fit(fit_side, f"fold {number}", work.quiet())
        parts.append(_score_held_out(unfitted.config.calibration, pipeline, held, pixels, work.quiet()))
        work.report("calibration", number + 1, len(folds))
    return HeldOut.join_parts(parts)


def _score_validation(scorer: Scorer, validation: LabelledImages | None) -> tuple[F32, Bool] | None:
    if validation is None:
        return None
    scored = [(scorer.score(images).image, defective) for images, defective in validation.batches]
    if not scored:
        return None
    scores, defective = (np.concatenate(column) for column in zip(*scored, strict=True))
    return scores, defective
