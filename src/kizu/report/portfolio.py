"""The table of a frozen evaluation: every category and method, averages, intervals, and what must be said beside it."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from kizu.core.files import write_bytes, write_text
from kizu.decision.promise import Check
from kizu.metrics.compare import Difference
from kizu.metrics.suite import ROWS
from kizu.pages import render
from kizu.pages.content import Block, Notes, Page, Part, Said, Table
from kizu.protocol.compare import between_methods
from kizu.protocol.dev import name_unchecked
from kizu.protocol.freeze import FrozenPipeline
from kizu.protocol.frozen import MethodResult, pipeline_folder
from kizu.report.answers import TONES
from kizu.report.figures import auroc_scatter
from kizu.report.promises import promise_cells
from kizu.report.tables import markdown_table

CARRIED = {"image_f1_at_fpr": "F1 (FPR=1%)"}
"""At the threshold that was carried from the development categories: of a frozen evaluation, not of the suite."""
COLUMNS = ("image_auroc", "image_auprc", *CARRIED, "image_f1", "aupro_030", "aupimo")
HEAD = ("Category", "Method", *(CARRIED.get(key) or ROWS[key].short or ROWS[key].title for key in COLUMNS))
PROMISED = (
    "Category",
    "Method",
    "Good pictures",
    "False alarms at most",
    "Measured, by seed",
    "Verdict, by seed",
)
COMPARED = ("Category", "Methods", "Difference of image AUROC", "p (Holm)", "Test")


def portfolio_rows(results: Sequence[MethodResult]) -> list[list[str]]:
    """One row for each category and method, then the macro average of each method over what it was not designed on."""
    rows = [
        [r.category + (" (dev)" if r.is_dev else ""), r.method, *(_cell(r, key) for key in COLUMNS)]
        for r in results
    ]
    for method in dict.fromkeys(r.method for r in results):
        counted = [r for r in results if r.method == method and not r.is_dev]
        if len(counted) > 1:
            rows.append([f"mean of {len(counted)}", method, *(_average(counted, key) for key in COLUMNS)])
    return rows


def portfolio_table(results: Sequence[MethodResult]) -> str:
    """As Markdown."""
    return markdown_table(HEAD, portfolio_rows(results))


def promises_table(results: Sequence[MethodResult]) -> str:
    """Promise and measurement, as Markdown."""
    return markdown_table(PROMISED, promise_rows(results))


def comparison_rows(results: Sequence[MethodResult]) -> list[list[str]]:
    """One row for each two methods on each category."""
    return [
        [
            found.category,
            f"{found.first} - {found.second}",
            _difference(found.difference),
            f"{found.corrected_p:.3g}",
            found.difference.method,
        ]
        for found in between_methods(results)
    ]


def promise_rows(results: Sequence[MethodResult]) -> list[list[str]]:
    """What the image thresholds promise of good images, beside what the good test images measured, for each seed.

    Without those that were evaluated when this was not measured yet.
    """
    rows = []
    for r in results:
        found = [promises["image"] for m in r.metrics["per_seed"].values() if (promises := m.get("promises"))]
        cells = [promise_cells(Check.model_validate(_own_fields(one))) for one in found]
        if not cells:
            continue
        promised, measured, _, pictures, verdicts = zip(*cells, strict=True)
        rows.append(
            [
                r.category + (" (dev)" if r.is_dev else ""),
                r.method,
                *(", ".join(dict.fromkeys(column)) for column in (pictures, promised)),
                *(", ".join(column) for column in (measured, verdicts)),
            ]
        )
    return rows


def _own_fields(told: Mapping[str, Any]) -> dict[str, Any]:
    """Those that a file holds, without what is told beside them."""
    return {key: value for key, value in told.items() if key in Check.model_fields}


def write_portfolio(output_dir: Path, frozen: FrozenPipeline, results: Sequence[MethodResult]) -> None:
    """`report.md`, `report.html`, and where matplotlib is installed `figs/auroc.png`, in this pipeline's own folder of
    `output_dir` (`pipeline_folder`): another one's report stays."""
    folder = pipeline_folder(output_dir, frozen)
    notes = portfolio_notes(frozen, results)
    promised = promise_rows(results)
    text = "# Evaluation of a frozen pipeline\n\n" + portfolio_table(results) + "\n\n"
    if promised:
        text += "## Promise and measurement\n\n" + promises_table(results) + "\n\n"
    compared = comparison_rows(results)
    if compared:
        text += "## Methods beside each other\n\n" + markdown_table(COMPARED, compared) + "\n\n"
    write_text(folder / "report.md", text + "\n".join(f"- {note}" for note in notes) + "\n")
    write_text(folder / "report.html", render(portfolio_page(frozen, results)))
    drawn = [r for r in results if None not in _aurocs(r)]
    if drawn and find_spec("matplotlib") is not None:
        image, pixel = zip(*map(_aurocs, drawn), strict=True)
        names = [f"{r.category}, {r.method}" for r in drawn]
        write_bytes(folder / "figs" / "auroc.png", auroc_scatter(names, image, pixel))


def portfolio_page(frozen: FrozenPipeline, results: Sequence[MethodResult]) -> Page:
    """`report.html`: the answer in words, then the tables."""
    counted = [r for r in results if not r.is_dev]
    answer = []
    for method in dict.fromkeys(r.method for r in counted):
        own = [r for r in counted if r.method == method]
        where = own[0].category if len(own) == 1 else f"{len(own)} test sets, on average"
        answer.append(Said(f"{method}: image AUROC {_average(own, 'image_auroc')} on {where}."))
    verdicts = [
        verdict for row in promise_rows(results) for verdict in row[-1].split(", ") if verdict in TONES
    ]
    if verdicts:
        told = ", ".join(f"{verdicts.count(name)} {name}" for name in TONES if name in verdicts)
        tone = next(TONES[name] for name in ("broken", "not refuted", "kept") if name in verdicts)
        answer.append(Said(f"Of {len(verdicts)} promises on false alarms, one for each fit: {told}.", tone))
    blocks: list[Block] = [Table("Measured", HEAD, portfolio_rows(results))]
    tables = (
        ("Promise and measurement", PROMISED, promise_rows(results)),
        ("Methods beside each other", COMPARED, comparison_rows(results)),
    )
    blocks += [Table(title, head, rows) for title, head, rows in tables if rows]
    blocks.append(Notes("What qualifies the numbers", portfolio_notes(frozen, results)))
    title = "Evaluation of a frozen pipeline"
    return Page(title, (Part(title, answer, blocks),))


def _difference(found: Difference) -> str:
    text = f"{found.value:+.3f}"
    if found.low is None or found.high is None:
        return text
    return f"{text} [{found.low:+.3f}, {found.high:+.3f}]"


def _aurocs(result: MethodResult) -> tuple[float | None, float | None]:
    mean = result.metrics["mean"]
    return mean.get("image_auroc"), mean.get("pixel_auroc")


def portfolio_notes(frozen: FrozenPipeline, results: Sequence[MethodResult]) -> list[str]:
    """What qualifies the numbers."""
    dev = ", ".join(f"{d.dataset}/{d.category}" for d in frozen.origin.dev) or "none named"
    notes = [
        f"Frozen pipeline {frozen.sha256[:16]}; choices: {frozen.origin.how}; development categories: {dev}.",
        f"Mean over {len(frozen.seeds)} seed(s) ± standard deviation; [..]: 95 % interval over test images, as if none"
        " depended on another (docs/intervals.md). Without it: none was measured to hold.",
        "F1 (FPR=1%): at the threshold carried from the development categories; F1 (deployed): at the threshold set on"
        " held-out good images.",
    ]
    if promise_rows(results):
        notes.append(
            "Promise and measurement: of verdicts on promises that are kept, one in twenty may say broken by chance."
        )
    if any(r.is_dev for r in results):
        notes.append("(dev): the pipeline was designed on this category; it is left out of the averages.")
    others = {r.category: r.others for r in results if r.others}
    notes += [
        f"{count} other frozen pipeline(s) have met the test set of {category}: read its numbers as chosen among"
        f" {count + 1}."
        for category, count in others.items()
    ]
    notes += dict.fromkeys(caveat for r in results for caveat in r.caveats)
    notes += name_unchecked(frozen.origin.dev)
    reasons = {
        f"{r.category}, {r.method}: {key} is missing ({why})"
        for r in results
        for key, why in next(iter(r.metrics["per_seed"].values()))["reasons"].items()
        if key in COLUMNS
    }
    return [*notes, *(f"{reason}." for reason in sorted(reasons))]


def _cell(result: MethodResult, key: str) -> str:
    mean, spread = result.metrics["mean"].get(key), result.metrics["std"].get(key)
    if mean is None:
        return "-"
    text = f"{mean:.3f}" + ("" if spread is None else f" ± {spread:.3f}")
    interval = result.metrics["intervals"].get(key)
    return text if interval is None else f"{text} [{interval[0]:.3f}, {interval[1]:.3f}]"


def _average(results: Sequence[MethodResult], key: str) -> str:
    values = [r.metrics["mean"].get(key) for r in results]
    return "-" if None in values else f"{np.mean(values):.3f}"
