"""VisA (Zou et al., "SPot-the-Difference Self-supervised Pre-training for Anomaly Detection and Segmentation", 2022).

    <root>/split_csv/1cls.csv                               object,split,label,image,mask of each image
    <root>/<object>/Data/Images/Normal/NNNN.JPG
    <root>/<object>/Data/Images/Anomaly/NNN.JPG
    <root>/<object>/Data/Masks/Anomaly/NNN.png              numbers above 0 are kinds of flaw

Objects: candle, capsules, cashew, chewinggum, fryum, macaroni1, macaroni2, pcb1 to pcb4, pipe_fryum.

The table decides: what it does not name is passed over. `split_csv` also has `2cls_highshot.csv` and
`2cls_fewshot.csv`, which put defects into the training split: they are listed there, for `discriminative`. The kinds of
flaw, which only the masks and a further table tell apart, are not represented: every defect is an "anomaly".
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from kizu.core.config import Config
from kizu.core.errors import DataError
from kizu.core.split import Split
from kizu.data.layouts.files import (
    IMAGE,
    MASK,
    Example,
    ensure_good,
    file_inside,
    need_root,
    tell_unmasked,
)
from kizu.data.manifest import GOOD, Manifest, Sample
from kizu.data.passed import Passed

COLUMNS = ("object", "split", "label", "image", "mask")
ANOMALY = "anomaly"
_LABELS = {"normal": GOOD, "anomaly": ANOMALY}
_SPLITS = {"train": Split.TRAIN, "test": Split.TEST}


def _row(split: str, label: str, number: int) -> str:
    kind, mask = (
        ("Normal", "") if label == "normal" else ("Anomaly", f"candle/Data/Masks/Anomaly/{number:03}.png")
    )
    return f"candle,{split},{label},candle/Data/Images/{kind}/{number:03}.JPG,{mask}\n"  # fmt: skip


EXAMPLE: Example = {
    **{f"candle/Data/Images/Normal/{number:03}.JPG": IMAGE for number in range(8)},
    **{f"candle/Data/Images/Anomaly/{number:03}.JPG": IMAGE for number in range(2)},
    **{f"candle/Data/Masks/Anomaly/{number:03}.png": MASK for number in range(2)},
    "split_csv/1cls.csv": "".join(
        [
            ",".join(COLUMNS) + "\n",
            *(_row("train" if number < 6 else "test", "normal", number) for number in range(8)),
            *(_row("test", "anomaly", number) for number in range(2)),
        ]
    ),
}


class VisaOptions(Config):
    """Which of the publisher's tables says what is for what."""

    table: Literal["1cls", "2cls_highshot", "2cls_fewshot"] = "1cls"


def scan(
    root: Path | None = None, category: str | None = None, options: VisaOptions = VisaOptions()
) -> Manifest:
    """List one object. `root`: the folder that holds `split_csv`.

    Raises `DataError` naming the table and the line of a row that cannot be understood, or names no file below `root`.
    """
    folder = need_root(root, "VisA")
    table = folder / "split_csv" / f"{options.table}.csv"
    rows = list(_rows(table))
    objects = list(dict.fromkeys(row["object"] for _, row in rows))
    if category is None and len(objects) > 1:
        raise DataError(f"{table} lists several objects", hint=f"choose one of: {', '.join(objects)}")
    category = category or next(iter(objects), None)
    if category not in objects:
        raise DataError(
            f"{table} lists no {category or 'object'}", hint=f"it lists {', '.join(objects) or 'nothing'}"
        )
    passed = Passed()
    samples = [
        _sample(folder, row, f"{table}, line {line}") for line, row in rows if row["object"] == category
    ]
    ensure_good(samples, folder / category / "Data" / "Images" / "Normal", passed)
    tell_unmasked(samples, passed)
    flawed = sum(s.label == "defect" and s.split is Split.TRAIN for s in samples)
    if flawed:
        passed.remark(f"defects in the training split, which only discriminative learns from: {flawed}")
    return Manifest("visa", category, folder, tuple(samples), passed.notes())


def _rows(table: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, columns by name) of each row of the table."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            if not set(COLUMNS) <= set(reader.fieldnames or ()):
                raise DataError(
                    f"{table}, line 1: not the columns {', '.join(COLUMNS)}",
                    hint="take the publisher's table",
                )
            for row in reader:
                if None in row or None in row.values():
                    raise DataError(
                        f"{table}, line {reader.line_num}: not {len(reader.fieldnames or ())} columns",
                        hint="mend the row, or remove it",
                    )
                yield reader.line_num, row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        told = error.strerror if isinstance(error, OSError) else error
        raise DataError(
            f"cannot read {table}: {told}", hint="the root must hold split_csv/ beside the objects' folders"
        ) from error


def _sample(folder: Path, row: dict[str, str], where: str) -> Sample:
    for column, known in (("label", _LABELS), ("split", _SPLITS)):
        if row[column] not in known:
            raise DataError(
                f"{where}: {column} {row[column]!r} is none of {', '.join(known)}",
                hint="mend the row, or remove it",
            )
    defect = _LABELS[row["label"]]
    path = file_inside(folder, row["image"], where)
    mask = file_inside(folder, row["mask"], where) if defect != GOOD and row["mask"].strip() else None
    return Sample(
        id=path.relative_to(folder).as_posix(),
        path=path,
        label="good" if defect == GOOD else "defect",
        mask_path=mask,
        defect=defect,
        split=_SPLITS[row["split"]],
    )
