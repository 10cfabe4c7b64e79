"""Images of which nothing is known yet: what a line inspects, what is ranked, and good ones that are learned later."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from kizu.core.errors import DataError
from kizu.core.split import Split
from kizu.data.claims import is_called_like_a_mask, split_companions
from kizu.data.labels import read_pictures
from kizu.data.layouts.files import ensure_folder
from kizu.data.lots import suffix_of, walk
from kizu.data.manifest import GOOD, Sample
from kizu.data.passed import Passed, PassedOver, Reason
from kizu.data.words import Kind, say
from kizu.imaging.codec import IMAGE_SUFFIXES

_SAVE_AGAIN = "one path on each line, saved as UTF-8"


def list_images(
    source: Path,
    *,
    pattern: str | None = None,
    may_be_empty: bool = False,
    without_masks: bool = False,
    passed: Passed | None = None,
) -> tuple[Sample, ...]:
    """One image file, or the images in a folder and below it, by name; ids are paths below the folder.

    All are taken, whatever folders are called, but for what Kizu wrote and for masks that lie beside their pictures.
    `pattern`: as of a shell, over those paths, in upper or lower case: `*.png`, `line1/*`. `without_masks`: nor those
    in folders that are called masks. `passed`: gets what is passed over, with the reason. Raises `DataError` when there
    is none.
    """
    if source.is_file():
        return (Sample(source.name, source),)
    passed = passed or Passed()
    folder = ensure_folder(source)

    def wanted(name: str) -> bool:
        return pattern is None or fnmatchcase(name.casefold(), pattern.casefold())

    found: list[Sample] = []
    example, left_out = "", 0
    for lot in walk(folder, passed, wanted=wanted):
        inside = "".join(f"{part}/" for part in lot.parts)
        names, companions = split_companions(lot, passed, twins=without_masks)
        for mask in companions:
            passed.add(Reason.COMPANION, inside + mask)
        if names and any(Kind.MASK in say(part).kinds for part in lot.parts):
            if without_masks:
                passed.add(Reason.MASK_FOLDER, f"{lot.place}: {len(names)}", len(names))
                continue
            passed.remark(
                f"{lot.place} is called like a folder of masks; its {len(names)} files are taken as pictures"
            )
        for name in names:
            if not wanted(inside + name):
                passed.add(Reason.NO_MATCH, inside + name)
                example, left_out = example or inside + name, left_out + 1
                continue
            found.append(Sample(inside + name, lot.path(name)))
    if not found and left_out and not may_be_empty:
        raise DataError(
            f"no image in {source} that matches {pattern!r}",
            hint=f"there are {left_out} images, with paths such as {example!r}",
        )
    if not found and not may_be_empty:
        notes = "; ".join(passed.notes()) or "the folder is empty"
        raise DataError(
            f"no image in {source}", hint=f"PNG, JPEG, BMP, TIFF and WebP are looked for; {notes}"
        )
    return tuple(found)


def list_good_images(folder: Path, passed: Passed) -> tuple[Sample, ...]:
    """The images in a folder and below it that may be learned as good: all, or those that folders' names say are good.

    Raises `DataError` where names say otherwise of all, or contradict each other, and when there is none.
    """
    if folder.is_file():
        return (Sample(folder.name, folder, "good", defect=GOOD),)
    base = ensure_folder(folder)
    good: list[Sample] = []
    others: dict[str, int] = {}
    for picture in read_pictures(base, passed, may_name=False):
        if picture.kind is Kind.GOOD and picture.split in (None, Split.TRAIN):
            path = picture.path
            good.append(Sample(path.relative_to(base).as_posix(), path, "good", defect=GOOD))
        elif picture.kind is not None:
            others[picture.head] = others.get(picture.head, 0) + 1
    for head, count in others.items():
        passed.add(Reason.NOT_LEARNED, f"{head}: {count}", count)
    if not good:
        notes = "; ".join(passed.notes()) or "the folder is empty"
        raise DataError(
            f"no image in {folder}", hint=f"PNG, JPEG, BMP, TIFF and WebP are looked for; {notes}"
        )
    return tuple(good)


def read_list(content: bytes, *, name: str = "the list") -> list[str]:
    """The lines of a text file as some tool wrote it: UTF-8 or UTF-16, with or without a byte order mark.

    Lines end at a line feed, or a carriage return and one; nothing else ends them, and blanks belong to a name. A name
    that is no UTF-8 keeps its bytes. Raises `DataError` for what is no text.
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            text = content.decode("utf-16")
        except UnicodeDecodeError as error:
            raise DataError(
                f"{name} begins as UTF-16 and goes on as something else", hint=_SAVE_AGAIN
            ) from error
    else:
        text = os.fsdecode(content.removeprefix(b"\xef\xbb\xbf"))
    if "\0" in text:
        raise DataError(f"{name} is no text: it holds NUL characters", hint=_SAVE_AGAIN)
    return [line.removesuffix("\r") for line in text.split("\n")]


@dataclass(slots=True)
class ImagesBelow:
    """The images of a folder that may be looked at again and again: all of them, or one that is told of."""

    folder: Path
    pattern: str | None
    note: Callable[..., None]
    """Told what is passed over, each thing once."""
    _told: set[str] = field(default_factory=set)
    _passed: Passed = field(default_factory=Passed)

    def all(self, *, may_be_empty: bool = False) -> tuple[Sample, ...]:
        """As `list_images`."""
        passed = Passed()
        found = list_images(self.folder, pattern=self.pattern, may_be_empty=may_be_empty, passed=passed)
        self._passed = passed
        new = [note for note in passed.notes() if note not in self._told]
        self._told.update(new)
        self.note(*new)
        return found

    def every(self) -> tuple[Sample, ...]:
        """The same; there may be none. Raises `DataError` where the folder cannot be listed."""
        return self.all(may_be_empty=True)

    def one(self, path: Path) -> Sample | None:
        """The image at `path`; None where `every` would not list it, or only looking into its folder can tell."""
        absolute, root = path.absolute(), self.folder.absolute()
        if not absolute.is_relative_to(root):
            return None
        below = absolute.relative_to(root)
        if suffix_of(below.name) not in IMAGE_SUFFIXES or is_called_like_a_mask(below.name):
            return None
        if any(part.startswith(".") or part in ("masks", "overlays") for part in below.parts):
            return None
        if self.pattern is not None and not fnmatchcase(below.as_posix().casefold(), self.pattern.casefold()):
            return None
        if any((root / parent).is_symlink() for parent in below.parents if parent.name) or absolute.is_dir():
            return None
        return Sample(below.as_posix(), self.folder / below) if absolute.exists() else None

    def rows(self) -> tuple[PassedOver, ...]:
        """What the last look passed over."""
        return self._passed.rows()


def list_named_images(lines: Iterable[str], *, name: str = "the list") -> tuple[Sample, ...]:
    """The files that `lines` name, one each, in their order and each once; ids are paths below the folder they share.

    Lines of nothing but blanks are passed over. A file that is not there is left for the inspection to record. `name`:
    of the list, for messages. Raises `DataError` when nothing is named, and for a path with a NUL character.
    """
    paths = list(dict.fromkeys(Path(line).absolute() for line in lines if line.strip()))
    if not paths:
        raise DataError(f"no file was named in {name}", hint="one path on each line")
    if any("\0" in str(path) for path in paths):
        raise DataError(f"{name} is no text: it holds NUL characters", hint=_SAVE_AGAIN)
    shared = Path(os.path.commonpath([path.parent for path in paths]))
    return tuple(Sample(path.relative_to(shared).as_posix(), path) for path in paths)
