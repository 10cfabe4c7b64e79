"""Any folders of good and, where there are some, bad images.

Without options, what is in the root decides:

- sub-folders named as in GOOD_NAMES hold good images, those in BAD_NAMES bad ones, those in MASK_NAMES masks
  (upper or lower case; other folders are passed over);
- where no sub-folder has a good or bad name, all images in the root and below are good.

All are searched to any depth. The first folder below a bad one names the kind of defect; images directly in
it are of the kind "defect". The mask of `<bad>/a/b.png` is `<masks>/a/b_mask.*` or `<masks>/a/b.*`, or the
same without `a`.

Good images are for training. Where there are bad ones, a seeded part of the good ones joins them in the test
split; copies of one file stay together.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from kizu.core.config import Config
from kizu.core.errors import DataError
from kizu.core.randomness import rng_for
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
from kizu.data.splits import with_good_tests

GOOD_NAMES = frozenset({"good", "ok", "normal", "pass", "io"})
BAD_NAMES = frozenset(
    {"bad", "ng", "nok", "nio", "fail", "defect", "defects", "defective", "anomaly", "anomalous", "abnormal"}
)
MASK_NAMES = frozenset({"mask", "masks", "ground_truth", "gt"})
DEFECT = "defect"
"""The kind of a bad image that no folder names."""

EXAMPLE: Example = {
    **{f"good/monday/{number}.png": IMAGE for number in range(8)},
    "good/0.png": IMAGE,
    "NG/1.png": IMAGE,
    "NG/dent/1.png": IMAGE,
    "masks/dent/1_mask.png": MASK,
}


class FolderOptions(Config):
    """Where the images lie when no folder's name says it, and how much of the good is for testing."""

    good_dir: Path | None = None
    """Relative to the root, as the next two; or absolute."""
    bad_dir: Path | None = None
    mask_dir: Path | None = None
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Of the good images; only where there are bad ones."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class _Folders:
    good: list[Path]
    bad: list[Path]
    masks: list[Path]


def scan(
    root: Path | None = None, category: str | None = None, options: FolderOptions = FolderOptions()
) -> Manifest:
    """List the images of `root`, or of `root`/`category`.

    Raises `DataError` when there is no good image, saying where it looked.
    """
    if root is None:
        raise DataError("no folder of good images was named", hint="give the folder as the data root")
    base = ensure_folder(root.expanduser() / (category or "")).resolve()
    folders = _take_given(base, options) or _recognise(base)
    passed = Passed()
    good = tuple(
        Sample(_id(path, base), path, "good", defect=GOOD, split=Split.TRAIN)
        for folder in folders.good
        for path in images_in(folder, passed, deep=True)
    )
    if not good:
        places = ", ".join(map(str, folders.good)) or base
        raise DataError(
            f"no good image in {places}",
            hint=f"the folders in {base}: {list_names(folders_in(base))}; name one of them",
        )
    bad = _bad_samples(folders, base, passed)
    manifest = Manifest("folder", category or base.name, base, (*good, *bad), passed.notes())
    if not bad or len(good) < 2:
        return manifest
    return with_good_tests(manifest, options.test_fraction, rng_for(options.seed, "folder", "test"))


def _take_given(base: Path, options: FolderOptions) -> _Folders | None:
    """The folders that the options name; the others stay empty. None: they name none."""
    named = (options.good_dir, options.bad_dir, options.mask_dir)
    if not any(named):
        return None
    if options.good_dir is None:
        raise DataError("bad_dir and mask_dir need good_dir", hint="name the folder of good images too")
    good, bad, masks = ([] if d is None else [ensure_folder(base / d.expanduser()).resolve()] for d in named)
    return _Folders(good, bad, masks)


def _recognise(base: Path) -> _Folders:
    named = folders_in(base)
    good, bad, masks = (
        [folder for folder in named if folder.name.lower() in names]
        for names in (GOOD_NAMES, BAD_NAMES, MASK_NAMES)
    )
    return _Folders(good, bad, masks) if good or bad else _Folders([base], [], [])


def _bad_samples(folders: _Folders, base: Path, passed: Passed) -> tuple[Sample, ...]:
    masks = {
        path.relative_to(folder).with_suffix("").as_posix(): path
        for folder in folders.masks
        for path in images_in(folder, passed, deep=True)
    }
    samples = []
    for folder in folders.bad:
        for path in images_in(folder, passed, deep=True):
            inside = path.relative_to(folder)
            mask = mask_for(inside.with_suffix("").as_posix(), masks) or mask_for(path.stem, masks)
            kind = inside.parts[0] if len(inside.parts) > 1 else DEFECT
            samples.append(Sample(_id(path, base), path, "defect", mask, kind, Split.TEST))
    return tuple(samples)


def _id(path: Path, base: Path) -> str:
    """Below the root as seen from there; elsewhere by the whole path."""
    return (path.relative_to(base) if path.is_relative_to(base) else path).as_posix().lstrip("/")
