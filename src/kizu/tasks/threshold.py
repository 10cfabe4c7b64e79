"""A run's thresholds, shown and set."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kizu.core.errors import ConfigError
from kizu.core.files import write_bytes
from kizu.core.work import Work
from kizu.lab.labelled_file import LabelledScores, read_labelled
from kizu.lab.threshold import Overview, look_at_thresholds, set_by_labels, set_by_rule, set_by_value
from kizu.lab.versions import ThresholdsSet
from kizu.report.threshold import threshold_figure
from kizu.runs.folder import RunFolder, open_run
from kizu.runs.scores import read_calibration
from kizu.tasks.options import parse_grid
from kizu.tasks.threshold_options import LookOptions, SetOptions
from kizu.tasks.update import refresh_card

_NO_SETTING = ("value", "pixel_value", "labelled", "reason")


@dataclass(frozen=True, slots=True)
class ThresholdsChanged:
    """What was set."""

    done: ThresholdsSet
    stale: Path | None
    """What of the run was measured with other thresholds."""
    rejected: tuple[int, int] | None
    """How many of how many calibration images; None: their scores were not kept."""


def look(run_dir: Path, options: SetOptions, shown: LookOptions, work: Work) -> Overview:
    """What is in force, and what each rule would give; drawn, where that was asked for. Nothing is changed."""
    folder = open_run(run_dir)
    found = look_at_thresholds(
        folder, _settings(options), labelled=_labelled(folder, options, work), work=work
    )
    if shown.picture is not None:
        write_bytes(shown.picture, threshold_figure(found), durable=False)
    return found


def change(run_dir: Path, options: SetOptions, work: Work) -> ThresholdsChanged:
    """Set thresholds as asked, as a new version of the run; its card follows. Raises `ConfigError` for options that
    contradict each other."""
    folder = open_run(run_dir)
    done = _set(folder, options, work)
    known = read_calibration(folder.path, done.version)
    rejected = None
    if known is not None:
        rejected = sum(map(done.thresholds.image.is_exceeded_by, known.scores)), len(known.scores)
    return ThresholdsChanged(done, refresh_card(folder), rejected)


def is_asked_to_set(options: SetOptions) -> bool:
    """Whether anything is to be set; labelled scores alone are only looked at."""
    return options.value is not None or options.pixel_value is not None or bool(_settings(options))


def _set(folder: RunFolder, options: SetOptions, work: Work) -> ThresholdsSet:
    settings = _settings(options)
    _refuse_idle(settings)
    if options.value is not None or options.pixel_value is not None:
        if settings or options.labelled is not None:
            names = [f"--{name.replace('_', '-')}" for name in settings] or ["--from"]
            raise ConfigError(f"a value is given as it is: {', '.join(names)} does not go with it")
        return set_by_value(folder, image=options.value, pixel=options.pixel_value, reason=options.reason)
    labelled = _labelled(folder, options, work)
    if labelled is not None:
        return set_by_labels(folder, labelled, settings, reason=options.reason)
    return set_by_rule(folder, settings, reason=options.reason, work=work)


def _labelled(folder: RunFolder, options: SetOptions, work: Work) -> LabelledScores | None:
    if options.labelled is None:
        return None
    found = read_labelled(options.labelled, folder, work)
    if found.unlabelled:
        work.note(f"{found.unlabelled} rows of {options.labelled} say no truth, and are passed over")
    return found


def _settings(options: SetOptions) -> dict[str, Any]:
    """Fields of `CalibrationConfig`. A rate asks for a conformal rule, a confidence for the confident one, labelled
    scores for no rule by themselves."""
    given = {k: v for k, v in asdict(options).items() if v is not None and k not in _NO_SETTING}
    if "zones" in given:
        given["zones"] = parse_grid("--zones", given["zones"])
    if "rule" not in given and options.labelled is None:
        if "confidence" in given:
            given["rule"] = "conformal_confident"
        elif "false_alarm_rate" in given:
            given["rule"] = "conformal"
    return given


def _refuse_idle(given: dict[str, Any]) -> None:
    """A number that the rule does not look at would be in force nowhere. Raises `ConfigError`."""
    belong = {
        "quantile": ("quantile",),
        "sigmas": ("mean_sigma",),
        "escape_cost": ("cost",),
        "overkill_cost": ("cost",),
        "prevalence": ("cost",),
        "confidence": ("conformal_confident",),
        "false_alarm_rate": ("conformal", "conformal_confident"),
    }
    rules = {given.get("rule"), given.get("pixel_rule")}
    for name, wanted in belong.items():
        if name in given and not rules & set(wanted):
            raise ConfigError(
                f"--{name.replace('_', '-')} goes with --rule {' or '.join(wanted)}",
                hint="numbers that a rule does not look at are refused",
            )
