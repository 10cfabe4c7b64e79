"""Results of an inspection decided again, by a run's thresholds in force or by a value."""

from kizu.bundles.store import load, read_bundle_manifest
from kizu.core.errors import ConfigError
from kizu.decision.calibration import Thresholds
from kizu.decision.offers import given_threshold
from kizu.inspection.journal import read_settings
from kizu.inspection.redecide import Limits, Redecision, ensure_of_one, redecide_folder
from kizu.lab.kept_scores import list_same_model
from kizu.report.inspecting import refresh_inspection_page
from kizu.runs.folder import RunFolder, open_run
from kizu.runs.versions import version_folder
from kizu.tasks.threshold_options import RedecideOptions


def redecide(options: RedecideOptions) -> Redecision:
    """Decide again as asked; nothing is scored. The page follows. Raises `ConfigError` unless it is said by what."""
    decided = _redecide(options)
    refresh_inspection_page(options.results)
    return decided


def _redecide(options: RedecideOptions) -> Redecision:
    if (options.run_dir is None) == (options.threshold is None):
        raise ConfigError(
            "say by what: give --run-dir or --threshold",
            hint="kizu redecide RESULTS --run-dir RUN",
        )
    if options.threshold is not None:
        value = given_threshold(options.threshold).value
        return redecide_folder(
            options.results, Limits(value), options.reason or f"threshold {value:g} by hand"
        )
    assert options.run_dir is not None
    folder = open_run(options.run_dir)
    settings = read_settings(options.results)
    ensure_of_one(options.results, settings)
    category = settings.get("category")
    bundle = load(folder.bundle)
    manifest = bundle.manifest.for_category(category)
    digest = bundle.bundle_sha256
    known = {**_read_known(folder, category), digest: manifest.thresholds}
    limits = Limits(manifest.thresholds.image.value, digest, known)
    reason = options.reason or manifest.reason or f"version {manifest.version} of {options.run_dir}"
    return redecide_folder(options.results, limits, reason)


def _read_known(folder: RunFolder, category: str | None) -> dict[str, Thresholds]:
    """Of all versions that give the scores of the one in force, by the hash of their bundle."""
    return {
        digest: read_bundle_manifest(version_folder(folder.path, number)).for_category(category).thresholds
        for digest, number in list_same_model(folder).items()
    }
