"""One process at a time: locks of the operating system, which end with whoever holds them, however that ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from kizu.core.errors import OutputError

LOCK = ".lock"
"""The usual name, in the folder that it is for. The file stays; what is locked is not its being there."""
PATIENCE_S = 5.0
"""Who finds a folder in use waits so long."""


@contextmanager
def locked(folder: Path, *, name: str = LOCK, patience_s: float | None = None) -> Iterator[None]:
    """Hold `folder`, which is made where it is missing, until the block ends. Not twice by one thread.

    `name`: another for another part of what the folder holds. `patience_s`: None for `PATIENCE_S`.

    Raises `OutputError` naming the folder when another still holds it after `patience_s`, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = FileLock(folder / name, timeout=PATIENCE_S if patience_s is None else patience_s)
        held.acquire()
    except Timeout as error:
        raise OutputError(
            f"{folder} is in use by another command", hint="wait until that has ended, then try again"
        ) from error
    except OSError as error:
        raise OutputError(
            f"cannot lock {folder}: {error.strerror or error}", hint="check that the folder is writable"
        ) from error
    try:
        yield
    finally:
        held.release()
