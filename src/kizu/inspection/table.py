"""`preds.csv`: the records as a table."""

import csv
import io
from collections.abc import Iterable, Iterator

from kizu.core.text import as_cell
from kizu.inspection.records import Record

COLUMNS = (
    "image_path",
    "label",
    "pred_score",
    "image_threshold",
    "gt_label",
    "num_defects",
    "total_defect_area",
    "error",
    "outcome",
    "category",
)


def csv_lines(records: Iterable[Record]) -> Iterator[str]:
    """A row for each record, after a head; what a record has not is empty."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for record in records:
        yield stream.getvalue()
        stream.seek(0)
        stream.truncate()
        writer.writerow(_cell(getattr(record, name, None)) for name in COLUMNS)
    yield stream.getvalue()


def _cell(value: object) -> object:
    """What goes into a table: no text that a spreadsheet takes for a formula, and nothing for what is not there."""
    return "" if value is None else as_cell(value) if isinstance(value, str) else value
