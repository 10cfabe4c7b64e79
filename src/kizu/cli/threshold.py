"""`kizu threshold` and `kizu redecide`"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from kizu.cli.options import ShownAs, start_work
from kizu.cli.printing import say, say_text
from kizu.cli.update import tell_stale
from kizu.tasks.options import Flag, WorkOptions
from kizu.tasks.threshold_options import LookOptions, RedecideOptions, SetOptions

if TYPE_CHECKING:
    from kizu.inspection.redecide import Redecision
    from kizu.lab.threshold import Overview
    from kizu.tasks.threshold import ThresholdsChanged


def threshold(
    run_dir: Annotated[Path, Flag("The run folder that `kizu train` printed.", is_argument=True)],
    options: SetOptions,
    look: LookOptions,
    using: WorkOptions,
    shown: ShownAs,
) -> None:
    """Show a run's scores and what each rule would set and promise; or set the thresholds, as a new version.

    Without options nothing is changed. `kizu threshold RUN --false-alarm-rate 0.02`, `--value 1.38`, `--rule maximum`,
    or `--from reviewed.csv --rule f1_max` set them, and print the version's number; `kizu rollback` takes it back.
    """
    from kizu.tasks.threshold import change, is_asked_to_set
    from kizu.tasks.threshold import look as look_at

    with start_work(shown, using) as work:
        if look.look or not is_asked_to_set(options):
            found = look_at(run_dir, options, look, work)
            if look.picture is not None:
                say(f"wrote {look.picture}", err=True)
            _show(found, as_json=shown.as_json)
            return
        changed = change(run_dir, options, work)
        if look.picture is not None:
            look_at(run_dir, SetOptions(labelled=options.labelled), look, work)
            say(f"wrote {look.picture}", err=True)
    _tell_set(changed, as_json=shown.as_json)


def redecide(options: RedecideOptions, shown: ShownAs) -> None:
    """Decide again what `kizu inspect` has scored, by a run's thresholds in force or by a value, without inference.

    Each line is superseded by one that says so. What becomes NG lists no flaws until `kizu inspect` looks at it again.
    """
    from dataclasses import asdict

    from kizu.tasks.redecide import redecide

    with start_work(shown):
        done = redecide(options)
    counts = done.counts
    if done.was_there:
        say(f"all lines were decided by {done.image_threshold:.6g} already", err=True)
    if counts.not_decided:
        say(f"{counts.not_decided} pictures could not be inspected, and have no score to decide by", err=True)
    if counts.ok_to_ng + counts.ng_to_ok:
        say("masks and overlays that showed another verdict were removed", err=True)
    if counts.flaws_unknown:
        say(_tell_open(options, done), err=True)
    if shown.as_json:
        say_text(json.dumps({**asdict(counts), "image_threshold": done.image_threshold}, indent=2))
    else:
        say(f"OK -> NG: {counts.ok_to_ng}, NG -> OK: {counts.ng_to_ok}, as before: {counts.stayed}")


def _tell_open(options: RedecideOptions, done: "Redecision") -> str:
    told = f"{done.counts.flaws_unknown} NG pictures list no flaws, for none were cut at these thresholds"
    if options.run_dir is None:
        return f"{told}; make the threshold the run's to have them: kizu threshold RUN --value {done.image_threshold:g}"
    images = done.images or "IMAGES"
    return (
        f"{told}: kizu inspect --model {options.run_dir} {images} --output-dir {options.results}"
        " looks at these again"
    )


def _show(found: "Overview", *, as_json: bool) -> None:
    from kizu.report.threshold import threshold_json, threshold_text

    say_text(json.dumps(threshold_json(found), indent=2) if as_json else threshold_text(found))


def _tell_set(changed: "ThresholdsChanged", *, as_json: bool) -> None:
    done = changed.done
    if done.was_there:
        say("these thresholds are in force already: nothing was changed", err=True)
    for name in ("image", "pixel"):
        before, now = getattr(done.before, name), getattr(done.thresholds, name)
        said = "as before" if now == before else f"before: {before.describe()}"
        say(f"{name} threshold {now.describe()}; {said}", err=True)
    if done.thresholds.zones is not None:
        say(f"in its place by zone {done.thresholds.zones.describe()}", err=True)
    if changed.rejected is not None:
        above, count = changed.rejected
        say(f"{above} of the {count} calibration images are above it", err=True)
    tell_stale(changed.stale)
    if as_json:
        thresholds = done.thresholds.model_dump(mode="json")
        say_text(json.dumps({"version": done.version, "thresholds": thresholds}, indent=2))
    else:
        say(str(done.version))
