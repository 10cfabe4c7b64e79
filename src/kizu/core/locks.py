"""One process at a time: locks of the operating system, which end with whoever holds them, however that ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout, UnixFileLock

from kizu.core.errors import OutputError

LOCK = ".lock"
"""The usual name, in the folder that it is for. Its being there says nothing: what is locked is its content."""
PATIENCE_S = 5.0
"""Who finds a folder in use waits so long."""


@contextmanager
def locked(folder: Path, *, name: str = LOCK) -> Iterator[None]:
    """Hold `folder`, which is made where it is missing, until the block ends. Not twice by one thread.

    `name`: another for another part of what the folder holds. Raises `OutputError` naming the folder when another
    still holds it after `PATIENCE_S`, or it cannot be written.
    """
    path = folder / name
    held = FileLock(path, timeout=PATIENCE_S)
    try:
        folder.mkdir(parents=True, exist_ok=True)
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
        # Who waits opens the file anew at each try, and does not take one that has lost its name.
        if isinstance(held, UnixFileLock):
            path.unlink(missing_ok=True)
        held.release()
