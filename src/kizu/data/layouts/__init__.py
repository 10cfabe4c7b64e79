"""Ways a data set lies on disk. One file each; `scan(root, category)` lists it as a `Manifest`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from kizu.data.layouts import demo, elpv, folder, mvtec_ad
from kizu.data.manifest import Manifest


class Scan(Protocol):
    """Lists what is on disk. None: the layout's own default, where it has one. Raises `DataError`."""

    def __call__(self, root: Path | None = None, category: str | None = None) -> Manifest: ...


LAYOUTS: Mapping[str, Scan] = {
    "mvtec_ad": mvtec_ad.scan,
    "folder": folder.scan,
    "elpv": elpv.scan,
    "demo": demo.scan,
}
