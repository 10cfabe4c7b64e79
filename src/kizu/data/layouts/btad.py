"""BTAD, the beanTech data set (Mishra et al., "VT-ADL: A Vision Transformer Network for Image Anomaly Detection and
Localization", ISIE 2021).

    <root>/<category>/train/ok/NNNN.bmp             good images to learn from
    <root>/<category>/test/ok/NNNN.bmp
    <root>/<category>/test/ko/NNNN.bmp
    <root>/<category>/ground_truth/ko/NNNN.png      of the image of the same number

Categories: 01, 02, 03. Images and masks are BMP or PNG, and the two of one number need not be of the same kind. Defects
have no kinds: all are "ko". The archive holds the categories in a folder `BTech_Dataset_transformed`: that is the root.
"""

from pathlib import Path

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
from kizu.data.manifest import Manifest
from kizu.data.passed import Passed

KO = "ko"

EXAMPLE: Example = {
    **{f"01/train/ok/{number:04}.png": IMAGE for number in range(8)},
    **{f"01/test/ok/{number:04}.bmp": IMAGE for number in range(2)},
    "01/test/ko/0000.bmp": IMAGE,
    "01/test/ko/0001.png": IMAGE,
    "01/ground_truth/ko/0000.png": MASK,
    "01/ground_truth/ko/0001.bmp": MASK,
}


def scan(root: Path | None = None, category: str | None = None) -> Manifest:
    """List one category. `root` may also be the category's own folder.

    Raises `DataError`, saying what was looked for and what is there.
    """
    folder, _ = find_category(need_root(root, "BTAD"), category, shown_by="train/ok", wanted="train/ok")
    passed = Passed()
    samples = [
        *list_samples(folder, "train/ok", Split.TRAIN, passed),
        *list_samples(folder, "test/ok", Split.TEST, passed),
        *list_samples(folder, f"test/{KO}", Split.TEST, passed, defect=KO),
    ]
    ensure_good(samples, folder / "train" / "ok", passed)
    found = claim_drawn(samples, folder, {KO: f"ground_truth/{KO}"}, passed)
    return Manifest("btad", folder.name, folder, found, passed.notes())
