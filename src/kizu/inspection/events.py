"""What the operating system tells of a folder that changes."""

import os
import time
from collections.abc import Collection
from logging import getLogger
from pathlib import Path

from kizu.inspection.watch import Events, Pause

SHARES = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "9p", "vboxsf", "prl_fs", "drvfs", "davfs"}
)
"""File systems that tell nothing of what another machine writes; all that begin with "fuse" too."""
_log = getLogger(__name__)


class FolderEvents:
    """Changes below a folder, as the system tells them. Not to be used by two threads at once."""

    is_reliable = True

    def __init__(self, folder: Path, seconds: float) -> None:
        """`seconds`: the longest that `wait` will be asked to wait. Raises `OSError` where nothing can be watched."""
        self._folder, self._seconds = folder, seconds
        self._inode: int | None = None
        self._start()

    def wait(self, seconds: float) -> Collection[Path]:
        """Paths that changed meanwhile; it always takes the whole time."""
        until = time.monotonic() + seconds
        found: set[Path] = set()
        try:
            if (
                _inode(self._folder) != self._inode
            ):  # deleted, or another disk in its place: the old watch is deaf
                self._start()
            found = {Path(name) for _, name in next(self._changes)}
        except (OSError, StopIteration) as error:
            _log.info("watch lost folder=%s reason=%s", self._folder, error)
            self._inode = None
        time.sleep(max(0.0, until - time.monotonic()))
        return found

    def _start(self) -> None:
        from watchfiles import watch

        inode = _inode(self._folder)
        if inode is None:
            raise FileNotFoundError(f"{self._folder} is not there")
        self._changes = watch(
            self._folder,
            watch_filter=None,
            debounce=50,
            step=5,
            rust_timeout=max(1, int(self._seconds * 1000)),
            yield_on_timeout=True,
        )
        self._inode = inode


def events_of(folder: Path, seconds: float) -> Events:
    """What tells of changes below `folder`: the system; on a share, or where no more can be watched, only time."""
    if _is_share(folder):
        _log.info("folder on a share path=%s: it is looked at now and then", folder)
        return Pause()
    try:
        return FolderEvents(folder, seconds)
    except OSError as error:
        _log.warning("no events folder=%s reason=%s: it is looked at now and then", folder, error)
        return Pause()


def _inode(folder: Path) -> int | None:
    try:
        return folder.stat().st_ino
    except OSError:
        return None


def _is_share(folder: Path) -> bool:
    import psutil

    real = os.path.realpath(folder)
    mounts = [
        part for part in psutil.disk_partitions(all=True) if Path(real).is_relative_to(Path(part.mountpoint))
    ]
    if not mounts:
        return False
    kind = max(mounts, key=lambda part: len(part.mountpoint)).fstype.lower()
    return kind in SHARES or kind.startswith("fuse")
