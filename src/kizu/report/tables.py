"""Tables as text, for a terminal and as Markdown."""

from collections.abc import Mapping, Sequence


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns padded to their widest cell; all but the first to the right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = [
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in [header, ["-" * w for w in widths], *rows]
    ]
    return "\n".join(line.rstrip() for line in lines)


def markdown_table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A pipe table; what would end a cell or its line is escaped."""
    rows = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(map(_escape, row)) + " |" for row in rows)


def _escape(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")


def number(value: float | None) -> str:
    """Four places, or a dash for what could not be measured."""
    return "-" if value is None else f"{value:.4f}"


def metrics_table(metrics: Mapping[str, float | None], reasons: Mapping[str, str]) -> str:
    """One metric a line; a missing one with its reason."""
    width = max(map(len, metrics))
    return "\n".join(
        f"{name.ljust(width)}  {number(value)}" + (f"  ({reasons[name]})" if name in reasons else "")
        for name, value in metrics.items()
    )
