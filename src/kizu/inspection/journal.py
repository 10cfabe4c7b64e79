"""`preds.jsonl`: appended line by line, so that a run that was stopped goes on where it ended.

A line is written after the pictures it names, so whatever has a line is whole. A line torn by a kill or a full disk
is cut off when the journal is opened again.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from kizu.core.errors import OutputError
from kizu.core.files import write_json
from kizu.core.hashing import hash_value

Record = dict[str, Any]


class Journal:
    """The lines of one inspection, in one folder."""

    def __init__(self, folder: Path, settings: Record) -> None:
        """Open or go on with the journal in `folder`.

        `settings` is what the lines depend on. Raises `OutputError` when the folder holds lines made with other
        settings, or cannot be written.
        """
        self.path = folder / "preds.jsonl"
        self._check_settings(folder / "settings.json", settings)
        try:
            self._cut_torn_line()
            self._stream = self.path.open("a", encoding="utf-8")
        except OSError as error:
            raise _cannot_write(self.path, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def append(self, record: Record) -> None:
        """Write one line. Raises `OutputError`."""
        try:
            self._stream.write(json.dumps(record, allow_nan=False, ensure_ascii=False) + "\n")
            self._stream.flush()
        except OSError as error:
            raise _cannot_write(self.path, error) from error

    def records(self) -> Iterator[Record]:
        """The lines so far, one at a time."""
        return lines_of(self.path)

    def _check_settings(self, path: Path, settings: Record) -> None:
        if self.path.exists():
            known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
            if known.get("sha256") != hash_value(settings):
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
    """The records of a journal, one at a time."""
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            yield json.loads(line)


def _cannot_write(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"cannot write {path}: {error.strerror or error}",
        hint="make room or choose another --output-dir; run the same command again to go on",
    )
