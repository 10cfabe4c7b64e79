"""Archives from elsewhere, unpacked without harm: nothing lands outside the folder, nothing links, nothing swells."""

import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any

from kizu.core.errors import DataError
from kizu.core.files import ensure_disk_room, new_folder

MOST_BYTES = 512 << 30
MOST_FILES = 2_000_000
_SUSPICIOUS = 1000
"""A file that unpacks to more than this many times its packed size is a trap, not a picture."""
_NOT_SMALL = 64 << 20
_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    ValueError,
    RuntimeError,  # a zip file with a password, or in a way of packing that is not known
)
_FETCH_AGAIN = "fetch the archive again; if that does not help, it is not what it should be"

OnFile = Callable[[int], None]
"""Called with how many files are unpacked; how many there are is not known before."""


@dataclass(frozen=True, slots=True)
class _Member:
    """One entry of an archive."""

    name: str
    size: int
    packed: int | None
    """None: not packed by itself."""
    is_folder: bool
    is_file: bool
    """False besides: a link, a pipe or a device."""
    open: Callable[[], IO[bytes] | None]


def unpack(
    archive: Path,
    folder: Path,
    *,
    most_bytes: int = MOST_BYTES,
    most_files: int = MOST_FILES,
    on_progress: OnFile | None = None,
) -> None:
    """Unpack a tar (plain, gz, bz2, xz) or zip file into the new folder `folder`, which is there whole or not at all.

    Raises `DataError` naming the entry that leads out of the folder, is a link or a device, stands there twice, or goes
    beyond a limit; and for a file that is no such archive or is damaged; `OutputError` as `core.files.new_folder`.
    """
    if not archive.is_file():
        raise DataError(f"{archive} does not exist", hint="name the archive")
    with new_folder(folder, hint="move it away, or name another folder") as temporary:
        try:
            _unpack_all(archive, temporary, most_bytes, most_files, on_progress)
        except _BROKEN as error:
            raise DataError(f"{archive} cannot be unpacked: {error}", hint=_FETCH_AGAIN) from error
        except OSError as error:
            if error.errno is None:  # bz2 says so that its data are damaged
                raise DataError(f"{archive} cannot be unpacked: {error}", hint=_FETCH_AGAIN) from error
            raise


def _unpack_all(
    archive: Path, folder: Path, most_bytes: int, most_files: int, on_progress: OnFile | None
) -> None:
    taken, count = 0, 0
    for member in _members(archive):
        path = folder / _safe_name(archive, member)
        if member.is_folder:
            path.mkdir(parents=True, exist_ok=True)
            continue
        taken, count = taken + member.size, count + 1
        if taken > most_bytes or count > most_files:
            raise DataError(
                f"{archive} unpacks to more than {most_bytes >> 20} MB or {most_files} files: {member.name}",
                hint="this is not what it should be",
            )
        ensure_disk_room(folder, member.size, member.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(archive, member, path)
        if on_progress is not None:
            on_progress(count)


def _write(archive: Path, member: _Member, path: Path) -> None:
    source = member.open()
    if source is None:
        raise DataError(f"{archive}: {member.name} has no content", hint=_FETCH_AGAIN)
    try:
        with source, path.open("xb") as target:
            left = member.size
            while block := source.read(min(1 << 20, left + 1)):
                left -= len(block)
                if left < 0:
                    raise DataError(f"{archive}: {member.name} is larger than it says", hint=_FETCH_AGAIN)
                target.write(block)
    except FileExistsError as error:
        raise DataError(f"{archive} holds {member.name} twice", hint=_FETCH_AGAIN) from error
    if left:
        raise DataError(f"{archive}: {member.name} ends early", hint=_FETCH_AGAIN)


def _safe_name(archive: Path, member: _Member) -> PurePosixPath:
    """The entry's name as a path below the folder."""
    told = f"{archive}: the entry {member.name!r}"
    hint = "such archives can do harm: nothing of it was unpacked"
    path = PurePosixPath(member.name)
    odd = any(sign in member.name for sign in "\\\0") or PureWindowsPath(member.name).drive
    if path.is_absolute() or ".." in path.parts or odd:
        raise DataError(f"{told} leads out of the folder", hint=hint)
    if not (member.is_folder or member.is_file):
        raise DataError(f"{told} is a link or a device", hint=hint)
    if member.is_file and not path.parts:
        raise DataError(f"{told} has no name", hint=hint)
    if (
        member.packed is not None
        and member.size > _NOT_SMALL
        and member.size > _SUSPICIOUS * max(member.packed, 1)
    ):
        raise DataError(f"{told} unpacks to {member.size} bytes from {member.packed}", hint=hint)
    return path


def _members(archive: Path) -> Iterator[_Member]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            for info in opened.infolist():
                yield _of_zip(opened, info)
        return
    with tarfile.open(archive, mode="r:*") as tar:
        for entry in tar:
            yield _Member(
                entry.name, entry.size, None, entry.isdir(), entry.isreg(), partial(tar.extractfile, entry)
            )


def _of_zip(opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
    mode = info.external_attr >> 16
    is_folder = info.is_dir()
    is_file = not is_folder and (stat.S_IFMT(mode) in (0, stat.S_IFREG))

    def content() -> Any:
        return opened.open(info)

    return _Member(info.filename, info.file_size, info.compress_size, is_folder, is_file, content)
