"""From a path or bytes to an open stream, and from what may go wrong to one of two errors.

What is wrong with a file's content is an `ImageError`. What kept us from reading it, and may pass (too many open files,
no memory, a share that is away), is an `UnreadableError`: the same file may be read later.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, NamedTuple

from kizu.core.errors import ImageError, KizuError, UnreadableError


class FileContent(NamedTuple):
    """A file that was read: all of it at once, so that what is hashed is what is decoded."""

    path: Path
    data: bytes
    found: os.stat_result
    """What the file system said of it, the same before its bytes were read and after."""


Source = Path | str | bytes | FileContent
"""A file, the bytes of one, or one that was read."""

MAX_BYTES = 4 << 30
"""No picture that may be decoded is larger, whatever its format."""

_OUT_OF_MEMORY = "out of memory"
"""How Pillow's decoders say it: as an `OSError` without a number."""
_OF_THE_NAME = frozenset(
    {errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ENXIO, errno.ENODEV, errno.EINVAL}
)
"""Errors of the system that do not pass: there is no such thing to read by this name."""
_KINDS = (
    (stat.S_ISDIR, "a folder", "name one file"),
    (stat.S_ISFIFO, "a pipe", "give a regular file"),
    (stat.S_ISSOCK, "a socket", "give a regular file"),
    (stat.S_ISCHR, "a device", "give a regular file"),
    (stat.S_ISBLK, "a device", "give a regular file"),
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a decoder may spend on one image. Checked in the header, before any pixel is decoded."""

    max_pixels: int = 100_000_000
    """Width times height."""
    max_side: int = 65_000
    """Of either side. Line cameras stay below it, and a JPEG, which ends at 65,500, has room for the strip above it."""

    def check(self, width: int, height: int) -> None:
        """Raise `ImageError` for a picture that is larger."""
        if width * height > self.max_pixels:
            raise ImageError(
                f"{width} x {height} pixels are more than the {self.max_pixels:,} allowed",
                hint="crop or shrink the image, or raise max_pixels if its source is trusted",
            )
        if max(width, height) > self.max_side:
            raise ImageError(
                f"{width} x {height} pixels: a side is longer than the {self.max_side:,} allowed",
                hint="cut the image into shorter ones, or raise max_side if its source is trusted",
            )


@contextmanager
def open_source(source: Source) -> Iterator[IO[bytes]]:
    """The file, open from its first byte, or the bytes as one; whatever goes wrong inside is one of the two errors.

    Only regular files are opened: a pipe, a socket or a device is refused and never waited for.
    """
    path = _path_of(source)
    name = "image bytes" if path is None else str(path)
    try:
        with _open(source) as stream:
            yield stream
    except ImageError as error:
        raise type(error)(f"{name}: {error.message}", path=path, hint=error.hint) from error.__cause__
    except KizuError:
        raise
    except FileNotFoundError as error:
        raise UnreadableError(f"{name}: no such file", path=path, hint="check the path") from error
    except PermissionError as error:
        hint = "check who may read the file"
        raise UnreadableError(f"{name}: no permission to read it", path=path, hint=hint) from error
    except Exception as error:  # foreign decoders on arbitrary bytes raise anything
        if told := _what_may_pass(error):
            hint = "what is in the file is not known to be wrong: try again"
            raise UnreadableError(f"{name}: cannot be read now ({told})", path=path, hint=hint) from error
        hint = "the file is damaged or was not written completely; replace it or leave it out"
        raise ImageError(f"{name}: cannot be decoded ({error})", path=path, hint=hint) from error


def read_file(path: Path) -> FileContent:
    """All bytes of a regular file, read once.

    Raises `ImageError` for what is no regular file or too large for a picture, `UnreadableError` for what cannot be
    read now, and for a file that changes meanwhile.
    """
    with open_source(path) as stream:
        before = os.fstat(stream.fileno())
        if before.st_size > MAX_BYTES:
            raise ImageError(f"{before.st_size:,} bytes are too many for a picture", hint="leave it out")
        data = stream.read()
        after = os.fstat(stream.fileno())
        if (before.st_size, before.st_mtime_ns, len(data)) != (
            after.st_size,
            after.st_mtime_ns,
            after.st_size,
        ):
            raise UnreadableError("changed while it was read", hint="it is looked at again when it is whole")
    return FileContent(path, data, after)


def _path_of(source: Source) -> Path | None:
    if isinstance(source, FileContent):
        return source.path
    return None if isinstance(source, bytes) else Path(source)


def _open(source: Source) -> IO[bytes]:
    if isinstance(source, FileContent):
        return BytesIO(source.data)
    return BytesIO(source) if isinstance(source, bytes) else _open_regular(Path(source))


def _open_regular(path: Path) -> IO[bytes]:
    if path.is_dir():  # Windows gives no handle of a folder, and says that it may not be read
        raise ImageError("is a folder, not an image", hint="name one file")
    flags = os.O_RDONLY
    for name in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY"):
        flags |= getattr(os, name, 0)
    handle = os.open(path, flags)
    try:
        mode = os.fstat(handle).st_mode  # of what was opened, whatever has the name by now
        for is_kind, what, hint in _KINDS:
            if is_kind(mode):
                raise ImageError(f"is {what}, not an image", hint=hint)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def _what_may_pass(error: Exception) -> str | None:
    """What kept us from reading, in words; None: it is the file's content."""
    if isinstance(error, MemoryError):
        return "no memory"
    if not isinstance(error, OSError):
        return None
    if error.errno is None:  # of the decoder, not of the system
        return "no memory" if _OUT_OF_MEMORY in str(error) else None
    return None if error.errno in _OF_THE_NAME else error.strerror or str(error)
