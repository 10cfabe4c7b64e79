"""`preds.jsonl`: appended line by line, so that a run that was stopped goes on where it ended.

A line is written after the pictures it names, so whatever has a line is whole. A line torn by a kill or a full disk
is cut off when the journal is opened again; until then it is not read.
"""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from kizu.core.errors import DataError, OutputError
from kizu.core.files import write_json
from kizu.core.hashing import hash_value
from kizu.core.locks import locked
from kizu.inspection.records import Record, parse_record


class Journal:
    """The lines of one inspection, in one folder."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        """Open or go on with the journal in `folder`, which is held until the block of the journal ends.

        `settings` is what the lines depend on. Raises `OutputError` when the folder holds lines made with other
        settings, cannot be written, or is being written by another command.
        """
        self.path = folder / "preds.jsonl"
        with ExitStack() as opening:
            opening.enter_context(locked(folder))
            self._check_settings(folder / "settings.json", settings)
            try:
                self._cut_torn_line()
                # A name that is no UTF-8 has lone surrogates; with a backslash they are JSON's way of writing them.
                self._stream = self.path.open("a", encoding="utf-8", errors="backslashreplace")
            except OSError as error:
                raise _cannot_write(self.path, error) from error
            self._held = opening.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """All lines are on the disk then; while they come, a power cut costs no more than has to be done again."""
        with self._held, self._stream:
            try:
                os.fsync(self._stream.fileno())
            except OSError as error:
                raise _cannot_write(self.path, error) from error

    def append(self, record: Record) -> None:
        """Write one line. Raises `OutputError`."""
        try:
            self._stream.write(json.dumps(record.as_json(), allow_nan=False, ensure_ascii=False) + "\n")
            self._stream.flush()
        except OSError as error:
            raise _cannot_write(self.path, error) from error

    def records(self) -> Iterator[Record]:
        """The lines so far, one at a time. Raises `DataError` as `lines_of`."""
        return lines_of(self.path)

    def _check_settings(self, path: Path, settings: dict[str, Any]) -> None:
        if self.path.exists():
            if _known_hash(path) != hash_value(settings):
                raise OutputError(
                    f"{self.path} holds results of another bundle or other options",
                    hint="give another --output-dir, or remove that folder",
                )
        else:
            write_json(path, {"sha256": hash_value(settings), "settings": settings})

    def _cut_torn_line(self) -> None:
        if not self.path.exists():
            return
        with self.path.open("rb+") as stream:
            whole = sum(len(line) for line in stream if line.endswith(b"\n"))
            stream.truncate(whole)


def lines_of(path: Path) -> Iterator[Record]:
    """The records of a journal, one at a time. Raises `DataError` naming the file and the line that is none."""
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.endswith(b"\n"):
                return
            where = f"{path}, line {number}"
            try:
                values = json.loads(line)
            except ValueError as error:
                raise DataError(
                    f"{where}: this is not JSON: {error}",
                    hint="remove that line; its image is inspected again",
                ) from error
            yield parse_record(values, where=where)


def _known_hash(path: Path) -> str | None:
    """What the lines were made with; None where nothing says so."""
    if not path.exists():
        return None
    try:
        return str(json.loads(path.read_bytes())["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(
            f"{path} does not say what the results beside it were made with: {error!r}",
            hint="give another --output-dir, or remove that folder",
        ) from error


def _cannot_write(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"cannot write {path}: {error.strerror or error}",
        hint="make room or choose another --output-dir; run the same command again to go on",
    )
