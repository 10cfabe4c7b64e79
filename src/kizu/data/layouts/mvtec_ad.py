"""MVTec AD and whatever else is laid out like it.

    <root>/<category>/train/good/*              good images to learn from
    <root>/<category>/validation/<kind>/*       optional, labelled
    <root>/<category>/test/good/*, test/<kind>/*
    <root>/<category>/ground_truth/<kind>/<stem>_mask.* or <stem>.*     optional

Any image format, any mixture of sizes, grey or colour; images may lie in sub-folders of these, and masks in the same
ones. Images elsewhere in the category are passed over and named.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from kizu.core.errors import DataError
from kizu.core.split import Split
from kizu.data.claims import Place, claim_masks, masks_beside, split_companions
from kizu.data.layouts.files import (
    IMAGE,
    MASK,
    Example,
    ensure_folder,
    find_category,
    folders_in,
    suggest_layout,
)
from kizu.data.lots import Lot, count_pictures, pictures_directly_in, walk
from kizu.data.manifest import GOOD, Manifest, Sample
from kizu.data.passed import Passed, Reason
from kizu.data.words import Kind, say

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
    folder, dataset = find_category(_root(root), category, shown_by="train", wanted="train/good")
    passed = Passed()
    samples = []
    beside: dict[Path, Path] = {}
    for split in (Split.TRAIN, Split.VALIDATION, Split.TEST):
        for kind in folders_in(folder / split):
            samples += list(_samples(folder, split, kind, passed, beside))
    if not any(sample.split == Split.TRAIN and sample.label == "good" for sample in samples):
        raise DataError(
            f"no image in {folder / 'train' / 'good'}",
            hint="; ".join(
                [
                    "good images to learn from go there; for other folders use the layout 'folder'"
                    + suggest_layout(folder),
                    *passed.notes(),
                ]
            ),
        )
    _tell_elsewhere(folder, passed)
    if not (folder / "test").is_dir():
        passed.remark(f"there is no test split{suggest_layout(folder)}")
    masks = _claim(folder, samples, beside, passed)
    with_masks = tuple(replace(sample, mask_path=masks.get(sample.path)) for sample in samples)
    return Manifest(dataset, folder.name, folder, with_masks, passed.notes())


def lay_out(sample: Sample, stem: str) -> tuple[Path, Path]:
    """Where `scan` looks for a labelled sample called `stem`, and for its mask: PNG files below the category.

    Raises `DataError` for a sample without a label or a split.
    """
    if sample.label is None or sample.split is None:
        raise DataError(f"{sample.id} has no label or no split, and this layout wants both")
    kind = GOOD if sample.label == "good" else sample.defect
    mask = Path("ground_truth") / kind / f"{stem}_mask.png"
    return Path(sample.split) / kind / f"{stem}.png", mask


def _root(root: Path | None) -> Path:
    if root is None:
        name = os.environ.get(ROOT_VARIABLE)
        if not name:
            raise DataError("no data set was named", hint=f"give its folder, or set {ROOT_VARIABLE}")
        root = Path(name)
    return ensure_folder(root.expanduser()).resolve()


def _samples(
    folder: Path, split: Split, kind: Path, passed: Passed, beside: dict[Path, Path]
) -> Iterator[Sample]:
    """Of one kind, without masks but for those beside their images, which go into `beside`."""
    good = _is_good(kind)
    for lot in walk(kind, passed, under=f"{split}/{kind.name}"):
        if good:
            _ensure_good(lot, kind)
        names, companions = split_companions(lot, passed, twins=True)
        beside.update({lot.path(name): mask for name, mask in masks_beside(lot, companions).items()})
        for name in names:
            path = lot.path(name)
            yield Sample(
                id=path.relative_to(folder).as_posix(),
                path=path,
                label="good" if good else "defect",
                defect=GOOD if good else kind.name,
                split=split,
            )


def _is_good(kind: Path) -> bool:
    """Whether a kind is the good one. Raises `DataError` for one that is called good and something else besides."""
    kinds = say(kind.name).kinds
    if kind.name == GOOD or Kind.GOOD not in kinds:
        return kind.name == GOOD
    raise DataError(
        f"{kind} holds {count_pictures(kind)} images, good ones by its name: this layout knows them by the name 'good'",
        hint="rename it, or use the layout 'folder', which knows other names"
        + suggest_layout(kind.parents[1]),
    )


def _ensure_good(lot: Lot, kind: Path) -> None:
    for part in lot.parts:
        if say(part).kinds - {Kind.GOOD}:
            raise DataError(
                f"{lot.folder} holds {len(lot.names)} images, and its name says that they are not good, in {kind}",
                hint=f"move them out of {kind}, or rename the folder",
            )


def _claim(folder: Path, samples: list[Sample], beside: dict[Path, Path], passed: Passed) -> dict[Path, Path]:
    """The masks of defects. Validation and test share `ground_truth`, so one of each would borrow the other's."""
    masks: dict[Path, Place] = {}
    for kind in folders_in(folder / "ground_truth"):
        for lot in walk(kind, passed, under=f"ground_truth/{kind.name}"):
            masks |= {lot.path(name): (kind.name, *lot.parts) for name in lot.names}
    wanted: dict[Path, tuple[Place, ...]] = {}
    claimed: dict[Path, Path] = {}
    for sample in samples:
        if sample.label == "good":
            if sample.path in beside:
                passed.add(Reason.COMPANION, os.path.relpath(beside[sample.path], folder))
        elif sample.path in beside:
            claimed[sample.path] = beside[sample.path]
        else:
            parts = Path(sample.id).parts[1:-1]
            wanted[sample.path] = (parts, parts[:1])
    return claimed | claim_masks(wanted, masks, passed, folder)


def _tell_elsewhere(folder: Path, passed: Passed) -> None:
    """Name the images that lie in the category and in none of its folders."""
    known = {Split.TRAIN, Split.VALIDATION, Split.TEST, "ground_truth"}
    for name in sorted(known):
        for image in pictures_directly_in(folder / name, passed, under=name):
            passed.add(Reason.ELSEWHERE, f"{name}/{image}")
    for image in pictures_directly_in(folder, passed):
        passed.add(Reason.ELSEWHERE, image)
    for other in folders_in(folder):
        count = 0 if other.name in known else count_pictures(other)
        if count:
            passed.add(Reason.ELSEWHERE, f"{other.name}: {count}", count)
