"""MVTec AD and whatever else is laid out like it.

    <root>/<category>/train/good/*              good images to learn from
    <root>/<category>/validation/<kind>/*       optional, labelled
    <root>/<category>/test/good/*, test/<kind>/*
    <root>/<category>/ground_truth/<kind>/<stem>_mask.* or <stem>.*     optional

Any image format, any mixture of sizes, grey or colour.
"""

import os
from pathlib import Path

from kizu.core.errors import DataError
from kizu.core.split import Split
from kizu.data.layouts.files import (
    IMAGE,
    MASK,
    Example,
    Passed,
    ensure_folder,
    folders_in,
    images_in,
    list_names,
    mask_for,
)
from kizu.data.manifest import GOOD, Manifest, Sample

ROOT_VARIABLE = "MVTEC_ROOT"
"""The environment variable that names the root when none is given."""

EXAMPLE: Example = {
    **{f"part/train/good/{number:03}.png": IMAGE for number in range(5)},
    "part/train/good/100.JPG": IMAGE,
    "part/test/good/000.png": IMAGE,
    "part/test/dent/000.png": IMAGE,
    "part/test/scratch/000.png": IMAGE,
    "part/ground_truth/dent/000_mask.png": MASK,
    "part/ground_truth/scratch/000.png": MASK,
}


def scan(root: Path | None = None, category: str | None = None) -> Manifest:
    """List one category. `root` may also be the category's own folder.

    Raises `DataError`, saying what was looked for and what is there.
    """
    folder, dataset = _category_folder(_root(root), category)
    passed = Passed()
    samples = []
    for split in (Split.TRAIN, Split.VALIDATION, Split.TEST):
        for kind in folders_in(folder / split):
            samples += _samples(folder, split, kind, passed)
    if not any(sample.split == Split.TRAIN and sample.label == "good" for sample in samples):
        raise DataError(
            f"no image in {folder / 'train' / 'good'}",
            hint="good images to learn from go there; for other folders use the layout 'folder'",
        )
    return Manifest(dataset, folder.name, folder, tuple(samples), passed.notes())


def _root(root: Path | None) -> Path:
    if root is None:
        name = os.environ.get(ROOT_VARIABLE)
        if not name:
            raise DataError("no data set was named", hint=f"give its folder, or set {ROOT_VARIABLE}")
        root = Path(name)
    return ensure_folder(root.expanduser()).resolve()


def _category_folder(root: Path, category: str | None) -> tuple[Path, str]:
    """The category's folder and the name of the data set."""
    here = _is_category(root)
    if here and category in (None, root.name):
        return root, root.parent.name
    categories = [folder for folder in folders_in(root) if _is_category(folder)]
    if category is not None and root / category in categories:
        return root / category, root.name
    if category is None and len(categories) == 1:
        return categories[0], root.name
    if category is None and categories:
        raise DataError(f"{root} holds several categories", hint=f"choose one of: {list_names(categories)}")
    wanted = "train/good" if category is None else f"{category}/train"
    if here:
        hint = f"{root} is itself the category {root.name!r}"
    elif categories:
        hint = f"the categories there are: {list_names(categories)}"
    else:
        hint = f"the folders there are: {list_names(folders_in(root))}; for other folders use the layout 'folder'"
    raise DataError(f"no {wanted} in {root}", hint=hint)


def _is_category(folder: Path) -> bool:
    return (folder / "train").is_dir()


def _samples(folder: Path, split: Split, kind: Path, passed: Passed) -> list[Sample]:
    good = kind.name == GOOD
    masks = {} if good else _masks(folder / "ground_truth" / kind.name, passed)
    return [
        Sample(
            id=path.relative_to(folder).as_posix(),
            path=path,
            label="good" if good else "defect",
            mask_path=mask_for(path.stem, masks),
            defect=kind.name,
            split=split,
        )
        for path in images_in(kind, passed)
    ]


def _masks(folder: Path, passed: Passed) -> dict[str, Path]:
    """The mask files of one kind by stem."""
    return {path.stem: path for path in images_in(folder, passed)} if folder.is_dir() else {}
