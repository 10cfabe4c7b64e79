"""What layouts share: examples of themselves, categories below a root, and messages about what is there or not."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from kizu.core.errors import DataError
from kizu.core.registry import did_you_mean
from kizu.core.split import Split
from kizu.data.claims import claim_masks
from kizu.data.lots import walk
from kizu.data.manifest import GOOD, Sample
from kizu.data.passed import Passed
from kizu.imaging.codec import IMAGE_SUFFIXES

Example = Mapping[str, str]
"""A small root of a layout, which shows what it expects: path -> IMAGE, MASK, EMPTY_MASK, or another file's text."""
IMAGE, MASK, EMPTY_MASK = "image", "mask", "empty mask"
_NAMED = 3
TELLING = {
    "split_csv/1cls.csv": "visa",
    "test_public": "mvtec_ad2",
    "defects_config.json": "mvtec_loco",
    "train/ok": "btad",
    "realiad_jsons": "real_iad",
    "annotations": "coco or datumaro",
    "kos01": "kolektor",
}
"""What lies in the folders of other layouts, and in no folder of MVTec AD."""


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
    there = f"the folders in {nearest}: {list_names(folders_in(nearest))}"
    raise DataError(f"{root} does not exist", hint=did_you_mean(root, there))


def need_root(root: Path | None, noun: str) -> Path:
    """The data root, whole. Raises `DataError` where none was named; `noun`: what it should hold."""
    if root is None:
        raise DataError("no data set was named", hint=f"give the folder of {noun} as the data root")
    return ensure_folder(root.expanduser()).resolve()


def list_names(folders: Sequence[Path], most: int = 10) -> str:
    """Names for a message: "a, b, c and 5 more"."""
    names = [folder.name for folder in folders]
    rest = len(names) - most
    return (", ".join(names[:most]) or "none") + (f" and {rest} more" if rest > 0 else "")


def suggest_layout(*folders: Path) -> str:
    """The end of a hint: which layout one of the folders looks like; empty where nothing tells."""
    for folder in folders:
        for place, layout in TELLING.items():
            if (folder / place).exists():
                return f"; {place} in {folder} looks like the layout {layout}"
    return ""


def find_category(root: Path, category: str | None, *, shown_by: str, wanted: str) -> tuple[Path, str]:
    """The category's folder and the name of the data set. `root` may also be the category's own folder.

    `shown_by`: what a category's folder holds; `wanted`: the same for a message. Raises `DataError`, saying what was
    looked for and what is there.
    """
    here = (root / shown_by).is_dir()
    if here and category in (None, root.name):
        return root, root.parent.name
    categories = [folder for folder in folders_in(root) if (folder / shown_by).is_dir()]
    if category is not None and root / category in categories:
        return root / category, root.name
    if category is None and len(categories) == 1:
        return categories[0], root.name
    if category is None and categories:
        raise DataError(f"{root} holds several categories", hint=f"choose one of: {list_names(categories)}")
    looked_for = wanted if category is None else f"{category}/{shown_by}"
    if here:
        hint = f"{root} is itself the category {root.name!r}"
    elif categories:
        near = get_close_matches(category or "", [folder.name for folder in categories], n=1)
        meant = f"did you mean {near[0]!r}? " if near else ""
        hint = f"{meant}the categories there are: {list_names(categories)}"
    else:
        hint = f"the folders there are: {list_names(folders_in(root))}; for other folders use the layout 'folder'"
    inside = root if category is None else root / category
    raise DataError(f"no {looked_for} in {root}", hint=hint + suggest_layout(root, inside))


def list_samples(
    base: Path, place: str, split: Split, passed: Passed, *, defect: str = GOOD
) -> Iterator[Sample]:
    """All pictures in `base`/`place` and below, of one split and kind; none where there is no such folder."""
    folder = base / place
    for lot in walk(folder, passed, under=place) if folder.is_dir() else ():
        for name in lot.names:
            path = lot.path(name)
            label = "good" if defect == GOOD else "defect"
            yield Sample(path.relative_to(base).as_posix(), path, label, None, defect, split)  # type: ignore[arg-type]


def ensure_good(samples: Sequence[Sample], folder: Path, passed: Passed) -> None:
    """Raise `DataError` unless there are good images to learn from, which belong into `folder`."""
    if not any(sample.split is Split.TRAIN and sample.label == "good" for sample in samples):
        raise DataError(
            f"no image in {folder}",
            hint="; ".join(["good images to learn from go there", *passed.notes()]),
        )


def claim_drawn(
    samples: Sequence[Sample], base: Path, places: Mapping[str, str], passed: Passed
) -> tuple[Sample, ...]:
    """The samples, defects with their masks, by the name of the file. `places`: of each kind of defect its folder of
    masks below `base`. Raises `DataError` as `claim_masks`."""
    masks: dict[Path, tuple[str, ...]] = {}
    for defect, place in places.items():
        for lot in walk(base / place, passed, under=place) if (base / place).is_dir() else ():
            masks |= {lot.path(name): (defect,) for name in lot.names}
    wanted = {s.path: ((s.defect,),) for s in samples if s.label == "defect" and s.defect in places}
    claimed = claim_masks(wanted, masks, passed, base)
    found = tuple(replace(s, mask_path=claimed.get(s.path)) for s in samples)
    tell_unmasked(found, passed)
    return found


def tell_unmasked(samples: Sequence[Sample], passed: Passed) -> None:
    """Remark defects that have no mask."""
    without = [s.id for s in samples if s.label == "defect" and s.mask_path is None]
    if without:
        more = ", ..." if len(without) > _NAMED else ""
        passed.remark(f"defects without a mask: {len(without)} ({', '.join(without[:_NAMED])}{more})")


def file_inside(root: Path, name: object, where: str) -> Path:
    """The picture that a table or an annotation names, below `root`.

    Raises `DataError`, beginning with `where` (a file and its line), for a name that leads out of the root, to no file,
    or to none that is a picture.
    """
    if not isinstance(name, str) or not name.strip():
        raise DataError(f"{where}: no file is named", hint="each row names its picture")
    path = root / name.replace("\\", "/")
    try:
        whole = path.resolve()
    except (OSError, ValueError) as error:
        raise DataError(
            f"{where}: {name!r} is not the name of a file", hint="mend the row, or remove it"
        ) from error
    if not whole.is_relative_to(root.resolve()):
        raise DataError(
            f"{where}: {name!r} leads out of {root}", hint="names are relative to the data root, without '..'"
        )
    if not whole.is_file():
        raise DataError(
            f"{where}: {path} does not exist",
            hint="unpack the data set again, or name the folder that holds it as the data root",
        )
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise DataError(f"{where}: {path} is no picture by its name", hint="mend the row, or remove it")
    return path
