"""What a piece of work may use, who is told how far it is, and how it is stopped: one object, made once at the edge.

It carries the runtime and the device of graphs, cores, memory, scratch disk, kept features, progress and cancellation.
What nobody set is the environment's or the machine's, found out when it is asked for.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from logging import getLogger
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from kizu.core.environment import whole_number
from kizu.core.errors import CancelledError, ConfigError, OutputError
from kizu.core.files import scratch_folder
from kizu.core.threads import blas_threads, cores, in_order, limit_cores

if TYPE_CHECKING:
    from kizu.core.types import F32

T = TypeVar("T")
R = TypeVar("R")

Runtime = Literal["onnxruntime", "openvino"]
Device = Literal["cpu", "cuda"]

Progress = Callable[[str, int, int], None]
"""Called as `on_progress(stage, done, total)` by long work; the edge turns it into progress bars."""

BATCH = 8
"""Images that are handled together, wherever images are: their features take a few MB together."""

MEMORY_VARIABLE = "KIZU_MEMORY_MB"
SCRATCH_VARIABLE = "KIZU_SCRATCH"
FEATURES_VARIABLE = "KIZU_FEATURES_MB"
BYTES_PER_FLOAT = 4
_log = getLogger(__name__)


class Pool(Protocol):
    """Spreads calls over workers: threads of this process, or the machines of a cluster."""

    def map(
        self, make: Callable[[], Callable[[T], R]], items: Iterable[T], *, workers: int, ahead: int
    ) -> Generator[tuple[T, R], None, None]:
        """(item, what the made function gives for it), in the order of `items`.

        Each worker calls `make` once, and then the function that it got; so `make`, items and results can be pickled,
        and nothing that one call does is seen by another. At most `ahead` items are under way or waiting to be taken.
        What a call raises is raised when its turn comes. Closing the generator drops what is queued.
        """
        ...


@dataclass(frozen=True, slots=True)
class Threads:
    """The pool of this process: its threads share one made function."""

    def map(
        self, make: Callable[[], Callable[[T], R]], items: Iterable[T], *, workers: int, ahead: int
    ) -> Generator[tuple[T, R], None, None]:
        """As `Pool.map`."""
        yield from in_order(make(), items, workers=workers, ahead=ahead)


@dataclass(frozen=True, slots=True)
class Work:
    """See the module. Raises `ConfigError` for fewer than one core."""

    runtime: Runtime = "onnxruntime"
    """What runs graphs."""
    device: Device = "cpu"
    """Where they run."""
    cores: int | None = None
    """How many may be kept busy, by decoding, graphs, products and folders alike; None: all that may be used."""
    memory_bytes: int | None = None
    """What features may take before they go to disk; None: KIZU_MEMORY_MB, else half of what is free."""
    scratch: Path | None = None
    """Where they go then; None: KIZU_SCRATCH, else the system's temporary folder."""
    features_bytes: int | None = None
    """How many features are kept for work on the same images; None: KIZU_FEATURES_MB, else none."""
    on_progress: Progress | None = field(default=None, compare=False)
    on_note: Callable[[str], None] | None = field(default=None, compare=False)
    """Told, in words, what was passed over and what is odd."""
    cancelled: Event | None = field(default=None, compare=False)
    """Set from anywhere, it ends the work with `CancelledError` at its next step."""
    pool: Pool = field(default_factory=Threads)

    def __post_init__(self) -> None:
        if self.cores is not None and self.cores < 1:
            raise ConfigError(f"cores must be at least 1, got {self.cores}")

    @property
    def core_count(self) -> int:
        """How many cores the present call may keep busy."""
        return cores() if self.cores is None else min(self.cores, cores())

    def report(self, stage: str, done: int, total: int) -> None:
        """Tell how far `stage` is. Raises `CancelledError` when the work was called off."""
        if self.cancelled is not None and self.cancelled.is_set():
            raise CancelledError(f"{stage} was called off at {done} of {total}")
        if self.on_progress is not None:
            self.on_progress(stage, done, total)

    def note(self, *notes: str) -> None:
        """Tell what was passed over, or is odd."""
        if self.on_note is not None:
            for text in notes:
                self.on_note(text)

    @contextmanager
    def limit(self) -> Iterator[None]:
        """What this thread calls inside keeps to the cores that are allowed, BLAS too."""
        if self.cores is None:
            yield
            return
        with ExitStack() as stack:
            stack.enter_context(limit_cores(self.cores))
            stack.enter_context(blas_threads(self.cores))
            yield

    def share(
        self, make: Callable[[], Callable[[T], R]], items: Iterable[T], *, workers: int | None = None
    ) -> Generator[tuple[T, R], None, None]:
        """`Pool.map` over this work's cores (or `workers`), each call on one, BLAS in the thread that calls it."""
        count = workers or self.core_count
        with blas_threads(1):
            yield from self.pool.map(make, items, workers=count, ahead=2 * count)

    def with_runtime(self, runtime: Runtime, device: Device | None = None) -> Work:
        """The same in another runtime, and on another device where one is named."""
        return replace(self, runtime=runtime, device=device or self.device)

    def quiet(self) -> Work:
        """The same, and nobody is told how far it is; it can still be called off."""
        return replace(self, on_progress=None)

    def portable(self) -> Work:
        """The same without what only this process has: it can be pickled."""
        return replace(self, on_progress=None, on_note=None, cancelled=None, pool=Threads())

    def memory_budget(self) -> int:
        """Bytes that features may take."""
        limit = self.memory_limit()
        return free_memory() // 2 if limit is None else limit

    def memory_limit(self) -> int | None:
        """Bytes that somebody set as the budget; None: nobody did. Raises `ConfigError` for what is no number."""
        if self.memory_bytes is not None:
            return self.memory_bytes
        megabytes = whole_number(MEMORY_VARIABLE)
        return None if megabytes is None else megabytes << 20

    def features_budget(self) -> int:
        """Bytes of features that may be kept on disk for later."""
        if self.features_bytes is not None:
            return self.features_bytes
        return (whole_number(FEATURES_VARIABLE) or 0) << 20

    @contextmanager
    def feature_array(self, rows: int, dim: int) -> Iterator[F32]:
        """An array (rows, dim) to write features to: in memory, or in a file on the scratch disk when it is larger than
        the budget. The file is gone afterwards, however the block ends.

        Raises `OutputError` when the disk has no room for it, before anything is written.
        """
        import numpy as np

        size = rows * dim * BYTES_PER_FLOAT
        if size <= self.memory_budget():
            yield np.empty((rows, dim), np.float32)
            return
        place = self.scratch or os.environ.get(SCRATCH_VARIABLE)
        with scratch_folder(None if place is None else Path(place)) as folder:
            free = shutil.disk_usage(folder).free
            if free < size:  # a write to a mapped page that finds no room would kill the process
                raise OutputError(
                    f"the features take {size >> 20} MB and {folder} has {free >> 20} MB free",
                    hint=f"fit on fewer images, at a smaller size, or point {SCRATCH_VARIABLE} at a larger disk",
                )
            path = folder / "features"
            _log.info("features on disk path=%s megabytes=%d", path, size >> 20)
            _reserve(path, size)
            yield np.memmap(path, np.float32, "r+", shape=(rows, dim))


def _reserve(path: Path, size: int) -> None:
    """A file of `size` bytes that the disk has room for, whoever writes beside it meanwhile. Raises `OSError`."""
    with path.open("xb") as stream:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(stream.fileno(), 0, size)
        else:
            stream.truncate(size)


def free_memory() -> int:
    """Bytes that the machine has free."""
    import psutil

    return int(psutil.virtual_memory().available)


def memory_in_use() -> int:
    """Bytes that this process holds now."""
    import psutil

    return int(psutil.Process().memory_info().rss)
