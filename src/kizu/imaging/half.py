"""Maps of half precision as TIFF files: Pillow knows none, `tifffile` does (the extra `submit`)."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kizu.core.errors import ImageError, MissingExtraError
from kizu.core.files import replace_whole
from kizu.core.types import F16


def ensure_tifffile() -> None:
    """Raise `MissingExtraError` where the library is not installed, before hours of work are lost on it."""
    if find_spec("tifffile") is None:
        raise MissingExtraError(
            "maps of half precision need tifffile, which is not installed", hint="pip install 'kizu[submit]'"
        )


def write_half(path: Path, values: F16) -> None:
    """Write (H, W) float16, not compressed, whole or not at all.

    Raises `MissingExtraError`, `OutputError`.
    """
    ensure_tifffile()
    import tifffile

    with replace_whole(path, durable=False) as temporary:
        tifffile.imwrite(temporary, values, photometric="minisblack", metadata=None)


def read_tiff(path: Path) -> NDArray[Any]:
    """Whatever the first series of pages of a TIFF file holds, as it is. Raises `ImageError`, `MissingExtraError`."""
    ensure_tifffile()
    import tifffile

    try:
        found = tifffile.imread(path)
    except (OSError, ValueError, KeyError, IndexError, RuntimeError, tifffile.TiffFileError) as error:
        raise ImageError(f"{path}: cannot be read as TIFF ({error})", path=path) from error
    if not found.size:
        raise ImageError(f"{path}: cannot be read as TIFF (it holds no picture)", path=path)
    return np.asarray(found)
