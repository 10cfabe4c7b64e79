"""What every command has: how its result is shown, and what it works with."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from kizu.cli.printing import say
from kizu.core.text import one_line
from kizu.tasks.options import CoreOptions, Flag, WorkOptions

if TYPE_CHECKING:
    from kizu.core.work import Progress, Work


@dataclass(frozen=True, slots=True)
class Shown:
    """How much is said."""

    verbose: Annotated[bool, Flag("Log what happens, on stderr.", ("--verbose", "-v"))] = False


@dataclass(frozen=True, slots=True)
class ShownAs(Shown):
    """How a result is said."""

    as_json: Annotated[bool, Flag("Print the result as JSON on stdout.", ("--json",))] = False


class _OneLine(logging.Formatter):
    """Names in a message do not end its line; a traceback after it has lines of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        return one_line(super().formatMessage(record))


@contextmanager
def start_work(
    shown: Shown, options: WorkOptions | CoreOptions = CoreOptions(), *, features_mb: int | None = None
) -> "Iterator[Work]":
    """Start logging (facts on stderr; stdout is for data), and make the one object that says what may be used and how
    far it is."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine("%(levelname)s %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.INFO if shown.verbose else logging.WARNING)
    from kizu.core.work import Work

    with _bars() as on_progress:
        work = Work(
            cores=options.threads,
            features_bytes=None if features_mb is None else features_mb << 20,
            on_progress=on_progress,
            on_note=lambda text: say(f"note: {text}", err=True),
        )
        if isinstance(options, WorkOptions):
            work = work.with_runtime(options.runtime.value, options.device.value)
        with work.limit():
            yield work


@contextmanager
def _bars() -> "Iterator[Progress | None]":
    """A progress bar for each stage as it begins, on stderr, only where somebody watches."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    bars = Progress(
        TextColumn("{task.description:>12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=Console(stderr=True),
    )
    known = {}
    with bars:

        def show(stage: str, done: int, total: int) -> None:
            if stage not in known:
                known[stage] = bars.add_task(stage, total=total)
            bars.update(known[stage], completed=done, total=total)

        yield show
