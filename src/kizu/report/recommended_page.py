"""A recommendation as a page, beside the config that it wrote."""

from pathlib import Path

from kizu.core.files import write_text
from kizu.lab.recommend import Recommendation
from kizu.lab.searched import Searched
from kizu.lab.size_curve import SizeCurve
from kizu.pages import render
from kizu.pages.content import Block, Notes, Page, Part, Said, Table
from kizu.report.recommending import Cells, candidate_cells, search_cells, search_told, size_cells, sizes_told

PAINTED = Said(
    "Judged by flaws painted into good pictures; real ones look different. No test picture was looked at.",
    "open",
)


def write_recommended_page(path: Path, found: Recommendation, sizes: SizeCurve | None) -> None:
    """What was tried, the choice, and how large flaws must be. Raises `OutputError`."""
    answer = [Said(f"{_capital(found.reason)}.")]
    blocks: list[Block] = [_table("What was tried", candidate_cells(found))]
    if sizes is not None:
        answer.append(Said(f"{_capital(sizes.reason)}."))
        blocks.append(_table("How large must a flaw be?", size_cells(sizes), sizes_told(sizes)))
        if sizes.warnings:
            blocks.append(Notes("Mind", sizes.warnings))
    left = {
        **found.left_out,
        **({} if sizes is None else {f"size {n}": why for n, why in sizes.left_out.items()}),
    }
    _write(
        path, "Which method?", [*answer, PAINTED], blocks, [f"{name}: {why}" for name, why in left.items()]
    )


def write_searched_page(path: Path, found: Searched) -> None:
    """The finalists and the winner. Raises `OutputError`."""
    blocks: list[Block] = [
        _table("Finalists", search_cells(found)),
        Notes("How it was found", search_told(found)),
    ]
    _write(path, "Which pipeline?", [Said(f"{_capital(found.reason)}."), PAINTED], blocks, [])


def _write(path: Path, title: str, answer: list[Said], blocks: list[Block], not_tried: list[str]) -> None:
    if not_tried:
        blocks = [*blocks, Notes("Not tried", not_tried)]
    write_text(path, render(Page(title, (Part(title, answer, blocks),))))


def _table(title: str, cells: Cells, note: str = "") -> Table:
    head, rows = cells
    chosen = " — chosen"
    names = [row[0].removeprefix("* ").strip() + (chosen if row[0].startswith("* ") else "") for row in rows]
    named = [[name, *row[1:]] for name, row in zip(names, rows, strict=True)]
    kept = [i for i in range(len(head)) if i == 0 or any(row[i] for row in named)]
    return Table(title, [head[i] for i in kept], [[row[i] for i in kept] for row in named], note)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
