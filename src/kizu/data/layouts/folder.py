"""Any folders of good and, where there are some, bad images.

Without options, what is in the root decides:

- sub-folders named as in GOOD_NAMES hold good images, those in BAD_NAMES bad ones, those in MASK_NAMES masks (upper or
  lower case, all searched to any depth; other folders are passed over);
- where no sub-folder has such a name, all images in the root and below are good.

`good_dir`, `bad_dir` and `mask_dir` name the folders instead; they may lie anywhere.

The first folder below a bad one names the kind of defect; images directly in it are of the kind "defect". The mask of
`<bad>/a/b.png` is `<masks>/a/b_mask.*` or `<masks>/a/b.*`, or the same directly in `<masks>`.

Good images are for training. Where there are bad ones, a seeded part of the good ones joins them in the test split.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kizu.core.errors import DataError
from kizu.core.randomness import rng_for
from kizu.core.split import Split
from kizu.data.layouts.files import Passed, existing, folders_in, images_in, listed, mask_for
from kizu.data.manifest import GOOD, Manifest, Sample
from kizu.data.splits import hold_out

GOOD_NAMES = ("good", "ok", "normal", "pass", "io")
BAD_NAMES = ("bad", "ng", "nok", "nio", "fail", "defect", "defects", "defective", "anomaly", "anomalous", "abnormal")
MASK_NAMES = ("mask", "masks", "ground_truth", "gt")


def scan(
    root: Path | None = None,
    category: str | None = None,
    *,
    good_dir: Path | None = None,
    bad_dir: Path | None = None,
    mask_dir: Path | None = None,
    test_fraction: float = 0.2,
    seed: int = 0,
) -> Manifest:
    """List the images below `root` (or `root`/`category`); relative `*_dir` start there.

    Raises `DataError` when there is no good image, naming where it looked.
    """
    base = _base(root, category, good_dir)
    given = [None if folder is None else [existing(base / folder.expanduser())] for folder in (good_dir, bad_dir, mask_dir)]
    good_dirs, bad_dirs, mask_dirs = _recognised(base, *given)
    passed = Passed()
    good = [
        Sample(id=_id(path, base), path=path, label="good", defect=GOOD, split=Split.TRAIN)
        for folder in good_dirs
        for path in images_in(folder, passed, deep=True)
    ]
    if not good:
        hint = f"the folders in {base}: {listed(folders_in(base))}; name the one of good images with good_dir"
        raise DataError(f"no good image in {', '.join(map(str, good_dirs)) or base}", hint=hint)
    bad = [sample for folder in bad_dirs for sample in _bad(folder, base, mask_dirs, passed)]
    if bad and len(good) > 1:
        good = _with_test_part(good, test_fraction, seed)
    return Manifest("folder", category or base.name, base, (*good, *bad), passed.notes())
