"""A run measured on a test split, its page, card and figures written; its thresholds set anew before, where asked."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kizu.core.errors import ConfigError
from kizu.core.work import Work
from kizu.data.manifest import read_manifest
from kizu.decision.calibration import CalibrationConfig, Thresholds
from kizu.inspection.inspector import Inspector
from kizu.lab.evaluate import (
    Evaluation,
    MeasuredRun,
    measure_run,
)
from kizu.lab.parts import MeasuredParts, evaluate_parts, mean_metrics
from kizu.lab.train import read_run_config
from kizu.lab.tune import compute_thresholds, tune_on_validation
from kizu.report.cases import write_case_page
from kizu.report.gallery import write_figures
from kizu.report.model_card import write_model_card
from kizu.runs.folder import RunFolder, open_run
from kizu.tasks.data import data_config, scan_told, with_layout
from kizu.tasks.lab_options import ThresholdOptions
from kizu.tasks.options import DataOptions, parse_grid
from kizu.tasks.train import drop_none


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What was measured of a run, by category."""

    folder: RunFolder
    """Where its numbers lie: the run, or below it the folder of another data set's."""
    by_category: dict[str, Evaluation]
    is_merged: bool
    """The run is of several categories."""
    written: tuple[Path, ...]
    drawn: bool
    """False: no figures, for matplotlib is not installed."""

    @property
    def mean(self) -> dict[str, float | None]:
        """Over the categories."""
        return mean_metrics(list(self.by_category.values()))

    def as_json(self) -> dict[str, Any]:
        """Of one category its numbers; of several each one's, and their mean."""
        told = {name: evaluation.as_json() for name, evaluation in self.by_category.items()}
        return told | {"mean": self.mean} if self.is_merged else next(iter(told.values()))


def set_thresholds(run_dir: Path, options: ThresholdOptions, work: Work) -> Thresholds | None:
    """Set them anew as asked, as a new version of the run; None: nothing was asked.

    Raises `ConfigError` for options that contradict each other.
    """
    zones = parse_grid("--zones", options.zones) if options.zones else None
    changes = drop_none(rule=options.rule, false_alarm_rate=options.false_alarm_rate, zones=zones)
    if not (options.compute_thresholds or options.tune_on_validation or changes or options.reason):
        return None
    if options.compute_thresholds == options.tune_on_validation:
        raise ConfigError("give one of --compute-thresholds and --tune-on-validation")
    if options.tune_on_validation and changes:
        raise ConfigError("--rule, --false-alarm-rate and --zones go with --compute-thresholds only")
    folder = open_run(run_dir)
    if options.tune_on_validation:
        return tune_on_validation(
            folder, pixel_metric=options.pixel_metric.value, reason=options.reason, work=work
        )
    values = read_run_config(folder).calibration.model_dump(mode="json")
    config = CalibrationConfig.parse({**values, **changes}, where="options")
    return compute_thresholds(folder, config, reason=options.reason, work=work)


def evaluate(run_dir: Path, data: DataOptions, work: Work) -> Evaluated:
    """Measure a run on its own test split, or on that of the data set that `data` names.

    Numbers of another data set are written below `evaluations/`; those of the run itself and its card stay.
    """
    folder = open_run(run_dir)
    manifest = read_manifest(folder.manifest)
    if manifest.parts:
        if data.root is not None or data.category is not None:
            raise ConfigError("a run of several categories is measured on its own test splits")
        work.note(*manifest.notes)
        return _evaluate_parts(folder, work)
    if data.root is None:
        work.note(*manifest.notes)
    elsewhere = None if data.root is None else scan_told(data_config(with_layout(data, work)), work)
    drawn = find_spec("matplotlib") is not None

    def write_beside(measured: MeasuredRun) -> None:
        inspector = Inspector(measured.bundle, work=work)
        write_case_page(measured.place.page, measured.evaluation, inspector)
        if measured.place == folder:
            write_model_card(folder)
        if drawn:
            write_figures(measured.place.figures, measured.evaluation, inspector)

    measured = measure_run(folder, elsewhere, work=work, on_written=write_beside)
    place = measured.place
    written = (place.metrics, place.page)
    return Evaluated(place, {manifest.category: measured.evaluation}, False, written, drawn)


def _evaluate_parts(folder: RunFolder, work: Work) -> Evaluated:
    drawn = find_spec("matplotlib") is not None

    def write_beside(measured: MeasuredParts) -> None:
        write_model_card(folder)
        for name, evaluation in measured.by_category.items() if drawn else ():
            inspector = Inspector(measured.bundle, category=name, work=work)
            write_figures(folder.part(name).figures, evaluation, inspector)

    found = evaluate_parts(folder, work=work, on_written=write_beside).by_category
    return Evaluated(folder, found, True, (folder.metrics, folder.path / "categories"), drawn)
