"""Good images in, a bundle out: fit, then set thresholds on good images that were not fitted on."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from kizu.bundles.manifest import BackboneRecord, Bundle, BundleManifest, FittedOn
from kizu.core.errors import CalibrationError
from kizu.core.provenance import package_versions, utc_now
from kizu.core.randomness import rng_for
from kizu.core.types import F32, I64, U8, Bool, Scorer
from kizu.core.work import Work, memory_in_use
from kizu.decision.calibration import CalibrationConfig, HeldOut, Thresholds, good_thresholds, keep_held_out
from kizu.decision.good_scores import number_groups
from kizu.pipeline.config import PipelineConfig
from kizu.pipeline.fitting import UnfittedPipeline
from kizu.pipeline.opened import Pipeline, PlacedImages

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
    left_out: Iterable[tuple[U8, I64]] | None = None
    """In place of `calibration`: all that is fitted on, in batches (N, H, W, 3) of whole groups, and these (N,)."""
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
    estimate = memory_in_use() + unfitted.estimate_bytes(sides.fit.count)
    _log.info("fit images=%d estimated_peak_mb=%d", sides.fit.count, estimate >> 20)
    if on_estimate is not None:
        on_estimate(estimate)
    counted = _Counted(sides.fit.batches)
    with watch.stage("fit"):
        pipeline = unfitted.fit(PlacedImages(sides.fit.count, counted, sides.fit.groups), "fit", work)
    with watch.stage("calibrate"):
        calibrated = _calibrate(unfitted, pipeline, sides, work)
    manifest = _describe(unfitted, calibrated, identity, fit_count=counted.count)
    bundle = Bundle(manifest, pipeline.embedder.model_bytes, pipeline.fitted.state())
    return FittedBundle(bundle, pipeline, calibrated.held, watch.seconds, estimate)


class _Counted:
    """Batches, counted as they pass."""

    def __init__(self, batches: Iterable[U8]) -> None:
        self.count = 0
        self._batches = batches

    def __iter__(self) -> Iterator[U8]:
        for batch in self._batches:
            self.count += len(batch)
            yield batch


@dataclass(frozen=True, slots=True)
class _Calibrated:
    """What held-out images say, and the thresholds they set."""

    held: HeldOut
    thresholds: Thresholds
    by_category: dict[str, Thresholds]


def _calibrate(unfitted: UnfittedPipeline, pipeline: Pipeline, sides: Sides, work: Work) -> _Calibrated:
    config = unfitted.config.calibration
    drawn = rng_for(unfitted.config.seed, "pixels")
    parts: dict[str, HeldOut] = {}
    if sides.parts:
        parts = {
            name: _score_held_out(config, pipeline, images, drawn, work)
            for name, images in sides.parts.items()
        }
        held = HeldOut.join_parts(list(parts.values()))
    elif sides.left_out is not None:
        held = score_left_out(config, pipeline, sides.left_out, drawn, count=sides.fit.count, work=work)
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
    pipeline: Pipeline,
    batches: Iterable[tuple[U8, I64]],
    rng: np.random.Generator,
    *,
    count: int,
    work: Work = Work(),
) -> HeldOut:
    """Every good image that `pipeline` was fitted on, about `count`, as scored by a fit without its group."""
    parts = []
    done = 0
    for images, groups in batches:
        scored = pipeline.leave_out(images, groups)
        parts.append(keep_held_out(config, scored.image, scored.maps, rng, groups=groups, left_out=True))
        done += len(images)
        work.report("calibration", done, count)
    if not parts:
        raise CalibrationError("there are no calibration images", hint="give more good images")
    return HeldOut.join_parts(parts)


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
