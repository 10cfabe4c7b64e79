"""The tables of a study: plain rows, and as CSV files with all digits."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from pathlib import Path

from kizu.core.files import write_text
from kizu.metrics.suite import METRICS
from kizu.study.conditions import Key
from kizu.study.effects import Effects, compare_all
from kizu.study.record import Record

Cell = str | float | int | None
KEYS = ("category", "method", "seed", "condition", "severity", "count")


def write_tables(records: Mapping[Key, Record], folder: Path) -> Effects:
    """`results.csv`, `effects.csv`, `contrasts.csv`: the same study gives them to the last digit. `costs.csv` holds
    what a clock says, and does not."""
    effects = compare_all(records)
    for name, (head, rows) in {
        "results": results(records),
        "effects": effect_rows(effects),
        "contrasts": contrast_rows(effects),
        "costs": costs(records),
    }.items():
        write_text(folder / f"{name}.csv", as_csv(head, rows))
    return effects


def results(records: Mapping[Key, Record]) -> tuple[tuple[str, ...], list[list[Cell]]]:
    """A row for each trial: every metric of the suite, thresholds and counts."""
    head = (
        *KEYS,
        *(row.key for row in METRICS),
        "image_auroc_low",
        "image_auroc_high",
        "image_threshold",
        "pixel_threshold",
        "fitted",
        "validated",
        "good",
        "defective",
        "error",
    )
    rows: list[list[Cell]] = []
    for key, record in records.items():
        low, high = record.auroc_interval or (None, None)
        bad = int(record.defective.sum())
        rows.append(
            [
                *(getattr(key, name) for name in KEYS),
                *(record.metrics.get(row.key) for row in METRICS),
                low,
                high,
                record.image_threshold,
                record.pixel_threshold,
                record.fitted,
                record.validated,
                len(record.kinds) - bad,
                bad,
                record.error,
            ]
        )
    return head, rows


def effect_rows(effects: Effects) -> tuple[tuple[str, ...], list[list[Cell]]]:
    """A row for each comparison of a condition with its baseline."""
    head = (
        "category", "method", "condition", "severity", "count", "baseline", "metric", "mean", "spread", "seeds",
        "first_seed", "low", "high", "p", "p_holm", "test", "why_not",
    )  # fmt: skip
    rows: list[list[Cell]] = []
    for one in effects.effects:
        test = one.first
        rows.append(
            [
                one.key.category, one.key.method, one.key.condition, one.key.severity, one.key.count, one.baseline,
                one.metric, one.mean, one.spread, one.seeds,
                *((test.value, test.low, test.high, test.p_value) if test else (None,) * 4),
                one.corrected_p, test.method if test else None, one.why,
            ]
        )  # fmt: skip
    return head, rows


def contrast_rows(effects: Effects) -> tuple[tuple[str, ...], list[list[Cell]]]:
    """A row for each two methods: what the first keeps of its image AUROC more than the second."""
    head = (
        "category", "severity", "first", "second", "mean", "first_seed", "low", "high", "p", "p_holm", "why_not",
    )  # fmt: skip
    rows: list[list[Cell]] = []
    for one in effects.contrasts:
        test = one.difference
        numbers = (test.value, test.low, test.high, test.p_value) if test else (None,) * 4
        rows.append(
            [one.category, one.severity, one.first, one.second, one.mean, *numbers, one.corrected_p, one.why]
        )
    return head, rows


def costs(records: Mapping[Key, Record]) -> tuple[tuple[str, ...], list[list[Cell]]]:
    """A row for each trial that was fitted on clean pictures of one category: seconds, milliseconds, bytes."""
    rows: list[list[Cell]] = [
        [key.category, key.method, key.seed, r.cost.fit_seconds, r.cost.latency_ms, r.cost.model_bytes]
        for key, r in records.items()
        if key.condition == "clean" and r.cost is not None
    ]
    return ("category", "method", "seed", "fit_seconds", "latency_ms", "model_bytes"), rows


def as_csv(head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """RFC 4180, lines ended by a line feed; every digit of a number, nothing for what is not known."""
    stream = StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(
        ["" if cell is None else repr(cell) if isinstance(cell, float) else cell for cell in row]
        for row in rows
    )
    return stream.getvalue()
