"""Which picture a line is about: an absolute path, and the content that lay there when it was read."""

import os
import time
from functools import lru_cache
from pathlib import Path
from typing import Annotated, NamedTuple, Self

from pydantic import Field

from kizu.core.hashing import hash_bytes
from kizu.imaging.opening import FileContent
from kizu.inspection.written import MayBeAbsent, Written

OF_SOURCE = "which file was judged, and the content that it held; lines of earlier versions do not say it"
OF_SUPERSEDED = "true: the picture has been judged, or its score decided on, again; this line counts no more"
RACY_NS = 2_000_000_000
"""Clocks of file systems tick as slowly as this: of a file that changed no longer than that before it was read, time
and size do not show a later change."""


class Stamp(NamedTuple):
    """What the file system tells of a file without reading it."""

    size: int
    mtime_ns: int
    ctime_ns: int
    """The time of the last change as the system saw it; copying a file with its times does not set it back."""
    inode: int

    @classmethod
    def of(cls, found: os.stat_result) -> Self:
        """That of a file."""
        return cls(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


class Source(Written):
    """What was judged: a path, and the content found there; of a file that could not be read the path alone."""

    path: str = Field(description="absolute; links of its folder resolved")
    sha256: MayBeAbsent[Annotated[str, Field(pattern="^[0-9a-f]{64}$")]] = Field(
        default=None, description="of the file's bytes"
    )
    size: MayBeAbsent[Annotated[int, Field(ge=0)]] = Field(default=None, description="bytes")
    mtime_ns: MayBeAbsent[int] = Field(default=None, description="when its file system says it was written")
    ctime_ns: MayBeAbsent[int] = Field(default=None, description="when its file system last saw it change")
    inode: MayBeAbsent[Annotated[int, Field(ge=0)]] = Field(
        default=None, description="its number in its file system"
    )
    read_ns: MayBeAbsent[int] = Field(
        default=None, description="when it was read, nanoseconds since 1970 by this machine's clock"
    )

    @classmethod
    def of(cls, path: str, content: FileContent) -> Self:
        """That of a file that was read."""
        stamp = Stamp.of(content.found)
        return cls(path=path, sha256=hash_bytes(content.data), **stamp._asdict(), read_ns=time.time_ns())

    def is_surely_still(self, stamp: Stamp) -> bool:
        """Whether a file with this stamp holds the same content for sure; where not, its bytes say."""
        mine = (self.size, self.mtime_ns, self.ctime_ns, self.inode)
        return mine == stamp and max(stamp.mtime_ns, stamp.ctime_ns) + RACY_NS < (self.read_ns or 0)


def stamp_at(path: Path | str) -> Stamp | None:
    """The stamp of the file that lies there now; None where none can be seen."""
    try:
        return Stamp.of(os.stat(path))  # noqa: PTH116 - strings are quicker, and there may be many
    except OSError:
        return None


def identify(path: Path | str) -> str:
    """One name for a file, however it was given: absolute, the links of its folder resolved.

    The file's own name stays, so that a link which is set anew is one picture with a new content.
    """
    folder, name = os.path.split(path)
    if name in ("", ".", ".."):
        return os.path.realpath(path)
    return os.path.join(_real_folder(os.path.join(os.getcwd(), folder)), name)  # noqa: PTH109, PTH118


def look_at_links_again() -> None:
    """Folders are resolved once; a call that begins looks anew."""
    _real_folder.cache_clear()


@lru_cache(maxsize=4096)
def _real_folder(folder: str) -> str:
    return os.path.realpath(folder)
