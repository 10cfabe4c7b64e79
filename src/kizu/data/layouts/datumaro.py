"""Datumaro's own format, as Geti and CVAT export it: https://open-edge-platform.github.io/datumaro.

    <root>/annotations/<subset>.json
    <root>/images/<subset>/<path>

    {"categories": {"label": {"labels": [{"name": "Normal"}, {"name": "scratch"}]}},
     "items": [{"id": "a", "image": {"path": "a.png", "size": [height, width]},
                "annotations": [{"type": "polygon", "label_id": 1, "points": [x, y, x, y, x, y]}]}]}

Annotations of the type `label` say what an image is; `polygon` and `mask` (`rle`, as COCO's) also where. Boxes, lines,
points and what else there is says what the image is, and is not drawn: a box is no mask. An item without an annotation
says nothing, and is passed over; one that is called good and defective is refused. The name of a subset says the split
(train, val, test); another name, such as `default`, says none. There are no categories: the set is one product.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kizu.core.errors import DataError
from kizu.core.files import read_json
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

_HINT = "export the data set again, in Datumaro's format"


def _item(name: str, annotation: str) -> str:
    return f'{{"id": "{name}", "image": {{"path": "{name}.png", "size": [32, 40]}}, "annotations": [{annotation}]}}'


EXAMPLE: Example = {
    **{f"images/default/g{number}.png": IMAGE for number in range(8)},
    **{f"images/default/b{number}.png": IMAGE for number in range(3)},
    "annotations/default.json": (
        '{"categories": {"label": {"labels": [{"name": "Normal"}, {"name": "scratch"}]}},\n"items": [\n'
        + ",\n".join(
            [
                *(_item(f"g{number}", '{"type": "label", "label_id": 0}') for number in range(8)),
                _item("b0", '{"type": "polygon", "label_id": 1, "points": [4, 3, 20, 3, 20, 9, 4, 9]}'),
                _item("b1", '{"type": "mask", "label_id": 1, "rle": {"size": [32, 40], "counts": [100, 20, 1160]}}'),
                _item("b2", '{"type": "label", "label_id": 1}'),
            ]
        )
        + "\n]}\n"
    ),
}  # fmt: skip


def scan(
    root: Path | None = None, category: str | None = None, options: AnnotatedOptions = AnnotatedOptions()
) -> Manifest:
    """List the set, or that in `root`/`category`. Masks are drawn where there are none yet: `data.annotated`.

    Raises `DataError` naming the file and the item that cannot be understood; `OutputError` as `make_manifest`.
    """
    folder = need_root(root if root is None or category is None else root / category, "Datumaro's files")
    tables = sorted((folder / "annotations").glob("*.json"))
    if not tables:
        raise DataError(
            f"no file annotations/*.json in {folder}", hint="the root must hold annotations/ and images/"
        )
    passed = Passed()
    images = [image for table in tables for image in _images(folder, table, options, passed)]
    return make_manifest("datumaro", folder, images, options, passed)


def _images(folder: Path, table: Path, options: AnnotatedOptions, passed: Passed) -> Iterator[Annotation]:
    content = read_json(table, hint=_HINT)
    labels = _labels(content, table)
    items = content.get("items")
    if not isinstance(items, list):
        raise DataError(f"{table}: items is no list", hint=_HINT)
    silent = 0
    for number, item in enumerate(items, start=1):
        where = f"{table}, item {number}"
        image = item.get("image") if isinstance(item, dict) else None
        if not isinstance(image, dict) or not isinstance(item.get("annotations"), list):
            raise DataError(f"{where}: no image and annotations", hint=_HINT)
        if not item["annotations"]:
            silent += 1
            continue
        named = f"images/{table.stem}/{image['path']}" if isinstance(image.get("path"), str) else None
        path = file_inside(folder, named, where)
        size = image.get("size")
        height, width = size if isinstance(size, list) and len(size) == 2 else (None, None)
        told = f"{where} ({image['path']})"
        defect, shapes = _said(item["annotations"], labels, options, told)
        hw = read_size(height, width, told) if shapes else (1, 1)
        yield Annotation(path, told, defect, hw, say(table.stem).split, shapes)
    if silent:
        passed.remark(f"items of {table.name} that nothing is said of, which are passed over: {silent}")


def _labels(content: dict[str, Any], table: Path) -> list[str]:
    try:
        return [str(label["name"]) for label in content["categories"]["label"]["labels"]]
    except (KeyError, TypeError) as error:
        raise DataError(f"{table}: no categories with labels ({error!r})", hint=_HINT) from error


def _said(
    annotations: list[Any], labels: list[str], options: AnnotatedOptions, where: str
) -> tuple[str, tuple[F64 | Runs, ...]]:
    """The kind of an image, and what is drawn on it."""
    kinds: list[str] = []
    shapes: list[F64 | Runs] = []
    for annotation in annotations:
        label = annotation.get("label_id") if isinstance(annotation, dict) else None
        if isinstance(label, bool) or not isinstance(label, int) or not 0 <= label < len(labels):
            raise DataError(f"{where}: an annotation whose label_id is none of the {len(labels)}", hint=_HINT)
        is_good = options.is_good(labels[label])
        kinds.append(GOOD if is_good else labels[label])
        if is_good:
            continue
        if annotation.get("type") == "polygon":
            shapes.append(read_polygon(annotation.get("points"), where))
        elif annotation.get("type") == "mask":
            shapes.append(read_runs(annotation.get("rle"), where))
    if GOOD in kinds and any(kind != GOOD for kind in kinds):
        raise DataError(f"{where}: is called good, and {next(k for k in kinds if k != GOOD)}", hint=_HINT)
    return kinds[0], tuple(shapes)
