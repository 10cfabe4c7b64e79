"""Options of what shows and sets thresholds, and of what decides again by them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from kizu.tasks.options import Flag


@dataclass(frozen=True, slots=True)
class SetOptions:
    """What the thresholds are set by; all None: they are only shown."""

    rule: Annotated[
        str | None,
        Flag(
            "Set it by this rule: conformal, conformal_confident, maximum, quantile, mean_sigma; on labelled images"
            " f1_max or cost."
        ),
    ] = None
    value: Annotated[float | None, Flag("Set it to this score. Such a threshold promises nothing.")] = None
    pixel_value: Annotated[
        float | None, Flag("Set the pixel threshold to this. It promises nothing; zones go.")
    ] = None
    false_alarm_rate: Annotated[
        float | None, Flag("Promise at most this false-alarm rate on good parts, or refuse.")
    ] = None
    confidence: Annotated[
        float | None, Flag("Promise it for this very threshold with this confidence, such as 0.95.")
    ] = None
    quantile: Annotated[float | None, Flag("For --rule quantile: which one.")] = None
    sigmas: Annotated[float | None, Flag("For --rule mean_sigma: how many.")] = None
    escape_cost: Annotated[float | None, Flag("For --rule cost: of a defective part that passes.")] = None
    overkill_cost: Annotated[float | None, Flag("For --rule cost: of a good part that is rejected.")] = None
    prevalence: Annotated[
        float | None, Flag("For --rule cost: the part of the line's products that is defective.")
    ] = None
    pixel_rule: Annotated[
        str | None, Flag("Set the pixel threshold by this rule as well; the first five.")
    ] = None
    zones: Annotated[str | None, Flag("A pixel threshold for each of rows x columns: 2x3.")] = None
    labelled: Annotated[
        Path | None,
        Flag(
            "A CSV or JSONL file of scores with labels, such as a preds.jsonl whose gt_label somebody filled in.",
            ("--from",),
            is_file=True,
        ),
    ] = None
    reason: Annotated[str | None, Flag("Why; it is kept with the new version. Default: what was set.")] = None


@dataclass(frozen=True, slots=True)
class LookOptions:
    """How they are shown."""

    look: Annotated[bool, Flag("Change nothing: show what these settings would give.", ("--look",))] = False
    picture: Annotated[
        Path | None, Flag("Also draw the histogram as a picture (PNG).", ("--picture",), is_file=True)
    ] = None


@dataclass(frozen=True, slots=True)
class RedecideOptions:
    """Which results are decided again, and by what."""

    results: Annotated[Path, Flag("A folder that `kizu inspect` wrote: with preds.jsonl.", is_argument=True)]
    run_dir: Annotated[
        Path | None, Flag("By the thresholds that are in force in this run.", ("--run-dir",))
    ] = None
    threshold: Annotated[
        float | None, Flag("In place of a run: by this image threshold. It promises nothing.")
    ] = None
    reason: Annotated[
        str | None, Flag("Why; it is kept in redecisions.jsonl. Default: that of the run's version.")
    ] = None
