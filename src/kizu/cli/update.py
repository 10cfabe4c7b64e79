"""`kizu update`, `kizu rollback` and `kizu versions`"""

from pathlib import Path
from typing import TYPE_CHECKING

from kizu.cli.options import Shown, start_work
from kizu.cli.printing import say
from kizu.tasks.line_options import RollbackOptions, UpdateOptions
from kizu.tasks.options import RunDir, WorkOptions

if TYPE_CHECKING:
    from kizu.lab.update import Updated


def update(run_dir: RunDir, options: UpdateOptions, using: WorkOptions, shown: Shown) -> None:
    """Learn more good images and put the result in force as a new version; thresholds are set anew by the same rules
    on the same images. `kizu rollback` goes back. Prints the new version's number as its last line."""
    from kizu.tasks.update import update

    with start_work(shown, using) as work:
        changed = update(run_dir, options, work)
    done = changed.done
    for name, why in done.skipped.items():
        say(f"skipped {name}: {why}", err=True)
    before = " before: the same call has made this version" if done.was_there else ""
    say(f"learned {len(done.added)} images{before}", err=True)
    for name in ("image", "pixel"):
        before, now = getattr(done.before, name), getattr(done.thresholds, name)
        say(f"{name} threshold {now.describe()}; before: {before.describe()}", err=True)
    say(f"the thresholds rest on {_base_of(done)} for parts that look otherwise, such as new ones", err=True)
    tell_stale(changed.stale)
    say(str(done.version))


def rollback(run_dir: RunDir, options: RollbackOptions) -> None:
    """Put an earlier version of a run's model in force again. Prints its number."""
    from kizu.tasks.update import rollback

    changed = rollback(run_dir, options)
    step = changed.done
    say(f"version {step.version} is in force, no longer {step.before}", err=True)
    tell_stale(changed.stale)
    say(str(step.version))


def versions(run_dir: RunDir) -> None:
    """The steps by which a run's model came to what it is, and the version in force."""
    from kizu.runs.folder import open_run
    from kizu.runs.versions import read_history

    history = read_history(open_run(run_dir).path)
    for step in history.steps:
        what = {
            "update": f"learned {step.images_added} images",
            "thresholds": "other thresholds",
            "rollback": "rolled back",
        }[step.action]
        reason = f": {step.reason}" if step.reason else ""
        say(f"{step.at}  {step.before} -> {step.version}  {what}{reason}")
    say(f"version {history.in_force} is in force")


def _base_of(done: "Updated") -> str:
    from kizu.core.split import Split

    if done.thresholds.image.split is Split.VALIDATION:
        return "the labelled images that they were chosen on before; they were not chosen"
    return "the images held out when the run was trained; they promise nothing"


def tell_stale(metrics: Path | None) -> None:
    """Say that what was measured is of another version, where there is such."""
    if metrics is not None:
        say(f"{metrics} was measured on another version: run kizu evaluate again", err=True)
