"""COCO's instances (Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014), as most labelling tools write.

    <root>/annotations/<name>.json                             or <root>/<split>/_annotations.coco.json
    <root>/images/<split>/<file>, images/<file>, <split>/<file> or <file>

    {"images": [{"id": 1, "file_name": "a.png", "height": 32, "width": 40}],
     "annotations": [{"id": 1, "image_id": 1, "category_id": 2, "segmentation": [[x, y, x, y, x, y]] or runs}],
     "categories": [{"id": 2, "name": "scratch"}]}

Every annotation is a flaw, but for those of a category that is called good; an image without one is good. The kind of
defect is the category of the first. Polygons and runs (packed or not) are drawn together to one mask; an annotation
that has a box and no segmentation is a defect that nobody drew. A word in the file's name, or in its folder's, says the
split: instances_train.json; without one, all good images may be learned from. There are no categories in Kizu's sense.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kizu.core.errors import DataError
from kizu.core.files import read_json
from kizu.core.split import Split
from kizu.core.types import F64
from kizu.data.annotated import (
    AnnotatedOptions,
    Annotation,
    Runs,
    make_manifest,
    read_polygon,
    read_runs,
    read_size,
)
from kizu.data.layouts.files import IMAGE, Example, file_inside, need_root
from kizu.data.manifest import GOOD, Manifest
from kizu.data.passed import Passed
from kizu.data.words import say

BESIDE = "_annotations.coco.json"
"""The file's name where it lies beside its images."""
_HINT = "export the annotations again, as COCO instances"


def _image(number: int) -> str:
    return f'{{"id": {number}, "file_name": "{number}.png", "height": 32, "width": 40}}'


def _flaw(number: int, segmentation: str) -> str:
    return f'{{"id": {number}, "image_id": {number}, "category_id": 3, "segmentation": {segmentation}}}'


EXAMPLE: Example = {
    **{f"images/{number}.png": IMAGE for number in range(11)},
    "annotations/instances.json": (
        f'{{"images": [{", ".join(map(_image, range(11)))}],\n"annotations": [\n'
        + ",\n".join(
            [
                _flaw(8, "[[4, 3, 20, 3, 20, 9, 4, 9], [30, 20, 36, 20, 33, 28]]"),
                _flaw(9, '{"size": [32, 40], "counts": [100, 20, 1160]}'),
                _flaw(10, '{"size": [32, 40], "counts": "T3d0XT1"}'),
            ]
        )
        + '],\n"categories": [{"id": 3, "name": "scratch"}]}\n'
    ),
}


def scan(
    root: Path | None = None, category: str | None = None, options: AnnotatedOptions = AnnotatedOptions()
) -> Manifest:
    """List the set, or that in `root`/`category`. Masks are drawn where there are none yet: `data.annotated`.

    Raises `DataError` naming the file and the entry that cannot be understood; `OutputError` as `make_manifest`.
    """
    folder = need_root(root if root is None or category is None else root / category, "COCO's files")
    tables = sorted(
        [*(folder / "annotations").glob("*.json"), *folder.glob(f"*/{BESIDE}"), *folder.glob(BESIDE)]
    )
    if not tables:
        raise DataError(
            f"neither annotations/*.json nor {BESIDE} in {folder}", hint="the root must hold the annotations"
        )
    images = [image for table in tables for image in _images(folder, table, options)]
    return make_manifest("coco", folder, images, options, Passed())


def _images(folder: Path, table: Path, options: AnnotatedOptions) -> Iterator[Annotation]:
    content = read_json(table, hint=_HINT)
    names = {entry.get("id"): str(entry.get("name")) for entry in _entries(content, "categories", table)}
    flaws = _by_image(content, names, options, table)
    place = table.parent.name if table.name == BESIDE else table.stem
    split = say(place).split
    ids = set()
    for number, entry in enumerate(_entries(content, "images", table), start=1):
        where = f"{table}, image {number} ({entry.get('file_name')})"
        path = _find(folder, table, entry.get("file_name"), split, where)
        hw = read_size(entry.get("height"), entry.get("width"), where)
        found = flaws.get(entry.get("id"), [])
        ids.add(entry.get("id"))
        shapes = tuple(shape for _, drawn in found for shape in drawn)
        yield Annotation(path, where, found[0][0] if found else GOOD, hw, split, shapes)
    lost = next((image for image in flaws if image not in ids), None)
    if lost is not None:
        raise DataError(f"{table}: annotations are of an image {lost!r} that is not listed", hint=_HINT)


def _entries(content: dict[str, Any], key: str, table: Path) -> list[dict[str, Any]]:
    entries = content.get(key)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise DataError(f"{table}: {key} is no list of objects", hint=_HINT)
    return entries


def _by_image(
    content: dict[str, Any], names: dict[Any, str], options: AnnotatedOptions, table: Path
) -> dict[Any, list[tuple[str, list[F64 | Runs]]]]:
    """(kind, what is drawn) of each flaw, by the image's id."""
    found: defaultdict[Any, list[tuple[str, list[F64 | Runs]]]] = defaultdict(list)
    for number, entry in enumerate(_entries(content, "annotations", table), start=1):
        where = f"{table}, annotation {number}"
        if entry.get("category_id") not in names:
            raise DataError(f"{where}: category_id {entry.get('category_id')!r} is not listed", hint=_HINT)
        kind = names[entry["category_id"]]
        if not options.is_good(kind):
            found[entry.get("image_id")].append((kind, _shapes(entry.get("segmentation"), where)))
    return found


def _shapes(segmentation: Any, where: str) -> list[F64 | Runs]:
    if not segmentation:
        return []
    if isinstance(segmentation, dict):
        return [read_runs(segmentation, where)]
    if not isinstance(segmentation, list):
        raise DataError(f"{where}: segmentation is neither polygons nor runs", hint=_HINT)
    return [read_polygon(points, where) for points in segmentation]


def _find(folder: Path, table: Path, name: Any, split: Split | None, where: str) -> Path:
    """The first of the usual places that has the file."""
    if table.name == BESIDE:
        beside = table.parent.relative_to(folder)
        return file_inside(folder, f"{beside}/{name}" if isinstance(name, str) else None, where)
    places = ["images", "."] if split is None else [f"images/{split}", "images", f"{split}", "."]
    places.insert(0, f"images/{table.stem}")
    for place in places:
        if isinstance(name, str) and (folder / place / name).is_file():
            return file_inside(folder, f"{place}/{name}", where)
    return file_inside(folder, f"images/{name}" if isinstance(name, str) else None, where)
