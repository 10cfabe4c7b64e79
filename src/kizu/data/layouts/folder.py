"""Any folders of good and, where there are some, bad images.

Without options, the names of folders say what is in them, at any depth, in upper or lower case, also inside a name:

- good, ok, normal, ... hold good images; bad, ng, ko, defect, anomaly, crack, ... bad ones; mask, label, gt,
  ground_truth, ... masks; train, validation and test say the split;
- where no name has such a word, all images are good, but for those with a flaw in the mask beside them;
- what contradicts itself, or has no good images to learn from, is refused with a list of what there is.

The first folder below a bad one names the kind of defect; images directly in it are of the kind "defect". The mask of
`<bad>/a/b.png` is `<masks>/a/b_mask.*`, `<masks>/a/b.*` or `<masks>/a/b.png.*`, or the same without `a`; or it lies
beside the image as `b_mask.*` (or `_label`, `_GT`, `_seg`).

Good images are for training unless their folders say otherwise. Where there are bad ones and no good ones to test with,
a seeded part of the good ones joins them in the test split; copies of one file stay together.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from kizu.core.config import Config
from kizu.core.errors import DataError
from kizu.core.randomness import rng_for
from kizu.core.split import Split
from kizu.data.claims import claim_masks
from kizu.data.labels import DEFECT, Picture, read_named, read_pictures
from kizu.data.layouts.files import IMAGE, MASK, Example, ensure_folder, folders_in, list_names
from kizu.data.manifest import GOOD, Manifest, Sample
from kizu.data.passed import Passed
from kizu.data.splits import with_good_tests
from kizu.data.words import Kind

EXAMPLE: Example = {
    **{f"good/monday/{number}.png": IMAGE for number in range(8)},
    "good/0.png": IMAGE,
    "NG/1.png": IMAGE,
    "NG/dent/1.png": IMAGE,
    "masks/dent/1_mask.png": MASK,
}


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str | Path) else () if value is None else value


Folders = Annotated[tuple[Path, ...], BeforeValidator(_several)]
"""One folder or several."""


class FolderOptions(Config):
    """Where the images lie when no folder's name says it, and how much of the good is for testing."""

    good_dir: Folders = ()
    """Relative to the root, as the next two; or absolute."""
    bad_dir: Folders = ()
    mask_dir: Folders = ()
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Of the good images; only where there are bad ones."""
    seed: int = 0


def scan(
    root: Path | None = None, category: str | None = None, options: FolderOptions = FolderOptions()
) -> Manifest:
    """List the images of `root`, or of `root`/`category`.

    Raises `DataError` when there is no good image or pictures cannot be told apart, saying what there is.
    """
    if root is None:
        raise DataError("no folder of good images was named", hint="give the folder as the data root")
    base = ensure_folder(root.expanduser() / (category or "")).resolve()
    passed = Passed()
    pictures = _read(base, options, passed)
    good = tuple(_sample(picture, base) for picture in pictures if picture.kind is Kind.GOOD)
    if not good:
        places = ", ".join(map(str, options.good_dir)) or base
        raise DataError(
            f"no good image in {places}",
            hint="; ".join([f"the folders in {base}: {list_names(folders_in(base))}", *passed.notes()]),
        )
    bad = _bad_samples(pictures, base, passed)
    manifest = Manifest("folder", category or base.name, base, (*good, *bad), passed.notes())
    if not any(s.split is Split.TEST for s in bad) or any(s.split is Split.TEST for s in good):
        return manifest
    if len(manifest.train_good()) < 2:
        return manifest
    return with_good_tests(manifest, options.test_fraction, rng_for(options.seed, "folder", "test"))


def _read(base: Path, options: FolderOptions, passed: Passed) -> list[Picture]:
    """By the folders that the options name, else by the names of folders."""
    given = {Kind.GOOD: options.good_dir, Kind.BAD: options.bad_dir, Kind.MASK: options.mask_dir}
    if not any(given.values()):
        return read_pictures(base, passed)
    if not options.good_dir:
        raise DataError("bad_dir and mask_dir need good_dir", hint="name the folder of good images too")
    named = [
        (kind, ensure_folder(base / name.expanduser()).resolve())
        for kind, names in given.items()
        for name in names
    ]
    folders = [folder for _, folder in named]
    twice = next((folder for folder in folders if folders.count(folder) > 1), None)
    if twice is not None:
        raise DataError(f"{twice} is named twice in the data options", hint="name each folder once")
    pictures = []
    for kind, folder in named:
        inside = [other for other in folders if other != folder and other.is_relative_to(folder)]
        found = read_named(folder, kind, base, passed, others=inside)
        several = kind is Kind.BAD and len(options.bad_dir) > 1
        pictures += [_of_folder(p, folder) if several and p.defect == DEFECT else p for p in found]
    return pictures


def _of_folder(picture: Picture, folder: Path) -> Picture:
    """With the folder's name as the kind of defect: of several, each holds its own."""
    return replace(picture, defect=folder.name)


def _bad_samples(pictures: list[Picture], base: Path, passed: Passed) -> tuple[Sample, ...]:
    bad = [picture for picture in pictures if picture.kind is Kind.BAD]
    masks = {picture.path: picture.place for picture in pictures if picture.kind is Kind.MASK}
    wanted = {picture.path: (picture.place, ()) for picture in bad if picture.mask is None}
    unknown = [picture.path for picture in pictures if picture.kind is None]
    claimed = claim_masks(wanted, masks, passed, base, bystanders=unknown)
    return tuple(_sample(picture, base, picture.mask or claimed.get(picture.path)) for picture in bad)


def _sample(picture: Picture, base: Path, mask: Path | None = None) -> Sample:
    path = picture.path
    name = (path.relative_to(base) if path.is_relative_to(base) else path).as_posix().lstrip("/")
    if picture.kind is Kind.GOOD:
        return Sample(name, path, "good", defect=GOOD, split=picture.split or Split.TRAIN)
    return Sample(name, path, "defect", mask, picture.defect, picture.split or Split.TEST)
