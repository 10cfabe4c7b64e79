"""A document as values: headings, paragraphs, tables and figures; and three ways to write it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from kizu.report.tables import markdown_table
from kizu.study.tables import as_csv

Row = Sequence[str]


@dataclass(frozen=True, slots=True)
class Heading:
    text: str
    level: int = 1


@dataclass(frozen=True, slots=True)
class Paragraph:
    text: str


@dataclass(frozen=True, slots=True)
class Points:
    """A list."""

    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Cells as text: numbers to the right, words to the left."""

    name: str
    """Of its files"""
    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def right(self) -> tuple[bool, ...]:
        """Of each column whether it holds numbers."""
        return tuple(all(_is_number(row[i]) for row in self.rows) for i in range(len(self.head)))

    def as_csv(self) -> str:
        """With the numbers as they are shown; those with all digits are the study's own."""
        return as_csv(self.head, self.rows)

    def as_markdown(self) -> str:
        """A pipe table."""
        return markdown_table(self.head, self.rows) + "\n"

    def as_latex(self) -> str:
        """A `tabular` in a `table`, with the rules of booktabs."""
        lines = [
            r"\begin{table}",
            rf"\caption{{{_latex(self.caption)}}}",
            rf"\begin{{tabular}}{{{''.join('r' if right else 'l' for right in self.right())}}}",
            r"\toprule",
            " & ".join(map(_latex, self.head)) + r" \\",
            r"\midrule",
            *(" & ".join(map(_latex, row)) + r" \\" for row in self.rows),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
        return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class Figure:
    name: str
    """Of its PNG file in `figs`"""
    caption: str
    png: bytes
    wide: bool = True


Block = Heading | Paragraph | Points | Table | Figure


@dataclass(frozen=True, slots=True)
class Document:
    title: str
    subtitle: str
    blocks: tuple[Block, ...]

    def tables(self) -> list[Table]:
        return [block for block in self.blocks if isinstance(block, Table)]

    def figures(self) -> list[Figure]:
        return [block for block in self.blocks if isinstance(block, Figure)]

    def as_html(self) -> str:
        """A page that stands alone beside its folder `figs`."""
        environment = Environment(
            loader=PackageLoader("kizu.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        kinds = [(type(block).__name__, block) for block in self.blocks]
        return environment.get_template("study.html").render(document=self, blocks=kinds)

    def as_typst(self) -> str:
        """A4, to be set by typst beside its folder `figs`."""
        head = _HEAD.replace("@TITLE@", _string(self.title)).replace("@SUBTITLE@", _string(self.subtitle))
        return head + "\n\n".join(map(_typst, self.blocks)) + "\n"


_HEAD = """\
#set document(title: @TITLE@, date: none)
#set page(paper: "a4", margin: (x: 19mm, y: 18mm), numbering: "1")
#set text(font: "Libertinus Serif", size: 9.5pt, lang: "en")
#set par(justify: true, leading: 0.55em)
#set table(stroke: none, inset: (x: 4pt, y: 2.2pt))
#show table: set text(size: 7.6pt)
#show figure.caption: set text(size: 8pt)
#show figure.where(kind: table): set figure.caption(position: top)
#show figure.where(kind: table): set block(breakable: true)
#set heading(numbering: "1.1")
#align(center)[#text(size: 17pt, weight: "bold")[#@TITLE@] \\ #text(size: 9pt)[#@SUBTITLE@]]

"""


def _typst(block: Block) -> str:
    match block:
        case Heading():
            return f"{'=' * block.level} #{_string(block.text)}"
        case Paragraph():
            return f"#{_string(block.text)}"
        case Points():
            return "\n".join(f"- #{_string(text)}" for text in block.texts)
        case Table():
            columns = ", ".join("right" if is_right else "left" for is_right in block.right())
            head = ", ".join(f"strong({_string(cell)})" for cell in block.head)
            rows = ",\n".join(", ".join(map(_string, row)) for row in block.rows)
            return (
                f"#figure(caption: {_string(block.caption)}, table(columns: {len(block.head)}, align: ({columns}),\n"
                f"table.hline(), table.header({head}), table.hline(stroke: 0.5pt),\n{rows},\ntable.hline()))"
            )
        case Figure():
            width = "100%" if block.wide else "58%"
            return (
                f'#figure(caption: {_string(block.caption)}, image("figs/{block.name}.png", width: {width},'
                f" alt: {_string(block.caption)}))"
            )


def _is_number(cell: str) -> bool:
    return cell[:1] in "-+[0123456789"


def _string(text: str) -> str:
    """A typst string: of what JSON escapes, typst knows the same but for \\uXXXX."""
    return json.dumps(text, ensure_ascii=False)


_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip


def _latex(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in text)
