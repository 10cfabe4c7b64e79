"""A data set in, a run folder out."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kizu.bundles.manifest import Bundle
from kizu.bundles.store import save
from kizu.core.errors import ConfigError, DataError, KizuError, OutputError
from kizu.core.files import write_stored, write_text
from kizu.core.locks import sweep_builds
from kizu.core.provenance import machine, package_versions, peak_memory, utc_now
from kizu.core.randomness import rng_for
from kizu.core.types import U8, Bool
from kizu.core.work import Work
from kizu.data.batches import LeftOut, stream
from kizu.data.check import first_look
from kizu.data.manifest import Manifest, Sample
from kizu.data.scan import AUTO, DataConfig, scan_data
from kizu.data.splits import blocks_of, ensure_apart, hold_out, k_folds
from kizu.decision.calibration import LABELLED_RULES
from kizu.detectors.base import NEVER_LEFT_OUT
from kizu.imaging.placement import PlacementConfig
from kizu.lab.fit import FittedBundle, Identity, LabelledImages, Sides, fit_bundle
from kizu.lab.grouping import group_good
from kizu.lab.scheme import held_fraction, leaves_out, mark_anchors, place_grouped, tell_trend
from kizu.pipeline.config import PipelineConfig, read_yaml
from kizu.pipeline.opened import PlacedImages
from kizu.pipeline.placing import choose_placement
from kizu.runs.contents import RunMeta
from kizu.runs.folder import RunFolder, make_run, run_path
from kizu.runs.scores import write_calibration


class RunConfig(PipelineConfig):
    """A pipeline and the data it is for: what `config.yaml` holds."""

    data: DataConfig = DataConfig()


@dataclass(frozen=True, slots=True)
class TrainedRun:
    """A finished run folder and what is in it."""

    folder: RunFolder
    bundle: Bundle
    seconds: dict[str, float]
    """By stage."""
    skipped: tuple[str, ...]
    """Broken images that were left out."""
    fitted: FittedBundle | None
    """None: the same call had made the run before."""


def train_run(
    config: RunConfig,
    output_dir: Path,
    *,
    run_id: str | None = None,
    skip_broken: bool = False,
    work: Work = Work(),
    on_estimate: Callable[[int], None] | None = None,
    on_written: Callable[[RunFolder], object] | None = None,
) -> TrainedRun:
    """Fit on a seeded part of train/good, calibrate on the rest, and write the run folder, which gets its name at last.

    `on_written`: called with the folder just before that. A run of the name that the same settings made from the same
    images is returned as it is, so that a call that was killed at any moment can be made again.
    Raises `ImageError` for a broken image unless `skip_broken`, `OutputError` when the run exists and is another, or is
    being made by another command.
    """
    start = time.perf_counter()
    manifest = scan_data(config.data).with_hashes(work)
    crop = config.placement.tell_crop()
    work.note(
        *manifest.notes,
        *(problem.told() for problem in first_look(manifest, work)),
        *([crop] if crop else []),
    )
    if config.data.group == AUTO:
        manifest = group_good(manifest, config.placement, work=work)
    cut = cut_good(manifest, config)
    config = choose_placement(config, cut.fit, work)
    path = run_path(output_dir, config.detector.kind, manifest.category, run_id)
    known = _made_before(RunFolder(path), config, manifest, skip_broken)
    if known is not None:
        return known
    with make_run(path) as folder:
        write_text(folder.config, config.to_yaml())
        manifest.write(folder.manifest)
        left_out = LeftOut()
        fitted = fit_bundle(
            config,
            cut.sides(config, left_out if skip_broken else None),
            Identity(manifest.category, path.name, manifest.dataset, manifest.content_hash()),
            work=work,
            on_estimate=on_estimate,
        )
        skipped = tuple(sample.id for sample in left_out.reasons)
        if cut.left_out:
            trend = tell_trend(cut.scored(skipped), fitted.calibration, rng_for(config.seed, "trend"))
            work.note(*filter(None, [trend]))
        meta = _meta(fitted, cut, skipped, save(fitted.bundle, folder.bundle), time.perf_counter() - start)
        write_stored(folder.meta, meta)
        write_calibration(folder.path, cut.scored(skipped), fitted.calibration, folds=len(cut.folds) or None)
        if on_written is not None:
            on_written(folder)
    return TrainedRun(RunFolder(path), fitted.bundle, fitted.seconds, skipped, fitted)


def _meta(
    fitted: FittedBundle, cut: "Cut", skipped: tuple[str, ...], bundle_sha256: str, seconds: float
) -> RunMeta:
    return RunMeta(
        created_at=utc_now(),
        bundle_sha256=bundle_sha256,
        manifest_sha256=fitted.bundle.manifest.fitted_on.manifest_sha256,
        fit=tuple(sample.id for sample in cut.fit if sample.id not in skipped),
        calibration=tuple(sample.id for sample in cut.calibration if sample.id not in skipped),
        left_out=cut.left_out,
        skipped=skipped,
        thresholds=fitted.bundle.manifest.thresholds,
        calibration_scores=tuple(np.round(fitted.calibration.scores.astype(float), 6).tolist()),
        seconds={stage: round(value, 4) for stage, value in fitted.seconds.items()}
        | {"total": round(seconds, 4)},
        memory_mb={"estimated": fitted.estimated_peak_bytes >> 20, "peak": peak_memory() >> 20},
        versions=package_versions(),
        machine=machine(),
    )


def _made_before(
    folder: RunFolder, config: RunConfig, manifest: Manifest, skip_broken: bool
) -> TrainedRun | None:
    """The run, where this very call has made it and nothing has changed it since; None where there is none."""
    if not folder.path.exists():
        return None
    sweep_builds(folder.path.parent)  # a kill just after the run got its name leaves its lock
    try:
        meta, bundle = folder.read_meta(), folder.open_bundle()
        is_same = (
            read_run_config(folder) == config
            and meta.manifest_sha256 == manifest.content_hash()
            and meta.bundle_sha256 == bundle.stored_sha256
            and (skip_broken or not meta.skipped)
        )
    except KizuError:
        is_same = False
    if not is_same:
        raise OutputError(
            f"{folder.path} exists, and is not what this would make", hint="choose another --run-id"
        )
    return TrainedRun(folder, bundle, meta.seconds, meta.skipped, None)


def read_run_config(folder: RunFolder) -> RunConfig:
    """A run's own settings, all of them. Raises `ConfigError` for a file that is broken or was copied in part.

    In a file that a person wrote what is missing has its default; here it means that the end is missing.
    """
    hint = "copy the run folder again from where it is whole, or train anew"
    try:
        values = read_yaml(folder.config)
        if not isinstance(values, dict) or RunConfig.model_fields.keys() - values.keys():
            raise ConfigError(f"{folder.config} is not whole")
        return RunConfig.parse(values, where=str(folder.config))
    except ConfigError as error:
        raise ConfigError(error.message, hint=error.hint or hint) from error


@dataclass(frozen=True, slots=True)
class Cut:
    """Which samples are for what."""

    fit: tuple[Sample, ...]
    calibration: tuple[Sample, ...]
    """Not fitted on; with folds all good samples, each held out of one fit; where left out all that are, group by
    group."""
    validation: tuple[Sample, ...]
    folds: tuple[tuple[tuple[Sample, ...], tuple[Sample, ...]], ...] = ()
    parts: Mapping[str, tuple[Sample, ...]] = field(default_factory=dict)
    """`calibration` by category, for a model of several."""
    groups: Mapping[Sample, int] = field(default_factory=dict)
    """Of each good sample of one category, the number of those that it may not be parted from; `NEVER_LEFT_OUT`."""
    left_out: bool = False
    """All good samples are fitted on, and each is scored as by a fit without its group."""

    def scored(self, skipped: Sequence[str] = ()) -> tuple[Sample, ...]:
        """`calibration` in the order in which it is scored, without the images whose ids are `skipped`."""
        held = [sample for _, side in self.folds for sample in side] if self.folds else self.calibration
        return tuple(sample for sample in held if sample.id not in skipped)

    def _numbers(self, samples: Sequence[Sample]) -> list[int]:
        return [self.groups[sample] for sample in samples]

    def _place_held(
        self, samples: Sequence[Sample], placement: PlacementConfig, on_broken: LeftOut | None
    ) -> PlacedImages:
        if self.folds:
            return _place(samples, placement, on_broken)
        return place_grouped(samples, placement, self._numbers(samples), on_broken)

    def sides(self, config: PipelineConfig, on_broken: LeftOut | None = None) -> Sides:
        """The same as images, read when the fit comes to them."""
        placement = config.placement
        if self.left_out:
            return Sides(
                fit=place_grouped(self.fit, placement, self._numbers(self.fit), on_broken),
                calibration=PlacedImages(0, ()),
                left_out=True,
                validation=_label(self.validation, placement, on_broken),
            )
        return Sides(
            fit=_place(self.fit, placement, on_broken),
            calibration=self._place_held(self.calibration, placement, on_broken),
            validation=_label(self.validation, config.placement, on_broken),
            folds=tuple(
                (_place(fit, config.placement, on_broken), _place(held, config.placement, on_broken))
                for fit, held in self.folds
            ),
            parts={name: self._place_held(held, placement, on_broken) for name, held in self.parts.items()},
        )


def cut_good(manifest: Manifest, config: PipelineConfig) -> Cut:
    """The good training samples of a hashed manifest, cut by the config's seed; of several categories each for itself.

    Raises `DataError` for fewer than two, `LeakageError` when one of them is also a test sample.
    """
    if manifest.parts:
        return _cut_parts(manifest, config)
    good = manifest.train_good()
    if len(good) < 2:
        raise DataError(
            f"{manifest.category} has {len(good)} good training image(s)",
            hint="at least 2: one to fit, one to set the threshold; 100 and more make a threshold worth having",
        )
    ensure_apart(good, manifest.test())
    if config.calibration.folds is not None:
        folds = k_folds(good, config.calibration.folds, rng_for(config.seed, "folds"))
        return Cut(good, good, manifest.validation(), tuple(folds))
    groups = dict(zip(good, blocks_of(good), strict=True))
    count = max(groups.values()) + 1
    if leaves_out(config, count):
        groups = dict(zip(good, mark_anchors(config, list(groups.values())), strict=True))
        scored = (sample for sample in good if groups[sample] != NEVER_LEFT_OUT)
        by_group = tuple(sorted(scored, key=groups.__getitem__))
        return Cut(good, by_group, manifest.validation(), groups=groups, left_out=True)
    fit, calibration = hold_out(good, held_fraction(config, count), rng_for(config.seed, "hold_out"))
    return Cut(fit, calibration, manifest.validation(), groups=groups)


def _cut_parts(manifest: Manifest, config: PipelineConfig) -> Cut:
    if config.calibration.folds is not None or config.calibration.rule in LABELLED_RULES:
        raise ConfigError(
            "a model of several categories sets its thresholds on good images held out of the fit",
            hint="leave folds out, and take another rule than f1_max and cost",
        )
    if config.calibration.scheme == "left_out":
        raise ConfigError(
            "a model of several categories sets its thresholds on good images held out of the fit",
            hint="take scheme: held_out",
        )
    config = config.changed({"calibration": {"scheme": "held_out"}}, where="several categories")
    ensure_apart(manifest.train_good(), manifest.test())
    cuts = {name: cut_good(manifest.part(name), config) for name in manifest.parts}
    return Cut(
        fit=tuple(sample for cut in cuts.values() for sample in cut.fit),
        calibration=tuple(sample for cut in cuts.values() for sample in cut.calibration),
        validation=(),
        parts={name: cut.calibration for name, cut in cuts.items()},
        groups={sample: number for cut in cuts.values() for sample, number in cut.groups.items()},
    )


def _place(samples: Sequence[Sample], placement: PlacementConfig, on_broken: LeftOut | None) -> PlacedImages:
    return PlacedImages(
        len(samples),
        (batch.images for batch in stream(samples, placement, on_broken=on_broken, refuse_flat=True)),
    )


def _label(
    samples: Sequence[Sample], placement: PlacementConfig, on_broken: LeftOut | None
) -> LabelledImages | None:
    if not samples:
        return None

    def batches() -> Iterator[tuple[U8, Bool]]:
        for batch in stream(samples, placement, on_broken=on_broken):
            yield batch.images, np.array([sample.label == "defect" for sample in batch.samples])

    return LabelledImages(len(samples), batches())
