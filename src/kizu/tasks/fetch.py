"""A published data set on this disk: fetched or brought, checked, unpacked, its licence accepted and noted.

<to>/<archive>                  as it came; it may be removed afterwards
<to>/<name>.fetched.json        from where, its hash, and that the licence was accepted
<to>/<name>/                    the data set, whole or not there
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kizu.core.config import Stored
from kizu.core.download import download
from kizu.core.errors import ConfigError, DataError
from kizu.core.files import read_stored, write_stored
from kizu.core.hashing import hash_file
from kizu.core.locks import locked_name
from kizu.core.provenance import utc_now
from kizu.core.registry import look_up
from kizu.core.unpack import unpack
from kizu.core.work import Work
from kizu.data.layouts.files import folders_in
from kizu.data.published import PUBLISHED, Published
from kizu.tasks.set_options import FetchOptions


class FetchedFile(Stored):
    """`<name>.fetched.json`."""

    page: str
    url: str | None
    archive: str
    sha256: str
    licence: str
    accepted_at: str


@dataclass(frozen=True, slots=True)
class Fetched:
    """A data set that is here."""

    entry: Published
    root: Path
    """What to give as the data root."""
    archive: Path
    was_there: bool


def fetch(options: FetchOptions, work: Work, table: Mapping[str, Published] = PUBLISHED) -> Fetched:
    """Fetch and unpack the set `options.name` into `options.to`; what is there is not fetched again, and what was cut
    off is gone on with.

    Raises `ConfigError` unless the licence was accepted; `DataError` with what to do where only the publisher's page
    gives the archive, it cannot be reached, or is not what it was; `OutputError` where something else lies in the way.
    """
    if options.name is None or options.to is None:
        raise ConfigError("which data set, and where to?", hint="kizu data fetch visa --to DATA")
    name, entry = options.name, look_up(table, options.name, noun="data set")
    if not options.accept_licence:
        raise ConfigError(
            f"{entry.title}. Licence: {entry.licence}",
            hint=f"read it at {entry.page}; if you accept it, add --accept-licence",
        )
    if entry.archive is None:
        raise DataError(
            f"{name} is given out by its publisher on request, and in several archives",
            hint=f"ask at {entry.page}, unpack what you get, and use the layout {entry.layout}",
        )
    folder, record = options.to / name, options.to / f"{name}.fetched.json"
    archive = options.to / entry.archive
    with locked_name(record):
        known = read_stored(record, FetchedFile) if record.exists() else None
        if folder.is_dir() and known is not None:
            return Fetched(entry, root_in(folder), archive, was_there=True)
        sha256 = entry.sha256 or (None if known is None else known.sha256)
        found = _bring(name, entry, archive, sha256, work)
        if sha256 is None:
            work.note(f"nobody has published the hash of {archive.name}; from now on it must be {found}")
        write_stored(
            record,
            FetchedFile(
                page=entry.page,
                url=entry.url,
                archive=archive.name,
                sha256=found,
                licence=entry.licence,
                accepted_at=utc_now(),
            ),
        )
        unpack(archive, folder, on_progress=lambda done: work.report("unpack", done, done))
    return Fetched(entry, root_in(folder), archive, was_there=False)


def _bring(name: str, entry: Published, archive: Path, sha256: str | None, work: Work) -> str:
    """The archive's hash, after fetching it where it is not there yet."""
    if entry.url is not None:
        return download(
            entry.url,
            archive,
            sha256=sha256,
            on_progress=lambda done, total: work.report("fetch (MB)", done >> 20, total >> 20),
        )
    if not archive.is_file():
        raise DataError(
            f"{name} is given out on its publisher's page only: {entry.page}",
            hint=f"get {archive.name} there, put it at {archive}, and run the same command again",
        )
    found = hash_file(archive)
    if sha256 is not None and found != sha256:
        raise DataError(
            f"{archive} has the SHA-256 {found}, not {sha256}",
            hint="it is not whole, or another version: get it again; a newer version can be unpacked by hand",
        )
    return found


def root_in(folder: Path) -> Path:
    """The folder below which the set really begins: archives often hold everything in one more folder."""
    while True:
        inside = folders_in(folder)
        files = [
            path for path in folder.iterdir() if path.is_file() and path.suffix.lower() in (".json", ".csv")
        ]
        if len(inside) != 1 or files or (inside[0] / "train").is_dir():
            return folder
        folder = inside[0]
