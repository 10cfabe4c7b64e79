"""Folders of pictures as they lie on disk: what is in each of them, and what was passed over.

The one reader of folders, for all layouts and for what a line inspects. What a file is is asked of its name first, and
of its first bytes where the name is none that Kizu's pictures have; the answer holds until the file changes.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from kizu.core.errors import DataError
from kizu.data.passed import NOT_READ, Passed, Reason
from kizu.imaging.codec import IMAGE_SUFFIXES
from kizu.imaging.sniff import Sniffed, sniff

KEPT = 1 << 18
"""Files whose kind is remembered."""
_UNFINISHED = frozenset(
    {".part", ".partial", ".filepart", ".tmp", ".temp", ".crdownload", ".download", ".opdownload"}
)
_RESULTS = ("preds.jsonl", "ranking.jsonl")
"""Beside one of these, `masks` and `overlays` are what Kizu wrote."""
_MARKS = frozenset({"demo.json"})
"""Says of the folder that Kizu drew it."""
_RUN = frozenset({"manifest.jsonl", "config.yaml"})
"""With these a folder is a run."""

Asked = Callable[[str], bool]


class SeenFile(NamedTuple):
    """A file as it was when somebody looked: what is known of it holds until it changes."""

    path: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Lot:
    """The pictures that lie in one folder, not below it."""

    folder: Path
    parts: tuple[str, ...]
    """The names of the folders on the way to it, from where the walk began."""
    names: tuple[str, ...]
    """Of the picture files, sorted."""

    @property
    def place(self) -> str:
        """The folder as seen from where the walk began: "good/monday"; "." where it began."""
        return "/".join(self.parts) or "."

    def path(self, name: str) -> Path:
        """Of one picture."""
        return self.folder / name


def walk(
    start: Path,
    passed: Passed,
    *,
    under: str = "",
    follow: Asked = lambda _: False,
    wanted: Asked = lambda _: True,
) -> Iterator[Lot]:
    """The lots in `start` and below, also the empty ones: a folder's own pictures first, then its sub-folders, by name.

    Links to folders are not followed, but for those in `start` itself whose name `follow` takes. Folders that Kizu
    wrote are left out, unless the walk begins there. `under`: what the names of what is passed over begin with, such
    as "train/good". `wanted`: of files that are passed over, which ones somebody asked for, by their names below
    `start`. Raises `DataError` for a folder that cannot be listed.
    """
    waiting: list[tuple[Path, tuple[str, ...]]] = [(start, ())]
    while waiting:
        folder, parts = waiting.pop()
        if parts and not folder.is_dir():
            continue  # gone since its folder was listed
        entries = _list(folder)
        if parts and _is_run(entries):
            passed.add(Reason.OWN_OUTPUT, "/".join((*_parts(under), *parts)))
            continue
        inside = "/".join((*_parts(under), *parts, ""))
        names, below = _sort_out(entries, inside, passed, follow if not parts else lambda _: False, wanted)
        yield Lot(folder, parts, tuple(names))
        waiting += [(folder / name, (*parts, name)) for name in reversed(below)]


def _list(folder: Path) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as listing:
            return sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        hint = "check who may read the folder"
        raise DataError(f"cannot list {folder}: {error.strerror}", hint=hint) from error


def count_pictures(folder: Path) -> int:
    """How many pictures lie in a folder and below it, also those in formats that are not read."""
    passed = Passed()
    readable = sum(len(lot.names) for lot in walk(folder, passed))
    return readable + sum(row.count for row in passed.rows() if row.reason in NOT_READ)


def suffix_of(name: str) -> str:
    """As `Path.suffix`, in lower case."""
    dot = name.rfind(".")
    return name[dot:].lower() if dot > 0 else ""


def stem_of(name: str) -> str:
    """As `Path.stem`."""
    dot = name.rfind(".")
    return name[:dot] if dot > 0 else name


def pictures_directly_in(folder: Path, passed: Passed, *, under: str = "") -> list[str]:
    """The names of pictures in a folder, not below it; none where it is not there. `under`: as for `walk`."""
    if not folder.is_dir():
        return []
    return _sort_out(_list(folder), "/".join((*_parts(under), "")), passed, lambda _: True)[0]


def _parts(under: str) -> tuple[str, ...]:
    return (under,) if under else ()


def _is_run(entries: list["os.DirEntry[str]"]) -> bool:
    return {entry.name for entry in entries} >= _RUN


def _sort_out(
    entries: list["os.DirEntry[str]"],
    inside: str,
    passed: Passed,
    follow: Asked,
    wanted: Asked = lambda _: True,
) -> tuple[list[str], list[str]]:
    """The names of pictures and of sub-folders; what else there is goes into `passed`, its name after `inside`."""
    there = {entry.name for entry in entries if entry.name in _RUN or entry.name in _RESULTS}
    own = {"masks", "overlays"} if there.intersection(_RESULTS) else set()
    if there >= _RUN:
        own |= {"figs", "predictions", "inspections", "evaluations", "versions"}
    names: list[str] = []
    below: list[str] = []
    for entry in entries:
        name = entry.name
        if name in _MARKS:
            continue
        if name.startswith("."):
            passed.add(Reason.HIDDEN, inside + name)
        elif _is_folder(entry):
            if name in own:
                passed.add(Reason.OWN_OUTPUT, inside + name)
            elif entry.is_symlink() and not follow(name):
                passed.add(Reason.LINKED, inside + name)
            else:
                below.append(name)
        else:
            reason, told = _judge(entry)
            if reason is None:
                names.append(name)
            elif reason in NOT_READ and not wanted(inside + name):
                passed.add(Reason.NO_MATCH, inside + name)
            else:
                passed.add(reason, inside + name + told)
    return names, below


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that goes round in circles
        return False


def _judge(entry: "os.DirEntry[str]") -> tuple[Reason | None, str]:
    """Why a file is no picture to be listed, and what to say beside its name; None: it is one."""
    suffix = suffix_of(entry.name)
    try:
        if not entry.is_file() and os.path.exists(entry.path):  # noqa: PTH110 - quick
            return Reason.SPECIAL, ""
        if suffix in IMAGE_SUFFIXES:
            return None, ""  # what it holds, and whether a link leads anywhere, is seen when it is decoded
        if suffix in _UNFINISHED:
            return Reason.UNFINISHED, ""
        found = entry.stat()
        kind = _kind(SeenFile(entry.path, found.st_size, found.st_mtime_ns))
    except OSError:
        return Reason.UNREADABLE, ""
    if kind is None:
        return Reason.NO_PICTURE, ""
    return (None, "") if kind.is_read else (Reason.OTHER_FORMAT, f": {kind.format}")


@lru_cache(maxsize=KEPT)
def _kind(file: SeenFile) -> Sniffed | None:
    return sniff(file.path) if file.size else None
