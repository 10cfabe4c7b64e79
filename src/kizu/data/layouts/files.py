"""What layouts share: examples of themselves, and messages about folders that are there or not."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from kizu.core.errors import DataError

Example = Mapping[str, str]
"""A small root of a layout, which shows what it expects: path -> IMAGE, MASK, or the text of another file."""
IMAGE, MASK = "image", "mask"


def folders_in(folder: Path) -> list[Path]:
    """The visible folders in `folder`, sorted by name; none when it does not exist."""
    if not folder.is_dir():
        return []
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        hint = "check who may read the folder"
        raise DataError(f"cannot list {folder}: {error.strerror}", hint=hint) from error
    return [path for path in entries if path.is_dir() and not path.name.startswith(".")]


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
