"""Images of which nothing is known yet: what a line inspects."""

import os
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path

from kizu.core.errors import DataError
from kizu.data.layouts.files import Passed, ensure_folder, images_in
from kizu.data.manifest import Sample


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
