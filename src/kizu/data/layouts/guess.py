"""Which layout a folder has, where nobody said it: told by what lies in it, and by nothing else."""

from pathlib import Path
from typing import NamedTuple

from kizu.data.layouts.files import TELLING, folders_in, list_names

OWN = "mvtec_ad"
_LOGICAL = "test/logical_anomalies"


class Guess(NamedTuple):
    """A layout, and what was found that tells it."""

    layout: str
    found: str


def guess_layout(root: Path, category: str | None = None) -> Guess | None:
    """None: the folder is not there, or not that of the category; who then reads it says what is."""
    names = [] if category is None else [name.strip() for name in category.split(",")]
    if not root.is_dir() or not all((root / name).is_dir() or name == root.name for name in names):
        return None
    places = [*(root / name for name in names), root, *(folders_in(root) if not names else ())]
    for place in places:
        for thing, layout in TELLING.items():
            if " " not in layout and thing != "train/ok" and (place / thing).exists():
                return Guess(layout, thing)
        if (place / _LOGICAL).is_dir():
            return Guess("mvtec_loco", _LOGICAL)
        if (place / "train" / "good").is_dir():
            return Guess(OWN, "train/good")
    inside = root / names[0] if names and (root / names[0]).is_dir() else root
    below = folders_in(inside)
    return Guess("folder", f"the folders {list_names(below, 3)}" if below else "pictures alone")
