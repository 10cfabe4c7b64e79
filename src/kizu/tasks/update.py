"""A run learns more, or goes back; its card follows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from kizu.core.work import Work
from kizu.lab.update import Updated, update_run
from kizu.lab.versions import roll_back
from kizu.report.model_card import write_model_card
from kizu.report.updating import write_update_page
from kizu.runs.folder import RunFolder, open_run
from kizu.runs.versions import Step
from kizu.tasks.index import refresh_index
from kizu.tasks.line_options import RollbackOptions, UpdateOptions

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Changed(Generic[T]):
    """What was done, and what of the run was measured on another version."""

    done: T
    stale: Path | None


def update(run_dir: Path, options: UpdateOptions, work: Work) -> Changed[Updated]:
    """Learn more good images and put the result in force."""
    folder = open_run(run_dir)
    done = update_run(
        folder, options.images, reason=options.reason, skip_broken=options.skip_broken, work=work
    )
    refresh_index(folder, work)
    write_update_page(folder.path / "update.html", done, options.reason)
    return Changed(done, refresh_card(folder))


def rollback(run_dir: Path, options: RollbackOptions) -> Changed[Step]:
    """Put an earlier version in force again."""
    folder = open_run(run_dir)
    step = roll_back(folder, options.to, reason=options.reason)
    return Changed(step, refresh_card(folder))


def refresh_card(folder: RunFolder) -> Path | None:
    """Write the model card of what is in force now, and tell what was measured before, where anything was."""
    with folder.writing():
        write_model_card(folder)
    return folder.metrics if folder.metrics.exists() else None
