"""A data set in, a run folder out."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kizu.bundles.manifest import Bundle
from kizu.bundles.store import save
from kizu.core.errors import ConfigError, KizuError, OutputError
from kizu.core.files import write_stored, write_text
from kizu.core.locks import sweep_builds
from kizu.core.provenance import machine, package_versions, peak_memory, utc_now
from kizu.core.randomness import rng_for
from kizu.core.work import Work
from kizu.data.batches import LeftOut
from kizu.data.check import first_look
from kizu.data.manifest import Manifest
from kizu.data.scan import AUTO, DataConfig, scan_data
from kizu.lab.cut import Cut, cut_good
from kizu.lab.fit import FittedBundle, Identity, fit_bundle
from kizu.lab.grouping import group_good
from kizu.lab.scheme import tell_trend
from kizu.pipeline.config import PipelineConfig, read_yaml
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
        learns = config.detector.learns_defects
        manifest = group_good(manifest, config.placement, with_defects=learns, work=work)
    cut = cut_good(manifest, config)
    work.note(*cut.notes)
    config = choose_placement(config, cut.fit, work)
    preset = config.told_preset()
    work.note(*(preset.told() if preset else ()))
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
        defects=tuple(sample.id for sample in cut.defects if sample.id not in skipped),
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
        if not isinstance(values, dict) or RunConfig.model_fields.keys() - values.keys() - {"preset"}:
            raise ConfigError(f"{folder.config} is not whole")
        return RunConfig.parse(values, where=str(folder.config))
    except ConfigError as error:
        raise ConfigError(error.message, hint=error.hint or hint) from error
