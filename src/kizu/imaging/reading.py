"""A file's bytes, and what the file system said of it while they were read."""

import os
import stat
from pathlib import Path
from typing import NamedTuple

from kizu.core.errors import ImageError, UnreadableError

MAX_BYTES = 4 << 30
"""No picture that may be decoded is larger, whatever its format."""


class FileContent(NamedTuple):
    """All of a file."""

    data: bytes
    found: os.stat_result
    """Of the open file, before its bytes were read and, unless that raised, after."""


def read_file(path: Path) -> FileContent:
    """All bytes of a regular file, read once.

    Raises `ImageError` for what is no regular file or too large to be a picture, `UnreadableError` for what cannot be
    read now, and for a file that changes meanwhile.
    """
    try:
        # Opening a pipe would wait for a writer; without waiting, it is opened and refused.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(handle, "rb", buffering=0) as stream:  # noqa: PTH123 - of the handle, not of the path
            before = os.fstat(handle)
            if stat.S_ISDIR(before.st_mode):
                raise ImageError(f"{path}: is a folder, not an image", path=path, hint="name one file")
            if not stat.S_ISREG(before.st_mode):
                raise ImageError(f"{path}: is no regular file", path=path, hint="name a file with a picture")
            if before.st_size > MAX_BYTES:
                raise ImageError(f"{path}: {before.st_size:,} bytes are too many for a picture", path=path)
            data = stream.read()
            after = os.fstat(handle)
    except FileNotFoundError as error:
        raise UnreadableError(f"{path}: no such file", path=path, hint="check the path") from error
    except PermissionError as error:
        hint = "check who may read the file"
        raise UnreadableError(f"{path}: no permission to read it", path=path, hint=hint) from error
    except IsADirectoryError as error:
        raise ImageError(f"{path}: is a folder, not an image", path=path, hint="name one file") from error
    except (OSError, MemoryError) as error:
        told = error.strerror if isinstance(error, OSError) and error.strerror else "no memory"
        raise UnreadableError(f"{path}: cannot be read now ({told})", path=path, hint="try again") from error
    if _changed(before, after) or len(data) != after.st_size:
        raise UnreadableError(f"{path}: changed while it was read", path=path, hint="try again")
    return FileContent(data, after)


def _changed(before: os.stat_result, after: os.stat_result) -> bool:
    return (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns)
