"""What is being written, under names that are nobody else's; what a kill left of it; and what is on the disk for sure.

A file is written as `.kizu-<16 hexadecimal digits>.part` beside its place, by chance, so that two writers do not meet.
A folder is built under the same kind of name, told by the name it will have, so that a second build of it finds the
first. Neither depends on how long that name is.
"""

import errno
import logging
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

from kizu.core.hashing import hash_bytes

_TOKEN = 16
_PART = re.compile(rf"\.kizu-([0-9a-f]{{{_TOKEN}}})\.part")
_LOCK = re.compile(rf"\.kizu-([0-9a-f]{{{_TOKEN}}})\.lock")
_log = logging.getLogger(__name__)


def file_part(path: Path) -> Path:
    """A new name for the file that will be `path`."""
    return path.parent / f".kizu-{secrets.token_hex(_TOKEN // 2)}.part"


def folder_part(path: Path) -> Path:
    """The name under which the folder that will be `path` is built."""
    return _hidden(path, "part")


def name_lock(path: Path) -> Path:
    """The lock of who makes `path`."""
    return _hidden(path, "lock")


def is_part(path: Path) -> bool:
    """Whether it has the name of what is not whole."""
    return _PART.fullmatch(path.name) is not None


def list_builds(folder: Path) -> list[tuple[Path, Path]]:
    """(part, lock) of each folder that is being built in `folder`, or was when that was killed; one may be gone."""
    tokens = set()
    for entry in _entries(folder):
        part, lock = _PART.fullmatch(entry.name), _LOCK.fullmatch(entry.name)
        if lock or (part and entry.is_dir(follow_symlinks=False)):
            tokens.add((part or lock).group(1))  # type: ignore[union-attr]
    return [(folder / f".kizu-{token}.part", folder / f".kizu-{token}.lock") for token in sorted(tokens)]


def list_file_parts(folder: Path, *, deep: bool = False) -> list[Path]:
    """Files that are being written in `folder`, or were when that was killed; `deep`: in the folders below as well."""
    found = []
    for entry in _entries(folder):
        if entry.is_dir(follow_symlinks=False):
            if deep and not _PART.fullmatch(entry.name):
                found += list_file_parts(folder / entry.name, deep=True)
        elif _PART.fullmatch(entry.name):
            found.append(folder / entry.name)
    return found


def sweep_file_parts(folder: Path, *, deep: bool = False) -> None:
    """Remove what kills have left of `list_file_parts`. For who alone writes there now: a living writer would lose his.

    What cannot be removed stays, and is told in the log: it takes room and nothing else.
    """
    for part in list_file_parts(folder, deep=deep):
        try:
            part.unlink(missing_ok=True)
        except OSError as error:
            _log.warning("litter stays path=%s reason=%s", part, error.strerror)


def make_folder(path: Path, *, durable: bool = True) -> None:
    """Make `path` and what is missing above it; `durable`: their names are on the disk. Raises `OSError`."""
    if path.is_dir():
        return
    make_folder(path.parent, durable=durable)
    path.mkdir(exist_ok=True)
    if durable:
        sync_folder(path.parent)


def sync_file(path: Path) -> None:
    """Have the file's content on the disk before this returns."""
    with path.open("r+b") as stream:
        os.fsync(stream.fileno())


def sync_folder(path: Path) -> None:
    """The same for a folder's names. Where the system does not offer that, a rename alone must do."""
    if os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network folders
            raise
    finally:
        os.close(handle)


def _hidden(path: Path, suffix: str) -> Path:
    whole = Path(os.path.abspath(path))  # noqa: PTH100 - resolves "..", and no link
    return whole.parent / f".kizu-{hash_bytes(os.fsencode(whole.name))[:_TOKEN]}.{suffix}"


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError:  # gone, or not to be read: then there is nothing to sweep
        return
