"""Find the images in folders, and say what else was there."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kizu.core.errors import DataError
from kizu.imaging.codec import IMAGE_SUFFIXES

Example = Mapping[str, str]
"""A small root of a layout, which shows what it expects: path -> IMAGE, MASK, or the text of another file."""
IMAGE, MASK = "image", "mask"


@dataclass(frozen=True, slots=True)
class Passed:
    """Counts what a scan passed over."""

    counts: Counter[str] = field(default_factory=Counter)

    def notes(self) -> tuple[str, ...]:
        """In words, sorted."""
        return tuple(f"{count} {what} passed over" for what, count in sorted(self.counts.items()))


def images_in(folder: Path, passed: Passed, *, deep: bool = False) -> list[Path]:
    """The image files in `folder`, sorted by name, those of its sub-folders (when `deep`) after its own.

    What else is there is counted in `passed`: hidden files, other files, folders not entered. Links to
    folders are not followed.
    """
    found, below = [], []
    for path in _entries(folder):
        if path.name.startswith("."):
            passed.counts["hidden files"] += 1
        elif path.is_dir():
            if deep and not path.is_symlink():
                below += images_in(path, passed, deep=True)
            else:
                passed.counts["sub-folders"] += 1
        elif path.suffix.lower() not in IMAGE_SUFFIXES:
            passed.counts[f"{path.suffix.lower() or 'suffixless'} files"] += 1
        else:
            found.append(path)
    return found + below


def folders_in(folder: Path) -> list[Path]:
    """The visible folders in `folder`, sorted by name; none when it does not exist."""
    if not folder.is_dir():
        return []
    return [path for path in _entries(folder) if path.is_dir() and not path.name.startswith(".")]


def mask_for(stem: str, masks: dict[str, Path]) -> Path | None:
    """The mask of the image with this stem, among masks by stem: <stem>_mask, else <stem>."""
    return masks.get(f"{stem}_mask", masks.get(stem))


def ensure_folder(root: Path) -> Path:
    """`root` when it is a folder; else a `DataError` that says what there is instead."""
    if root.is_dir():
        return root
    if root.exists():
        raise DataError(f"{root} is a file, not a folder of images", hint="name the folder that holds it")
    nearest = next((parent for parent in root.absolute().parents if parent.is_dir()), root)
    raise DataError(
        f"{root} does not exist", hint=f"the folders in {nearest}: {list_names(folders_in(nearest))}"
    )


def list_names(folders: Sequence[Path], most: int = 10) -> str:
    """Names for a message: "a, b, c and 5 more"."""
    names = [folder.name for folder in folders]
    rest = len(names) - most
    return (", ".join(names[:most]) or "none") + (f" and {rest} more" if rest > 0 else "")


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise DataError(
            f"cannot list {folder}: {error.strerror}", hint="check who may read the folder"
        ) from error
