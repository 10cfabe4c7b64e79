"""What the operating system tells of a folder that changes."""

import os
import time
from collections.abc import Collection
from logging import getLogger
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from kizu.inspection.watch import Events, Pause

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent

SHARES = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "9p", "vboxsf", "prl_fs", "drvfs", "davfs"}
)
"""File systems that tell nothing of what another machine writes; all that begin with "fuse" too."""
_log = getLogger(__name__)


class FolderEvents:
    """Changes below a folder, as the system tells them."""

    is_reliable = True

    def __init__(self, folder: Path) -> None:
        """Raises `OSError` where nothing can be watched."""
        self._folder = folder
        self._lock = Lock()
        self._changed: set[Path] = set()
        self._inode: int | None = None
        self._start()

    def wait(self, seconds: float) -> Collection[Path]:
        """Paths that changed meanwhile; it always takes the whole time."""
        time.sleep(seconds)
        if (
            _inode(self._folder) != self._inode
        ):  # deleted, or another disk in its place: the old watch is deaf
            self.close()
            try:
                self._start()
            except OSError as error:
                _log.info("nothing to watch folder=%s reason=%s", self._folder, error)
        with self._lock:
            changed, self._changed = self._changed, set()
        return changed

    def close(self) -> None:
        """Listen no more."""
        self._observer.stop()

    def dispatch(self, event: "FileSystemEvent") -> None:
        """Called by the observer's thread."""
        with self._lock:
            self._changed.update(
                Path(os.fsdecode(path)) for path in (event.src_path, event.dest_path) if path
            )

    def _start(self) -> None:
        from watchdog.events import (
            DirCreatedEvent,
            DirMovedEvent,
            FileClosedEvent,
            FileCreatedEvent,
            FileModifiedEvent,
            FileMovedEvent,
            FileSystemEventHandler,
        )
        from watchdog.observers import Observer

        self._inode = _inode(self._folder)
        handler = FileSystemEventHandler()
        handler.dispatch = self.dispatch  # type: ignore[method-assign]
        self._observer = Observer()
        self._observer.daemon = True
        self._observer.schedule(
            handler,
            str(self._folder),
            recursive=True,
            event_filter=[
                FileCreatedEvent, FileModifiedEvent, FileMovedEvent, FileClosedEvent, DirCreatedEvent, DirMovedEvent,
            ],  # not that somebody reads, as Kizu does
        )  # fmt: skip
        self._observer.start()


def events_of(folder: Path) -> Events:
    """What tells of changes below `folder`: the system; on a share, or where no more can be watched, only time."""
    if _is_share(folder):
        _log.info("folder on a share path=%s: it is looked at now and then", folder)
        return Pause()
    try:
        return FolderEvents(folder)
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

    real = Path(os.path.realpath(folder))
    mounts = [part for part in psutil.disk_partitions(all=True) if real.is_relative_to(part.mountpoint)]
    if not mounts:
        return False
    kind = max(mounts, key=lambda part: len(part.mountpoint)).fstype.lower()
    return kind in SHARES or kind.startswith("fuse")
