"""Which mask is whose: by names, in folders of masks and beside the pictures. None is borrowed."""

import os
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from kizu.core.errors import DataError, ImageError
from kizu.data.lots import KEPT, Lot, SeenFile, stem_of
from kizu.data.masks import looks_like_a_mask
from kizu.data.passed import Passed, Reason

_COMPANION_ENDS = tuple(
    f"{sign}{word}"
    for sign in "_-. "
    for word in ("mask", "label", "gt", "seg", "groundtruth", "ground_truth")
)

Place = tuple[str, ...]
"""The folders on the way to a mask that tell it from masks of the same name."""


def is_called_like_a_mask(name: str) -> bool:
    """Whether a file has such a name; what it holds, and whether its picture is there, is another question."""
    return stem_of(name).lower().endswith(_COMPANION_ENDS)


def split_companions(
    lot: Lot, passed: Passed, *, twins: bool = False
) -> tuple[list[str], dict[str, list[str]]]:
    """The lot's pictures without the masks that lie beside them; and those masks, each with the pictures it may be of.

    `<stem>_mask`, `_label`, `_GT` or `_seg` is the mask of `<stem>` when it looks like one. What is called so and is a
    picture is taken as one, and told. `twins`: of files that differ by their suffix alone, one that looks like a mask
    is that of the others; each of them is decoded to see it.
    """
    called = [name for name in lot.names if is_called_like_a_mask(name)]
    has_twins = twins and len({stem_of(name) for name in lot.names}) < len(lot.names)
    if not called and not has_twins:
        return list(lot.names), {}
    by_stem: dict[str, list[str]] = {}
    for name in lot.names:
        by_stem.setdefault(stem_of(name), []).append(name)
    masks: dict[str, list[str]] = {}
    for name in called:
        key = _owner_stem(name)
        owners = [*by_stem.get(key, []), *([key] if key in lot.names else [])]
        if owners and is_mask(lot.path(name)):
            masks[name] = owners
        elif owners:
            passed.remark(
                f"{lot.place}/{name} is called like the mask of {owners[0]}, and is taken as a picture"
            )
    for group in by_stem.values() if has_twins else ():
        alike = [name for name in group if name not in masks] if len(group) > 1 else []
        drawn = [name for name in alike if is_mask(lot.path(name))]
        if len(drawn) == 1 and len(alike) > 1:
            masks[drawn[0]] = [name for name in alike if name != drawn[0]]
    return [name for name in lot.names if name not in masks], masks


def masks_beside(lot: Lot, masks: Mapping[str, list[str]]) -> dict[str, Path]:
    """Such masks by picture. Raises `DataError` when two pictures would share one, or one would have two."""
    found: dict[str, Path] = {}
    for mask, owners in masks.items():
        if len(owners) > 1:
            raise _ambiguous(lot.path(mask), lot.path(owners[0]), lot.path(owners[1]))
        if owners[0] in found:
            raise _two_masks(lot.path(owners[0]), found[owners[0]], lot.path(mask))
        found[owners[0]] = lot.path(mask)
    return found


def is_mask(path: Path) -> bool:
    """Whether a file that is named like a mask holds one, as `looks_like_a_mask`; False for what cannot be decoded."""
    try:
        found = path.stat()
    except OSError:
        return False
    return _is_mask(SeenFile(str(path), found.st_size, found.st_mtime_ns))


def claim_masks(
    images: Mapping[Path, tuple[Place, ...]],
    masks: Mapping[Path, Place],
    passed: Passed,
    base: Path,
    *,
    bystanders: Iterable[Path] = (),
) -> dict[Path, Path]:
    """The mask of each image that has one.

    `images`: for each image the places where its mask may lie, the nearest first; `masks`: the place of each. Of the
    same place, the mask of `b.png` is called `b`, `b_mask` (or `_label`, `_GT`, `_seg`) or `b.png`, with any suffix.
    `bystanders`: pictures of which nothing is known; a mask that lies in no place of its image's own may be theirs too.
    Masks that none claims are added to `passed`. Raises `DataError` naming both, when two images claim one mask, or two
    masks are called like one image's.
    """
    index: dict[tuple[Place, str], list[Path]] = {}
    for mask, place in masks.items():
        for key in keys_of(mask.name):
            index.setdefault((place, key), []).append(mask)
    claimed: dict[Path, Path] = {}
    owners: dict[Path, Path] = {}
    others = {path.stem: path for path in bystanders}
    for image, places in images.items():
        found, place = next(((f, p) for p in places if (f := _called(image, p, index))), ([], places[0]))
        if found and place != places[0] and image.stem in others:
            raise _ambiguous(found[0], image, others[image.stem])
        if len(found) > 1:
            raise _two_masks(image, *found[:2])
        for mask in found:
            if mask in owners:
                raise _ambiguous(mask, owners[mask], image)
            owners[mask], claimed[image] = image, mask
    for mask in masks:
        if mask not in owners:
            passed.add(Reason.UNCLAIMED_MASK, os.path.relpath(mask, base))
    return claimed


def keys_of(mask: str) -> set[str]:
    """The stems, or names, of the images that a mask in a folder of masks may be of."""
    return {stem_of(mask), _owner_stem(mask)}


def _called(image: Path, place: Place, index: Mapping[tuple[Place, str], list[Path]]) -> list[Path]:
    """The masks in one place that are called as this image's: by its whole name, else by its stem."""
    return index.get((place, image.name), []) or index.get((place, image.stem), [])


def _two_masks(image: Path, one: Path, other: Path) -> DataError:
    return DataError(f"{image} has two masks: {one} and {other}", hint="keep one of them")


def _ambiguous(mask: Path, one: Path, other: Path) -> DataError:
    return DataError(
        f"the mask {mask} would be that of {one} and of {other}",
        hint=f"give each its own: call them {one.name}.png and {other.name}.png"
        if one.name != other.name
        else "give the images different names, or each its own mask in a sub-folder called as the image's",
    )


def _owner_stem(name: str) -> str:
    """The stem of the picture whose mask a file would be by its name; its own where it has no such ending."""
    stem = stem_of(name)
    end = next((end for end in _COMPANION_ENDS if stem.lower().endswith(end)), "")
    return stem[: len(stem) - len(end)] or stem


@lru_cache(maxsize=KEPT)
def _is_mask(file: SeenFile) -> bool:
    try:
        return looks_like_a_mask(Path(file.path))
    except ImageError:
        return False  # then it is said where pictures are read
