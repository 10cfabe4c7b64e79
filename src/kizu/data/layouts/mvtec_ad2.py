"""MVTec AD 2 (Heckler-Kram et al., "The MVTec AD 2 Dataset", arXiv 2503.21622, 2025).

    <root>/<category>/train/good/NNN_regular.png                good images to learn from
    <root>/<category>/validation/good/NNN_regular.png           good ones for choosing thresholds or settings
    <root>/<category>/test_public/good/NNN_<light>.png
    <root>/<category>/test_public/bad/NNN_<light>.png
    <root>/<category>/test_public/ground_truth/bad/NNN_<light>_mask.png
    <root>/<category>/test_private/NNN_regular.png              nobody but the publisher knows which are bad
    <root>/<category>/test_private_mixed/NNN_mixed.png          the same parts in other light

Categories: can, fabric, fruit_jelly, rice, sheet_metal, vial, wallplugs, walnuts. Defects have no kinds: all are "bad".

The public test set is the test split. `validation/good` is the validation split, good ones only: nothing is fitted or
calibrated on it by itself, so that a promise can be held against it (`kizu inspect --assume-good`); with the option
`validation: train` it joins the images that are learned from. The private sets are in no split, since nothing can be
measured on them: `list_private` lists them for a submission (`kizu submit`).
"""

from pathlib import Path
from typing import Literal

from kizu.core.config import Config
from kizu.core.errors import DataError
from kizu.core.split import Split
from kizu.data.layouts.files import (
    IMAGE,
    MASK,
    Example,
    claim_drawn,
    ensure_good,
    find_category,
    list_samples,
    need_root,
)
from kizu.data.lots import pictures_directly_in
from kizu.data.manifest import Manifest, Sample
from kizu.data.passed import Passed

PRIVATE = {"test_private": "regular", "test_private_mixed": "mixed"}
"""The folders without labels, and what the names of their files end with."""
BAD = "bad"

EXAMPLE: Example = {
    **{f"can/train/good/{number:03}_regular.png": IMAGE for number in range(8)},
    **{f"can/validation/good/{number:03}_regular.png": IMAGE for number in range(3)},
    **{f"can/test_public/good/{number:03}_{light}.png": IMAGE for number, light in ((0, "regular"), (1, "shift_1"))},
    **{f"can/test_public/bad/{number:03}_{light}.png": IMAGE for number, light in ((0, "overexposed"), (1, "regular"))},
    "can/test_public/ground_truth/bad/000_overexposed_mask.png": MASK,
    "can/test_public/ground_truth/bad/001_regular_mask.png": MASK,
    **{f"can/{folder}/{number:03}_{end}.png": IMAGE for folder, end in PRIVATE.items() for number in range(2)},
}  # fmt: skip


class GoodValidation(Config):
    """What the good images of `validation/` are for: chosen on, or learned from like those of `train/`."""

    validation: Literal["validation", "train"] = "validation"


def scan(
    root: Path | None = None, category: str | None = None, options: GoodValidation = GoodValidation()
) -> Manifest:
    """List one category. `root` may also be the category's own folder.

    Raises `DataError`, saying what was looked for and what is there.
    """
    folder, dataset = _category(root, category)
    passed = Passed()
    samples = [
        *list_samples(folder, "train/good", Split.TRAIN, passed),
        *list_samples(folder, "validation/good", Split(options.validation), passed),
        *list_samples(folder, "test_public/good", Split.TEST, passed),
        *list_samples(folder, f"test_public/{BAD}", Split.TEST, passed, defect=BAD),
    ]
    ensure_good(samples, folder / "train" / "good", passed)
    found = claim_drawn(samples, folder, {BAD: f"test_public/ground_truth/{BAD}"}, passed)
    for name in PRIVATE:
        count = len(pictures_directly_in(folder / name, Passed()))
        if count:
            passed.remark(f"without labels, for a submission only: {count} pictures in {name}")
    return Manifest(dataset, folder.name, folder, found, passed.notes())


def list_private(root: Path | None, category: str | None, split: str) -> tuple[Sample, ...]:
    """The images of one of the `PRIVATE` folders, by name; what is no `NNN_<end>.png` is refused.

    Raises `DataError` when there is none.
    """
    folder, _ = _category(root, category)
    names = pictures_directly_in(folder / split, Passed(), under=split)
    if not names:
        raise DataError(f"no image in {folder / split}", hint="unpack the whole data set, or name its folder")
    for name in names:
        number, _, end = Path(name).stem.partition("_")
        if len(number) != 3 or not number.isdecimal() or end != PRIVATE[split]:
            raise DataError(
                f"{folder / split / name} is not called NNN_{PRIVATE[split]}.png",
                hint="a submission names each map after its image: unpack the data set again",
            )
    return tuple(Sample(f"{split}/{name}", folder / split / name) for name in names)


def _category(root: Path | None, category: str | None) -> tuple[Path, str]:
    return find_category(
        need_root(root, "MVTec AD 2"),
        category,
        shown_by="test_public",
        wanted="category with train and test_public",
    )
