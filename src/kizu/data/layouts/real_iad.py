"""Real-IAD (Wang et al., "Real-IAD: A Real-World Multi-View Dataset for Benchmarking Versatile Industrial Anomaly
Detection", CVPR 2024).

    <root>/realiad_1024/<category>/OK/SNNNN/<category>_NNNN_OK_C1_<time>.jpg          five views of each part
    <root>/realiad_1024/<category>/NG/<flaw>/SNNNN/<category>_NNNN_NG_<flaw>_C1_<time>.jpg, .png
    <root>/realiad_jsons/realiad_jsons/<category>.json                                  which image is for what

and likewise realiad_512, realiad_256, realiad_raw, and realiad_jsons_sv, realiad_jsons_fuiad_0.4, ... The JSON file:

    {"meta": {"prefix": "<category>/", "normal_class": "OK", "pre_transform": ...},
     "train": [{"category": ..., "anomaly_class": "OK", "image_path": "OK/S0001/...jpg", "mask_path": null}, ...],
     "test": [...]}

Image and mask paths are relative to the images' folder and the prefix. `pre_transform` says how the publisher's own
code resizes; it is not applied. The views of one part stay together in every split, unless the file itself has parts in
both of its splits, which is told; what the file puts into the training split and calls defective (fuiad) is listed
there, for `discriminative`.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kizu.core.config import Config
from kizu.core.errors import DataError
from kizu.core.files import read_json
from kizu.core.split import Split
from kizu.data.layouts.files import (
    IMAGE,
    MASK,
    Example,
    ensure_folder,
    ensure_good,
    file_inside,
    need_root,
    tell_unmasked,
)
from kizu.data.manifest import GOOD, Manifest, Sample
from kizu.data.passed import Passed

RESOLUTIONS = ("1024", "512", "256", "raw")
"""The first that is there is taken."""
_TABLES = ("realiad_jsons/realiad_jsons", "realiad_jsons", ".")
_HINT = "take the publisher's file, or name another with the option json_file"


def _entry(defect: str, name: str, mask: str = "null") -> str:
    return f'{{"category": "mint", "anomaly_class": "{defect}", "image_path": "{name}", "mask_path": {mask}}}'


EXAMPLE: Example = {
    **{f"realiad_1024/mint/OK/S{number:04}/c{view}.jpg": IMAGE for number in range(5) for view in (1, 2)},
    **{f"realiad_1024/mint/NG/PS/S{number:04}/c1.jpg": IMAGE for number in range(2)},
    **{f"realiad_1024/mint/NG/PS/S{number:04}/c1.png": MASK for number in range(2)},
    "realiad_jsons/realiad_jsons/mint.json": (
        '{"meta": {"prefix": "mint/", "normal_class": "OK", "pre_transform": "resize"},\n"train": ['
        + ",\n".join(_entry("OK", f"OK/S{n:04}/c{v}.jpg") for n in range(4) for v in (1, 2))
        + '],\n"test": ['
        + ",\n".join(
            [
                *(_entry("OK", f"OK/S0004/c{v}.jpg") for v in (1, 2)),
                *(_entry("PS", f"NG/PS/S{n:04}/c1.jpg", f'"NG/PS/S{n:04}/c1.png"') for n in range(2)),
            ]
        )
        + "]}\n"
    ),
}


class RealIadOptions(Config):
    """Where the images and the file lie, where not in their usual places."""

    images: Path | None = None
    """Relative to the root: the folder of images of one resolution."""
    json_file: Path | None = None
    """Relative to the root; may hold `{category}`."""


def scan(
    root: Path | None = None, category: str | None = None, options: RealIadOptions = RealIadOptions()
) -> Manifest:
    """List one category.

    Raises `DataError` naming the file and the entry that cannot be understood, or names no file below the images.
    """
    folder = need_root(root, "Real-IAD")
    table = _table(folder, category, options)
    category = category or table.stem
    content = read_json(table, hint=_HINT)
    images = _images(folder, options)
    meta = content.get("meta")
    if not isinstance(meta, dict) or not all(
        isinstance(meta.get(key), str) for key in ("prefix", "normal_class")
    ):
        raise DataError(f"{table}: no meta with prefix and normal_class", hint=_HINT)
    passed = Passed()
    samples = [
        _sample(images, meta, entry, f"{table}, {split} entry {number}", split)
        for split in (Split.TRAIN, Split.TEST)
        for number, entry in enumerate(_entries(content, split, table), start=1)
    ]
    ensure_good(samples, images / meta["prefix"] / meta["normal_class"], passed)
    tell_unmasked(samples, passed)
    flawed = sum(s.label == "defect" and s.split is Split.TRAIN for s in samples)
    if flawed:
        passed.remark(f"defects in the training split, which only discriminative learns from: {flawed}")
    grouped = _with_parts(samples, passed)
    return Manifest("real_iad", category, images, grouped, passed.notes())


def _table(folder: Path, category: str | None, options: RealIadOptions) -> Path:
    """The JSON file of the category; without one, the only one there is."""
    if options.json_file is not None:
        return folder / str(options.json_file).replace("{category}", category or "")
    places = [folder / place for place in _TABLES]
    if category is not None:
        found = [place / f"{category}.json" for place in places if (place / f"{category}.json").is_file()]
    else:
        found = next((files for place in places if (files := sorted(place.glob("*.json")))), [])
        if len(found) > 1:
            names = ", ".join(path.stem for path in found)
            raise DataError(f"{found[0].parent} holds several categories", hint=f"choose one of: {names}")
    if not found:
        known = sorted({path.stem for place in places for path in place.glob("*.json")})
        raise DataError(
            f"no {category or '<category>'}.json in {places[0]}",
            hint=f"the categories there are: {', '.join(known) or 'none'}; the root must hold realiad_jsons/",
        )
    return found[0]


def _images(folder: Path, options: RealIadOptions) -> Path:
    if options.images is not None:
        return ensure_folder(folder / options.images)
    for resolution in RESOLUTIONS:
        if (folder / f"realiad_{resolution}").is_dir():
            return folder / f"realiad_{resolution}"
    raise DataError(
        f"none of {', '.join(f'realiad_{resolution}' for resolution in RESOLUTIONS)} in {folder}",
        hint="unpack the images of one resolution there, or name their folder with the option images",
    )


def _entries(content: dict[str, Any], split: Split, table: Path) -> Sequence[Any]:
    entries = content.get(split)
    if not isinstance(entries, list):
        raise DataError(f"{table}: {split} is no list", hint=_HINT)
    return entries


def _sample(images: Path, meta: dict[str, str], entry: Any, where: str, split: Split) -> Sample:
    if not isinstance(entry, dict) or not isinstance(entry.get("anomaly_class"), str):
        raise DataError(f"{where}: no anomaly_class", hint=_HINT)
    is_good = entry["anomaly_class"] == meta["normal_class"]
    path = file_inside(images, _join(meta["prefix"], entry.get("image_path")), where)
    told = entry.get("mask_path")
    mask = None if is_good or told is None else file_inside(images, _join(meta["prefix"], told), where)
    return Sample(
        id=path.relative_to(images).as_posix(),
        path=path,
        label="good" if is_good else "defect",
        mask_path=mask,
        defect=GOOD if is_good else entry["anomaly_class"],
        split=split,
    )


def _join(prefix: str, name: Any) -> Any:
    return f"{prefix}/{name}" if isinstance(name, str) and name else name


def _with_parts(samples: Sequence[Sample], passed: Passed) -> tuple[Sample, ...]:
    """Each sample with the folder of its part as its group, where no part is on two sides."""
    sides: defaultdict[str, set[Split | None]] = defaultdict(set)
    for sample in samples:
        sides[Path(sample.id).parent.as_posix()].add(sample.split)
    torn = sum(len(splits) > 1 for splits in sides.values())
    if torn:
        passed.remark(f"parts with views in both splits of the file: {torn}; views are not kept together")
        return tuple(samples)
    return tuple(replace(sample, group=Path(sample.id).parent.as_posix()) for sample in samples)
