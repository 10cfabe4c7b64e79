"""What a command works with, and progress bars, on stderr, only where somebody watches."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kizu.cli.options import Device, Runtime

if TYPE_CHECKING:
    from kizu.core.work import Progress, Work


@contextmanager
def working(
    runtime: Runtime = Runtime.ONNXRUNTIME,
    device: Device = Device.CPU,
    threads: int | None = None,
    features_mb: int | None = None,
) -> "Iterator[Work]":
    """The one object that says what the command may use and how far it is."""
    from kizu.core.work import Work

    with _bars() as on_progress:
        work = Work(
            runtime=runtime.value,
            device=device.value,
            cores=threads,
            features_bytes=None if features_mb is None else features_mb << 20,
            on_progress=on_progress,
        )
        with work.limited():
            yield work


@contextmanager
def _bars() -> "Iterator[Progress | None]":
    """A bar for each stage as it begins."""
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
