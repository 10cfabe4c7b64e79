"""The report on disk: `report.html`, `.pdf`, `.typ`, `figs/`, and `report-tables/` as CSV, Markdown and LaTeX."""

from dataclasses import dataclass
from pathlib import Path

from kizu.core.errors import MissingExtraError, OutputError
from kizu.core.files import write_bytes, write_text
from kizu.core.locks import locked
from kizu.report.study.sections import make_document
from kizu.study.run import Study, read_study_folder
from kizu.study.tables import write_tables

PDF, HTML, TYPST = "report.pdf", "report.html", "report.typ"


@dataclass(frozen=True, slots=True)
class WrittenReport:
    folder: Path
    pdf: Path | None
    """None: typst is not installed."""
    html: Path


def write_report(folder: Path) -> WrittenReport:
    """Make the report of a finished study in its folder. Raises `DataError` for a study that is not finished,
    `MissingExtraError` without matplotlib, `OutputError`."""
    with locked(folder):
        study: Study = read_study_folder(folder)
        document = make_document(study, write_tables(study.records, folder / "tables"))
        for figure in document.figures():
            write_bytes(folder / "figs" / f"{figure.name}.png", figure.png, durable=False)
        for table in document.tables():
            place = folder / "report-tables" / table.name
            write_text(place.with_suffix(".csv"), table.as_csv())
            write_text(place.with_suffix(".md"), table.as_markdown())
            write_text(place.with_suffix(".tex"), table.as_latex())
        write_text(folder / HTML, document.as_html())
        write_text(folder / TYPST, document.as_typst())
        try:
            write_bytes(folder / PDF, set_pdf(folder))
        except MissingExtraError:
            return WrittenReport(folder, None, folder / HTML)
    return WrittenReport(folder, folder / PDF, folder / HTML)


def set_pdf(folder: Path) -> bytes:
    """What typst makes of the report's text and figures. Raises `MissingExtraError` without it."""
    try:
        import typst
    except ImportError as error:
        raise MissingExtraError("typst is not installed", hint="pip install 'kizu[study]'") from error
    try:
        made = typst.compile(str(folder / TYPST), root=str(folder), format="pdf")
    except RuntimeError as error:
        raise OutputError(f"typst could not set {folder / TYPST}: {error}", hint="report this") from error
    if not isinstance(made, bytes):
        raise OutputError(f"typst made nothing of {folder / TYPST}", hint="report this")
    return made
