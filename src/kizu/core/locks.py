"""One process at a time: locks of the operating system, which end with whoever holds them, however that ends.

Who gets one also removes what a kill has left there, and is told when what is locked has been taken away meanwhile.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout, UnixFileLock

from kizu.core.errors import OutputError
from kizu.core.parts import list_builds, list_file_parts, make_folder, name_lock, sweep_file_parts

LOCK = ".lock"
"""The usual name, in the folder that it is for. Its being there says nothing: what is locked is its content."""
RESULTS_LOCK = ".results.lock"
"""Of who writes what was measured, beside who changes what is measured."""
PATIENCE_S = 5.0
"""Who finds a folder in use waits so long."""

StillThere = Callable[[], None]
"""Raises `OutputError` when what is locked has been removed or replaced since."""


@contextmanager
def locked(folder: Path, *, name: str = LOCK, patience_s: float | None = None) -> Iterator[StillThere]:
    """Hold `folder`, which is made where it is missing, until the block ends. Not twice by one thread.

    `name`: `RESULTS_LOCK` for another part of what the folder holds; None of `patience_s`: `PATIENCE_S`. Files that
    killed writers left half written directly in the folder are removed; so whoever writes there holds one of the two.
    Raises `OutputError` naming the folder when another still holds it after that, or it cannot be written; and at the
    end of the block, unless that failed, when the folder has been removed or replaced: nothing was done then.
    """
    try:
        make_folder(folder)
    except OSError as error:
        raise _cannot_lock(folder, error) from error
    with hold(folder / name, folder, PATIENCE_S if patience_s is None else patience_s) as still_there:
        _sweep_when_alone(folder, name)
        yield still_there
        still_there()


@contextmanager
def locked_name(path: Path) -> Iterator[StillThere]:
    """Hold the name `path`, for as long as it takes to make what will be there: a second command is told at once.

    Errors as for `locked`.
    """
    try:
        make_folder(path.parent)
    except OSError as error:
        raise _cannot_lock(path, error) from error
    with hold(name_lock(path), path, PATIENCE_S) as still_there:
        yield still_there
        still_there()


def sweep_builds(folder: Path, *, but: Path | None = None) -> None:
    """Remove what kills have left of folders that were being built in `folder`. Those that are being built stay: each
    has a lock of its own. `but`: the lock of one that the caller builds."""
    for part, lock in list_builds(folder):
        if lock == but:
            continue
        try:
            with hold(lock, lock, 0):
                shutil.rmtree(part, ignore_errors=True)
        except OutputError:
            continue


@contextmanager
def hold(path: Path, told: Path, patience_s: float) -> Iterator[StillThere]:
    """Hold the lock file `path`, in a folder that is there. `told`: what an error names. Raises `OutputError`."""
    held = FileLock(path, timeout=patience_s)
    try:
        held.acquire()
    except Timeout as error:
        raise OutputError(
            f"{told} is in use by another command", hint="wait until that has ended, then try again"
        ) from error
    except OSError as error:
        raise _cannot_lock(told, error) from error
    mine = _identify(path)

    def still_there() -> None:
        if _identify(path) != mine:
            raise OutputError(
                f"{told} was removed or replaced while it was being written",
                hint="nothing there is whole now: run the same command again",
            )

    try:
        yield still_there
    finally:
        # Who waits opens the file anew at each try, and does not take one that has lost its name.
        if isinstance(held, UnixFileLock) and _identify(path) == mine:
            path.unlink(missing_ok=True)
        held.release()


def _sweep_when_alone(folder: Path, name: str) -> None:
    """Half-written files of a folder are a dead writer's when nobody else may be writing there; so is a free lock."""
    others = [folder / other for other in (LOCK, RESULTS_LOCK) if other != name]
    if not list_file_parts(folder) and not any(other.exists() for other in others):
        return
    with ExitStack() as held:
        try:
            for other in others:
                held.enter_context(hold(other, folder, 0))
        except OutputError:
            return  # the next one to hold the folder alone will do it
        sweep_file_parts(folder)


def _identify(path: Path) -> tuple[int, int] | None:
    """Which file it is; None where there is none. That of a file that is held open is no other's."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _cannot_lock(told: Path, error: OSError) -> OutputError:
    return OutputError(
        f"cannot lock {told}: {error.strerror or error}", hint="check that the folder is writable"
    )
