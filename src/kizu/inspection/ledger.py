"""Which pictures have a line that counts, of which content: what is still to do, and which line a new one replaces."""

from pathlib import Path, PurePosixPath
from typing import NamedTuple

from kizu.core.errors import OutputError
from kizu.core.parts import sweep_file_parts
from kizu.data.manifest import Sample
from kizu.inspection.journal import Journal
from kizu.inspection.names import PictureNames
from kizu.inspection.records import Failure, Prediction, Record
from kizu.inspection.report import Outcome
from kizu.inspection.source import Source, identify, look_at_links_again, stamp_at
from kizu.inspection.tally import Tally

FINAL: frozenset[Outcome] = frozenset({"inspected", "damaged", "mismatched", "unknown"})
"""What stays as it is for as long as the picture does; all else is tried again."""


class Entry(NamedTuple):
    """What is known of a picture without reading its line again."""

    end: int
    """Where its line ends."""
    outcome: Outcome
    source: Source | None
    """None: by an earlier version, which does not say what content it saw."""
    error: str | None
    pictures: tuple[str, ...]
    """Mask and overlay, as paths."""
    is_final: bool
    """It stays as it is for as long as the picture does."""


class Ledger:
    """The journal's lines by picture."""

    def __init__(self, journal: Journal, output_dir: Path) -> None:
        """Read what is there. Of two lines for one picture, left by a kill, the later counts.

        Raises `DataError` for a line that is none.
        """
        look_at_links_again()
        self._journal = journal
        self._output_dir = output_dir
        for folder in ("masks", "overlays", "page"):  # nobody else writes there, as the journal is held
            sweep_file_parts(output_dir / folder, deep=True)
        self._entries: dict[str, Entry] = {}
        self._old_paths: dict[str, str] = {}
        """`image_path` of lines that have no source -> their key."""
        self.names = PictureNames()
        self.tally = Tally()
        if any("superseded" not in line.record.model_fields_set for line in journal.lines()):
            journal.mark_all()
        for record, end in journal.lines():
            if record.superseded:
                self.tally.superseded += 1
            else:
                self._enter(record, end)
                self._take_names(record)

    def error(self, key: str) -> str | None:
        """Why this picture could not be inspected; None where it was, or has no line."""
        entry = self._entries.get(key)
        return None if entry is None else entry.error

    def is_done(self, sample: Sample) -> bool:
        """Whether the line of this picture is of the content that lies there now, for sure and without reading it.

        A picture that is gone since it was judged is done.
        """
        entry = self._entries.get(identify(sample.path))
        if entry is None or entry.source is None or not entry.is_final:
            return False
        stamp = stamp_at(sample.path)
        return stamp is None or entry.source.is_surely_still(stamp)

    def known_content(self, key: str) -> str | None:
        """The hash of the content that the line of this picture is of; None where it has none that stays."""
        entry = self._entries.get(key)
        if entry is None or entry.source is None or not entry.is_final:
            return None
        return entry.source.sha256

    def add(self, key: str, record: Record) -> bool:
        """Write `record`, and mark the line that it replaces; False where it says nothing new, and is not written."""
        before = self._entries.get(key)
        if before is not None and _says_the_same(before, record):
            return False
        self._enter(record, self._journal.append(record), key)
        return True

    def _enter(self, record: Record, end: int, key: str | None = None) -> None:
        source = record.source
        if key is None:
            key = identify(record.image_path) if source is None else source.path
        for old in {key, self._old_paths.pop(record.image_path, key)}:
            before = self._entries.pop(old, None)
            if before is not None:
                self._journal.supersede(before.end)
                self.tally.superseded += 1
                self.tally.drop(old)
                self._remove_pictures(before, record)
        self._entries[key] = Entry(
            end,
            record.outcome,
            source,
            record.error if isinstance(record, Failure) else None,
            _pictures(record),
            record.outcome in FINAL and not is_open(record),
        )
        if source is None and isinstance(record, Prediction):
            self._old_paths[record.image_path] = key
        self.tally.put(key, record)

    def _remove_pictures(self, before: Entry, record: Record) -> None:
        """What shows the old content, unless the new one lies in its place."""
        for name in set(before.pictures) - set(_pictures(record)):
            path = Path(name)
            try:
                if path.absolute().is_relative_to(self._output_dir.absolute()):
                    path.unlink(missing_ok=True)
            except OSError as error:
                raise OutputError(f"cannot remove {path}: {error.strerror or error}") from error

    def _take_names(self, record: Record) -> None:
        if not isinstance(record, Prediction):
            return
        key = identify(record.image_path) if record.source is None else record.source.path
        for saved, folder in ((record.mask_path, "masks"), (record.overlay_path, "overlays")):
            _, found, name = Path(saved or "").as_posix().rpartition(f"/{folder}/")
            if found and (self._output_dir / folder / name).exists():  # wherever the folder was at that time
                self.names.take(PurePosixPath(name).with_suffix("").as_posix(), key)


def is_open(record: Record) -> bool:
    """Whether the picture must be looked at again: it was called NG by its score alone, and where is not known."""
    return (
        isinstance(record, Prediction) and record.redecided is not None and not record.redecided.flaws_known
    )


def _pictures(record: Record) -> tuple[str, ...]:
    if not isinstance(record, Prediction):
        return ()
    return tuple(path for path in (record.mask_path, record.overlay_path) if path is not None)


def _says_the_same(before: Entry, record: Record) -> bool:
    """A picture that could not be inspected, once more for the same reason and with the same content."""
    return (
        isinstance(record, Failure)
        and (before.outcome, before.error) == (record.outcome, record.error)
        and (before.source and before.source.sha256) == (record.source and record.source.sha256)
    )
