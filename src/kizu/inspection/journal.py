"""`preds.jsonl`: appended line by line, so that an inspection that was stopped goes on where it ended.

A line is written after the pictures it names, so whatever has a line is whole. A line torn by a kill or a full disk
is cut off when the journal is opened again; until then it is not read. A line that counts no more is marked where it
stands: each ends in `"superseded": false}`, and that word is overwritten by one as long.
"""

import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from kizu.core.errors import DataError, OutputError
from kizu.core.files import read_json, replace_whole, write_json
from kizu.core.hashing import hash_value
from kizu.core.locks import locked
from kizu.core.parts import sweep_file_parts
from kizu.inspection.records import Record, parse_record

IN_FORCE, SUPERSEDED = b'"superseded": false}\n', b'"superseded": true }\n'
ELSEWHERE = "give another --output-dir, or remove that folder"
SYNC_EVERY_S = 1.0
"""A power cut costs the lines of no more than about this long; their pictures are then inspected again."""


class Line(NamedTuple):
    """A record, and where its line ends in the file."""

    record: Record
    end: int


class Journal:
    """The lines of one inspection, in one folder."""

    def __init__(
        self, folder: Path, settings: dict[str, Any] | None, *, belongs_to: str | None = None
    ) -> None:
        """Open or go on with the journal in `folder`, which is held until the block of the journal ends.

        `settings` is what the lines depend on, None: whatever those did that are there; `belongs_to` the only folder of
        images that they may be of. Raises `OutputError` when the folder holds lines of others, cannot be written, or is
        written by another command.
        """
        self.path = folder / "preds.jsonl"
        self._synced = time.monotonic()
        with ExitStack() as opening:
            opening.enter_context(locked(folder))
            for pictures in (folder / "masks", folder / "overlays", folder / "page"):
                sweep_file_parts(pictures, deep=True)
            if settings is not None:
                self._check_settings(folder / "settings.json", settings, belongs_to)
            try:
                self._handle = os.open(
                    self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), mode=0o666
                )
                opening.callback(os.close, self._handle)
                self._end = self._cut_torn_line()
            except OSError as error:
                raise self._cannot_write(error) from error
            self._held = opening.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """All lines are on the disk then. Raises `OutputError` where they are not, or their file is there no more."""
        with self._held:
            try:
                os.fsync(self._handle)
            except OSError as error:
                raise self._cannot_write(error) from error
            if kind is None:
                self.ensure_there()

    def append(self, record: Record) -> int:
        """Write one line, and tell where it ends. Raises `OutputError`; then nothing of the line is left."""
        line = _encode(record.as_json())
        self.ensure_there()
        try:
            self._write(line, self._end)
        except OSError as error:
            os.ftruncate(self._handle, self._end)
            raise self._cannot_write(error) from error
        self._end += len(line)
        self._sync_now_and_then()
        return self._end

    def supersede(self, end: int) -> None:
        """The line that ends there counts no more. Raises `OutputError`."""
        start = end - len(IN_FORCE)
        try:
            self._write(SUPERSEDED, start)
        except OSError as error:
            raise self._cannot_write(error) from error

    def lines(self) -> Iterator[Line]:
        """All lines so far, one at a time. Raises `DataError` as `lines_of`."""
        return _lines(self.path)

    def ensure_there(self) -> None:
        """Raises `OutputError` when the file has been moved or deleted since it was opened."""
        try:
            found = self.path.stat()
        except OSError:
            found = None
        mine = os.fstat(self._handle)
        if found is None or (found.st_dev, found.st_ino) != (mine.st_dev, mine.st_ino):
            raise OutputError(
                f"{self.path} was moved or deleted while it was being written",
                hint="put it back, or run the same command again to begin anew",
            )

    def mark_all(self) -> None:
        """Put the mark to the lines of earlier versions, which have none: the file is written anew, whole."""
        self.replace({**line.record.as_json(), "superseded": line.record.superseded} for line in self.lines())

    def replace(self, lines: Iterable[dict[str, Any]]) -> None:
        """Write all lines anew, in one move; each as a record's `as_json`. Raises `OutputError`; nothing has changed
        then."""
        self.ensure_there()
        with replace_whole(self.path) as temporary, temporary.open("wb") as out:
            out.writelines(map(_encode, lines))
        os.dup2(_open(self.path), self._handle)
        self._end = os.fstat(self._handle).st_size

    def _write(self, data: bytes, at: int) -> None:
        """All of it: a write may end early where the disk is nearly full."""
        os.lseek(self._handle, at, os.SEEK_SET)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._handle, rest) :]

    def _sync_now_and_then(self) -> None:
        if time.monotonic() - self._synced < SYNC_EVERY_S:
            return
        try:
            os.fsync(self._handle)
        except OSError as error:
            raise self._cannot_write(error) from error
        self._synced = time.monotonic()

    def _check_settings(self, path: Path, settings: dict[str, Any], belongs_to: str | None) -> None:
        if not self.path.exists():
            owner = {} if belongs_to is None else {"images": belongs_to}
            write_json(path, {"sha256": hash_value(settings), "settings": settings, **owner})
            return
        known = _known_settings(path)
        if known.get("sha256") != hash_value(settings):
            raise OutputError(f"{self.path} holds results of another bundle or other options", hint=ELSEWHERE)
        if belongs_to is not None and known.get("images") != belongs_to:
            raise OutputError(f"{self.path} holds results of another folder", hint=ELSEWHERE)

    def _cut_torn_line(self) -> int:
        """Where the last whole line ends, and now the file."""
        end = os.fstat(self._handle).st_size
        with self.path.open("rb") as stream:
            while end:
                start = max(0, end - 65536)
                stream.seek(start)
                found = stream.read(end - start).rfind(b"\n")
                if found >= 0:
                    end = start + found + 1
                    break
                end = start
        os.ftruncate(self._handle, end)
        return end

    def _cannot_write(self, error: OSError) -> OutputError:
        return OutputError(
            f"cannot write {self.path}: {error.strerror or error}",
            hint="make room or choose another --output-dir; run the same command again to go on",
        )


def lines_of(path: Path) -> Iterator[Record]:
    """The records of a journal that count, one at a time. Raises `DataError` naming the file and the line that is
    none."""
    return (line.record for line in _lines(path) if not line.record.superseded)


def _lines(path: Path) -> Iterator[Line]:
    end = 0
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.endswith(b"\n"):
                return
            end += len(line)
            where = f"{path}, line {number}"
            try:
                values = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(
                    f"{where}: this is not JSON: {error}",
                    hint="remove that line; its image is inspected again",
                ) from error
            yield Line(parse_record(values, where=where), end)


def _encode(values: dict[str, Any]) -> bytes:
    """A line. A name that is no UTF-8 has lone surrogates; with a backslash they are JSON's way of writing them."""
    text = json.dumps(values, allow_nan=False, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "backslashreplace")


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))


def read_settings(folder: Path) -> dict[str, Any]:
    """What the lines in `folder` were made with. Raises `OutputError` where nothing says so."""
    found = _known_settings(folder / "settings.json").get("settings")
    if not isinstance(found, dict) or not (folder / "preds.jsonl").is_file():
        raise OutputError(
            f"{folder} holds no results of kizu inspect, or does not say what they were made with",
            hint="give the folder that kizu inspect wrote, with preds.jsonl and settings.json",
        )
    return found


def write_settings(folder: Path, settings: dict[str, Any]) -> None:
    """What the lines in `folder` are of from now on. For who holds the journal there."""
    path = folder / "settings.json"
    write_json(path, {**_known_settings(path), "sha256": hash_value(settings), "settings": settings})


def owner_of(folder: Path) -> str | None:
    """The folder of images that results in `folder` belong to; None where nothing says so."""
    try:
        return _known_settings(folder / "settings.json").get("images")
    except OutputError:
        return None


def _known_settings(path: Path) -> dict[str, Any]:
    """What the lines beside it were made with; empty where nothing says so."""
    if not path.exists():
        return {}
    found = read_json(path, hint=ELSEWHERE, raises=OutputError)
    if not isinstance(found.get("sha256"), str):
        raise OutputError(f"{path} does not say what the results beside it were made with", hint=ELSEWHERE)
    return found
