"""Images of which nothing is known yet: what a line inspects."""

from pathlib import Path

from kizu.core.errors import DataError
from kizu.data.layouts.files import Passed, existing, images_in
from kizu.data.manifest import Sample


def list_images(source: Path) -> tuple[Sample, ...]:
    """One image file, or the images in a folder and below it, by name; ids are paths below the folder.

    Raises `DataError` when there is none.
    """
    if source.is_file():
        return (Sample(source.name, source),)
    passed = Passed()
    folder = existing(source)
    found = images_in(folder, passed, deep=True)
    if not found:
        notes = "; ".join(passed.notes()) or "the folder is empty"
        raise DataError(
            f"no image in {source}", hint=f"PNG, JPEG, BMP, TIFF and WebP are looked for; {notes}"
        )
    return tuple(Sample(path.relative_to(folder).as_posix(), path) for path in found)
