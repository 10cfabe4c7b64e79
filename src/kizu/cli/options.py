"""What every command has: how its result is shown, and what it works with."""

import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from kizu.cli.printing import say
from kizu.core.errors import ConfigError
from kizu.core.text import one_line
from kizu.tasks.options import CoreOptions, Flag, WorkOptions

if TYPE_CHECKING:
    from kizu.core.work import Progress, Work


PROGRESS_VARIABLE = "KIZU_PROGRESS_S"
"""Seconds between two lines that say how far it is, where there is no terminal; 0: none."""


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
    """How far each stage is, on stderr: bars where somebody watches, else a line now and then."""
    if not sys.stderr.isatty():
        with _lines() as told:
            yield told
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
        starting = bars.add_task("starting", total=None)  # it moves before anything can be counted

        def show(stage: str, done: int, total: int) -> None:
            if stage not in known:
                bars.update(starting, visible=False)
                known[stage] = bars.add_task(stage, total=total)
            bars.update(known[stage], completed=done, total=total)

        yield show


@contextmanager
def _lines() -> "Iterator[Progress | None]":
    """A line every `PROGRESS_VARIABLE` seconds, also where nothing was counted since: a log shows that it lives."""
    seconds = _line_seconds()
    if seconds <= 0:
        yield None
        return
    start, known, ended = time.monotonic(), ["starting"], threading.Event()

    def show(stage: str, done: int, total: int) -> None:
        known[0] = f"{stage} {done} of {total}"

    def tell() -> None:
        while not ended.wait(seconds):
            say(f"{time.monotonic() - start:.0f} s: {known[0]}", err=True)

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield show
    finally:
        ended.set()
        teller.join()


def _line_seconds() -> float:
    text = os.environ.get(PROGRESS_VARIABLE, "10")
    try:
        return float(text)
    except ValueError as error:
        raise ConfigError(
            f"{PROGRESS_VARIABLE}={text} is no number of seconds", hint="0: no lines"
        ) from error
