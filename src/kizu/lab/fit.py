"""Good images in, a bundle out: fit, then set thresholds on good images that were not fitted on."""

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from kizu.backbones.base import ensure_covered
from kizu.backbones.graph import Embedder
from kizu.backbones.session import Engine
from kizu.backbones.store import load_backbone
from kizu.bundles.manifest import BackboneRecord, Bundle, BundleManifest, FittedOn
from kizu.core.errors import CalibrationError
from kizu.core.provenance import package_versions, peak_memory, utc_now
from kizu.core.randomness import rng_for
from kizu.core.types import F32, U8, Bool, Scorer, StageProgress
from kizu.decision.calibration import CalibrationConfig, HeldOut, good_thresholds, held_out
from kizu.detectors import make_detector
from kizu.detectors.base import Detector, Fitted, embedder_for
from kizu.pipeline.config import PipelineConfig
from kizu.imaging.placement import PlacementConfig
from kizu.imaging.tiling import as_seen, cut, tiles_per_image

WORKING_BYTES, WORKING_BYTES_PER_PIXEL = 96 << 20, 1024
"""Beside what the detector holds: the runtime, and images on their way through the network, maps, and those waiting."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PlacedImages:
    """Images at the network's input size, in batches (N, H, W, 3), read once."""

    count: int
    """How many there are, at most."""
    batches: Iterable[U8]


@dataclass(frozen=True, slots=True)
class LabelledImages:
    """Validation images and whether each is defective (N,), in the same order."""

    images: PlacedImages
    defective: Bool


@dataclass(frozen=True, slots=True)
class Sides:
    """What a fit may see. The test split is not among it."""

    fit: PlacedImages
    calibration: PlacedImages
    """Good images that are not fitted on; none when there are folds."""
    validation: LabelledImages | None = None
    folds: tuple[tuple[PlacedImages, PlacedImages], ...] = ()
    """(fitted on, held out): each good image is held out once."""
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
    engine: Engine = Engine(),
    on_estimate: Callable[[int], None] | None = None,
    on_progress: StageProgress | None = None,
) -> FittedBundle:
    """Fit on `sides.fit`, set thresholds on the other sides. `on_estimate` is told the bytes that the process will take
    at most, before the fit begins. Raises `DataError`, `CalibrationError`, `ConfigError`."""
    watch = Stopwatch()
    detector = make_detector(config.detector)
    with watch.stage("backbone"):
        backbone = load_backbone(config.embedding.backbone)
        layers = config.embedding.layers or backbone.spec.default_layers
        ensure_covered(backbone.spec.choose(layers), config.placement.image_size)
        embedding = config.embedding.model_copy(update={"layers": layers})
        embedder = embedder_for(detector, backbone, embedding, rng_for(config.seed, "channels"), engine)
    estimate = expected_peak(peak_memory(), detector, sides.fit.count, embedder, config.placement)
    _log.info("fit images=%d estimated_peak_mb=%d", sides.fit.count, estimate >> 20)
    if on_estimate is not None:
        on_estimate(estimate)
    counted = _Counted(sides.fit.batches)
    with watch.stage("fit"):
        fitted = _fitted(detector, embedder, counted, sides.fit.count, config, "fit", on_progress)
    with watch.stage("calibrate"):
        drawn = rng_for(config.seed, "pixels")
        scorer = as_seen(fitted, config.placement)
        by_category: dict[str, HeldOut] = {}
        if sides.parts:
            for name, images in sides.parts.items():
                by_category[name] = _calibrate(config.calibration, scorer, images, drawn, on_progress)
            calibration = HeldOut.joined(list(by_category.values()))
        elif sides.folds:
            calibration = _out_of_fold(config, detector, embedder, sides.folds, drawn, on_progress)
        else:
            calibration = _calibrate(config.calibration, scorer, sides.calibration, drawn, on_progress)
        thresholds = good_thresholds(
            config.calibration, calibration, validation=_validate(scorer, sides.validation)
        )
        if sides.folds:
            thresholds = thresholds.out_of(len(sides.folds))
    spec = backbone.spec
    manifest = BundleManifest(
        model=config.detector.kind,
        category=identity.category,
        run_id=identity.run_id,
        created_at=utc_now(),
        detector=config.detector.model_dump(mode="json"),
        embedding=embedding.model_dump(mode="json"),
        placement=config.placement,
        thresholds=thresholds,
        thresholds_by_category={
            name: good_thresholds(config.calibration, held) for name, held in by_category.items()
        },
        seed=config.seed,
        backbone=BackboneRecord(
            name=spec.name, licence=spec.licence, source=spec.source, weights_sha256=spec.weights_sha256
        ),
        fitted_on=FittedOn(
            dataset=identity.dataset,
            manifest_sha256=identity.manifest_sha256,
            fit_count=counted.count,
            calibration_count=len(calibration.scores),
        ),
        versions=package_versions(),
    )
    return FittedBundle(
        Bundle(manifest, embedder.model_bytes, fitted.state()), calibration, watch.seconds, estimate
    )


def expected_peak(
    now: int, detector: Detector, count: int, embedder: Embedder, placement: PlacementConfig
) -> int:
    """Bytes that the process will take at most during a fit on `count` images, when it takes `now` before it."""
    h, w = embedder.grid_hw(placement.image_size)
    working = WORKING_BYTES + WORKING_BYTES_PER_PIXEL * math.prod(placement.seen_hw)
    return now + working + detector.memory_bytes(count * tiles_per_image(placement), h * w, embedder.dim)


def _fitted(
    detector: Detector,
    embedder: Embedder,
    batches: Iterable[U8],
    count: int,
    config: PipelineConfig,
    purpose: str,
    on_progress: StageProgress | None,
) -> Fitted:
    """On images as they are seen, or their tiles."""
    return detector.fit(
        embedder,
        (cut(batch, config.placement) for batch in batches),
        count=count * tiles_per_image(config.placement),
        rng=rng_for(config.seed, purpose),
        on_progress=on_progress,
    )


class _Counted:
    """Batches, counted as they pass."""

    def __init__(self, batches: Iterable[U8]) -> None:
        self.count = 0
        self._batches = batches

    def __iter__(self) -> Iterator[U8]:
        for batch in self._batches:
            self.count += len(batch)
            yield batch


def _calibrate(
    config: CalibrationConfig,
    scorer: Scorer,
    images: PlacedImages,
    rng: np.random.Generator,
    on_progress: StageProgress | None,
) -> HeldOut:
    parts = []
    done = 0
    for batch in images.batches:
        scored = scorer.score(batch)
        parts.append(held_out(config, scored.image, scored.maps, rng))
        done += len(batch)
        if on_progress is not None:
            on_progress("calibration", done, images.count)
    if not parts:
        raise CalibrationError("there are no calibration images", hint="hold some good images out of the fit")
    return HeldOut.joined(parts)


def _out_of_fold(
    config: PipelineConfig,
    detector: Detector,
    embedder: Embedder,
    folds: Sequence[tuple[PlacedImages, PlacedImages]],
    pixels: np.random.Generator,
    on_progress: StageProgress | None,
) -> HeldOut:
    """Every good image, scored by a fit that has not seen it."""
    parts = []
    for number, (fit_side, held) in enumerate(folds):
        fitted = _fitted(detector, embedder, fit_side.batches, fit_side.count, config, f"fold {number}", None)
        scorer = as_seen(fitted, config.placement)
        parts.append(_calibrate(config.calibration, scorer, held, pixels, None))
        if on_progress is not None:
            on_progress("calibration", number + 1, len(folds))
    return HeldOut.joined(parts)


def _validate(scorer: Scorer, validation: LabelledImages | None) -> tuple[F32, Bool] | None:
    if validation is None:
        return None
    scores: F32 = np.concatenate([scorer.score(batch).image for batch in validation.images.batches])
    return scores, validation.defective
