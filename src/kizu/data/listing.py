"""Images of which nothing is known yet: what a line inspects."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from kizu.core.errors import DataError
from kizu.data.layouts.files import Passed, ensure_folder, images_in
from kizu.data.manifest import Sample
from kizu.imaging.codec import IMAGE_SUFFIXES


def list_images(
    source: Path, *, pattern: str | None = None, may_be_empty: bool = False
) -> tuple[Sample, ...]:
    """One image file, or the images in a folder and below it, by name; ids are paths below the folder.

    `pattern`: as of a shell, over those paths: `*.png`, `line1/*`. Raises `DataError` when there is none.
    """
    if source.is_file():
        return (Sample(source.name, source),)
    passed = Passed()
    folder = ensure_folder(source)
    every = [
        Sample(path.relative_to(folder).as_posix(), path) for path in images_in(folder, passed, deep=True)
    ]
    if not every and not may_be_empty:
        notes = "; ".join(passed.notes()) or "the folder is empty"
        raise DataError(
            f"no image in {source}", hint=f"PNG, JPEG, BMP, TIFF and WebP are looked for; {notes}"
        )
    found = tuple(sample for sample in every if pattern is None or fnmatch(sample.id, pattern))
    if not found and not may_be_empty:
        raise DataError(
            f"no image in {source} that matches {pattern!r}",
            hint=f"there are {len(every)} images, with paths such as {every[0].id!r}",
        )
    return found


@dataclass(frozen=True, slots=True)
class ImagesBelow:
    """The images below a folder that changes, all of them or one that is told of."""

    folder: Path
    pattern: str | None = None

    def every(self) -> tuple[Sample, ...]:
        """As `list_images`; there may be none. Raises `DataError` where the folder cannot be listed."""
        return list_images(self.folder, pattern=self.pattern, may_be_empty=True)

    def one(self, path: Path) -> Sample | None:
        """The image at `path`; None where `every` would not list it."""
        absolute, root = path.absolute(), self.folder.absolute()
        if not absolute.is_relative_to(root):
            return None
        below = absolute.relative_to(root)
        name = below.as_posix()
        if any(part.startswith(".") for part in below.parts) or below.suffix.lower() not in IMAGE_SUFFIXES:
            return None
        if self.pattern is not None and not fnmatch(name, self.pattern):
            return None
        if any((root / parent).is_symlink() for parent in below.parents if parent.name) or absolute.is_dir():
            return None
        return Sample(name, self.folder / below) if absolute.exists() else None


def list_named_images(lines: Iterable[str], *, name: str = "the list") -> tuple[Sample, ...]:
    """The files that `lines` name, one each, in their order and each once; ids are paths below the folder they share.

    Empty lines are passed over. A file that is not there is left for the inspection to record. `name`: of the list, for
    messages. Raises `DataError` when nothing is named, and for what is no text: a path with a NUL character.
    """
    paths = list(dict.fromkeys(Path(line.strip()).absolute() for line in lines if line.strip()))
    if not paths:
        raise DataError(f"no file was named in {name}", hint="one path on each line")
    if any("\0" in str(path) for path in paths):
        raise DataError(f"{name} is no text: it holds NUL characters", hint="one path on each line, in UTF-8")
    shared = Path(os.path.commonpath([path.parent for path in paths]))
    return tuple(Sample(path.relative_to(shared).as_posix(), path) for path in paths)
