"""The Kolektor surface-defect sets: both, told apart by their folders.

KolektorSDD2 (Bozic et al., "Mixed supervision for surface-defect detection", Computers in Industry 2021):

    <root>/train/NNNNN.png, train/NNNNN_GT.png
    <root>/test/NNNNN.png, test/NNNNN_GT.png

KolektorSDD (Tabernik et al., "Segmentation-based deep-learning approach for surface-defect detection", JIM 2020):

    <root>/kosNN/PartM.jpg, kosNN/PartM_label.bmp

Every image has a mask, and is good where that marks nothing. In KolektorSDD2 the publisher's splits hold; defects in
the training split are listed there, for `discriminative`. KolektorSDD has none: a seeded part of the good images is for
testing, with all defects. Every item (kosNN) has a defect in one of its parts, so items cannot be kept on one side.

There are no categories: the set is one product.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pydantic import Field

from kizu.core.config import Config
from kizu.core.errors import DataError
from kizu.core.randomness import rng_for
from kizu.core.split import Split
from kizu.core.threads import spread
from kizu.data.layouts.files import (
    EMPTY_MASK,
    IMAGE,
    MASK,
    Example,
    ensure_good,
    folders_in,
    list_names,
    need_root,
    tell_unmasked,
)
from kizu.data.lots import Lot, stem_of, walk
from kizu.data.manifest import GOOD, Manifest, Sample
from kizu.data.passed import Passed, Reason
from kizu.data.splits import with_good_tests
from kizu.imaging.codec import decode_mask

DEFECT = "defect"
_SECOND, _FIRST = "_GT", "_label"

EXAMPLE: Example = {
    **{f"train/{10000 + number}.png": IMAGE for number in range(8)},
    **{f"train/{10000 + number}_GT.png": MASK if number == 7 else EMPTY_MASK for number in range(8)},
    **{f"test/{20000 + number}.png": IMAGE for number in range(4)},
    **{f"test/{20000 + number}_GT.png": MASK if number < 2 else EMPTY_MASK for number in range(4)},
}


class KolektorOptions(Config):
    """For KolektorSDD: how much of the good images is for testing."""

    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    seed: int = 0


def scan(
    root: Path | None = None, category: str | None = None, options: KolektorOptions = KolektorOptions()
) -> Manifest:
    """List the set; a `category`, if one is given, is only its name.

    Raises `DataError` naming an image without its mask, as the set has one for each.
    """
    folder = need_root(root, "KolektorSDD2 or KolektorSDD")
    passed = Passed()
    if (folder / "train").is_dir() and (folder / "test").is_dir():
        name = "kolektorsdd2"
        samples = [
            *_samples(folder, "train", _SECOND, Split.TRAIN, passed),
            *_samples(folder, "test", _SECOND, Split.TEST, passed),
        ]
        ensure_good(samples, folder / "train", passed)
        flawed = sum(s.label == "defect" and s.split is Split.TRAIN for s in samples)
        if flawed:
            passed.remark(f"defects in the training split, which only discriminative learns from: {flawed}")
        return Manifest(name, category or name, folder, tuple(samples), passed.notes())
    items = [path.name for path in folders_in(folder) if path.name.startswith("kos")]
    if not items:
        raise DataError(
            f"neither train and test nor kos01, kos02, ... in {folder}",
            hint=f"the folders there are: {list_names(folders_in(folder))}",
        )
    name = "kolektorsdd"
    found = [s for item in items for s in _samples(folder, item, _FIRST, Split.TRAIN, passed)]
    samples = [replace(s, split=Split.TEST) if s.label == "defect" else s for s in found]
    ensure_good(samples, folder / items[0], passed)
    manifest = Manifest(name, category or name, folder, tuple(samples), passed.notes())
    return with_good_tests(manifest, options.test_fraction, rng_for(options.seed, "kolektor", "test"))


def _samples(folder: Path, place: str, end: str, split: Split, passed: Passed) -> list[Sample]:
    """The images of one folder, good where their masks mark nothing."""
    pairs = [pair for lot in walk(folder / place, passed, under=place) for pair in _pairs(lot, end, passed)]
    marked = spread(lambda pair: bool(decode_mask(pair[1]).any()), pairs)
    samples = [
        Sample(
            id=path.relative_to(folder).as_posix(),
            path=path,
            label="defect" if is_marked else "good",
            mask_path=mask if is_marked else None,
            defect=DEFECT if is_marked else GOOD,
            split=split,
        )
        for (path, mask), is_marked in zip(pairs, marked, strict=True)
    ]
    tell_unmasked(samples, passed)
    return samples


def _pairs(lot: Lot, end: str, passed: Passed) -> Iterator[tuple[Path, Path]]:
    """(image, mask) of each image of a folder."""
    masks = {stem_of(name).removesuffix(end): name for name in lot.names if stem_of(name).endswith(end)}
    images = [name for name in lot.names if not stem_of(name).endswith(end)]
    for name in images:
        mask = masks.pop(stem_of(name), None)
        if mask is None:
            raise DataError(
                f"{lot.path(name)} has no mask {stem_of(name)}{end}.*: whether it is good is not known",
                hint="unpack the data set again, or use the layout 'folder' for images that are sorted into folders",
            )
        yield lot.path(name), lot.path(mask)
    for name in masks.values():
        passed.add(Reason.UNCLAIMED_MASK, name)
