"""Where the features of a fit are kept: in memory while they leave room, on disk when they would not."""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil

from kizu.core.errors import OutputError
from kizu.core.types import F32

MEMORY_VARIABLE = "KIZU_MEMORY_MB"
SCRATCH_VARIABLE = "KIZU_SCRATCH"
BYTES_PER_FLOAT = 4
_log = logging.getLogger(__name__)


def memory_budget() -> int:
    """Bytes that features may take: KIZU_MEMORY_MB, else half of what the machine has free now."""
    given = os.environ.get(MEMORY_VARIABLE)
    if given:
        return int(given) << 20
    return int(psutil.virtual_memory().available) // 2


@contextmanager
def feature_array(rows: int, dim: int) -> Iterator[F32]:
    """An array (rows, dim) to write features to: in memory, or in a file under KIZU_SCRATCH (the system's temporary
    folder) when it is larger than the budget. The file is gone afterwards, however the block ends.

    Raises `OutputError` when the disk has no room for it, before anything is written.
    """
    size = rows * dim * BYTES_PER_FLOAT
    if size <= memory_budget():
        yield np.empty((rows, dim), np.float32)
        return
    with tempfile.TemporaryDirectory(prefix="kizu-", dir=os.environ.get(SCRATCH_VARIABLE)) as folder:
        free = shutil.disk_usage(folder).free
        if free < size:  # a write to a mapped page that finds no room would kill the process
            raise OutputError(
                f"the features take {size >> 20} MB and {folder} has {free >> 20} MB free",
                hint=f"fit on fewer images, at a smaller size, or point {SCRATCH_VARIABLE} at a larger disk",
            )
        path = Path(folder) / "features"
        _log.info("features on disk path=%s megabytes=%d", path, size >> 20)
        yield np.memmap(path, np.float32, "w+", shape=(rows, dim))
