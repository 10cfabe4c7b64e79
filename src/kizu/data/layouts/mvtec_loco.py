"""MVTec LOCO AD (Bergmann et al., "Beyond Dents and Scratches: Logical Constraints in Unsupervised Anomaly Detection
and Localization", IJCV 2022).

    <root>/<category>/train/good/NNN.png                                    good images to learn from
    <root>/<category>/validation/good/NNN.png                               good ones for choosing settings
    <root>/<category>/test/good/NNN.png
    <root>/<category>/test/{logical_anomalies,structural_anomalies}/NNN.png
    <root>/<category>/ground_truth/<kind>/NNN/MMM.png                       a mask for each flaw of the image NNN
    <root>/<category>/defects_config.json                                   what the numbers in masks mean

Categories: breakfast_box, juice_bottle, pushpins, screw_bag, splicing_connectors.

An image is flawed where any of its masks says so: that union is the truth for pixels. The masks stay apart in the
samples, in the order of their names, with the number of the defect in each pixel, as the saturated overlap (sPRO) of
the paper needs them. Not represented is `defects_config.json`, which says by that number how much of a flaw must be
found (`saturation_threshold`, `relative_saturation`): Kizu's overlap (AU-PRO) wants all of it, and is so no sPRO.

`validation/good` is the validation split, good ones only; see `mvtec_ad2`, with the same option.
"""

from dataclasses import replace
from pathlib import Path

from kizu.core.errors import DataError
from kizu.core.split import Split
from kizu.data.layouts.files import (
    IMAGE,
    MASK,
    Example,
    ensure_good,
    find_category,
    folders_in,
    list_samples,
    need_root,
    tell_unmasked,
)
from kizu.data.layouts.mvtec_ad2 import GoodValidation
from kizu.data.lots import pictures_directly_in
from kizu.data.manifest import Manifest, Sample
from kizu.data.passed import Passed, Reason

KINDS = ("logical_anomalies", "structural_anomalies")
CONFIG = "defects_config.json"

EXAMPLE: Example = {
    **{f"pushpins/train/good/{number:03}.png": IMAGE for number in range(8)},
    **{f"pushpins/validation/good/{number:03}.png": IMAGE for number in range(2)},
    **{f"pushpins/test/good/{number:03}.png": IMAGE for number in range(2)},
    **{f"pushpins/test/{kind}/{number:03}.png": IMAGE for kind in KINDS for number in range(2)},
    "pushpins/ground_truth/logical_anomalies/000/000.png": MASK,
    "pushpins/ground_truth/logical_anomalies/000/001.png": MASK,
    "pushpins/ground_truth/logical_anomalies/001/000.png": MASK,
    "pushpins/ground_truth/structural_anomalies/000/000.png": MASK,
    "pushpins/ground_truth/structural_anomalies/001/000.png": MASK,
    "pushpins/defects_config.json": '[{"defect_name": "missing_pushpin", "pixel_value": 255,'
    ' "saturation_threshold": 0.9, "relative_saturation": true}]\n',
}


def scan(
    root: Path | None = None, category: str | None = None, options: GoodValidation = GoodValidation()
) -> Manifest:
    """List one category. `root` may also be the category's own folder.

    Raises `DataError`, saying what was looked for and what is there.
    """
    folder, dataset = find_category(
        need_root(root, "MVTec LOCO AD"), category, shown_by="train", wanted="train/good"
    )
    passed = Passed()
    samples = [
        *list_samples(folder, "train/good", Split.TRAIN, passed),
        *list_samples(folder, "validation/good", Split(options.validation), passed),
        *list_samples(folder, "test/good", Split.TEST, passed),
    ]
    ensure_good(samples, folder / "train" / "good", passed)
    others = [path.name for path in folders_in(folder / "test") if path.name not in ("good", *KINDS)]
    if others:
        raise DataError(
            f"{folder / 'test' / others[0]} is no kind of MVTec LOCO AD: it has {' and '.join(KINDS)}",
            hint="a set with one mask for each image lies as mvtec_ad does",
        )
    for kind in KINDS:
        samples += _flawed(folder, kind, passed)
    tell_unmasked(samples, passed)
    if not (folder / CONFIG).is_file():
        passed.remark(f"{CONFIG} is missing: what the numbers in masks mean is not known")
    return Manifest(dataset, folder.name, folder, tuple(samples), passed.notes())


def _flawed(folder: Path, kind: str, passed: Passed) -> list[Sample]:
    """The images of one kind, each with the masks in the folder of its name."""
    place = f"ground_truth/{kind}"
    unclaimed = {path.name: path for path in folders_in(folder / place)}
    for name in pictures_directly_in(folder / place, passed, under=place):
        passed.add(Reason.UNCLAIMED_MASK, f"{place}/{name}")
    found = []
    for sample in list_samples(folder, f"test/{kind}", Split.TEST, passed, defect=kind):
        own = unclaimed.pop(sample.path.stem, None)
        names = [] if own is None else pictures_directly_in(own, passed, under=f"{place}/{own.name}")
        masks = [folder / place / sample.path.stem / name for name in names]
        found.append(replace(sample, mask_path=masks[0], more_masks=tuple(masks[1:])) if masks else sample)
    for name, path in unclaimed.items():
        passed.add(Reason.UNCLAIMED_MASK, f"{place}/{name}", len(list(path.iterdir())))
    return found
