"""`kizu predict` and `kizu compare`"""

import json
from pathlib import Path

import typer

from kizu.cli import exits
from kizu.cli.options import Shown, ShownAs, start_work
from kizu.cli.printing import say, say_text
from kizu.tasks.lab_options import CompareOptions
from kizu.tasks.line_options import MarkOptions, SavedOptions
from kizu.tasks.options import RunDir, WorkOptions


def predict(
    run_dir: RunDir, marks: MarkOptions, saved: SavedOptions, using: WorkOptions, shown: ShownAs
) -> None:
    """Inspect the run's own test split into predictions/, with labels and the true flaws' outlines in yellow."""
    from kizu.tasks.predict import predict

    with start_work(shown, using) as work:
        results = predict(run_dir, marks, saved, work)
    say(f"wrote {Path(run_dir) / 'predictions'}", err=True)
    reports = {name: result.report for name, result in results.items()}
    if shown.as_json:
        say_text(json.dumps({name: report.as_json() for name, report in reports.items()}, indent=2))
    else:
        say(*(f"{name}: {report.told()}" for name, report in reports.items()))
    if any(report.num_errors for report in reports.values()):
        raise typer.Exit(exits.SOME_UNREAD)


def compare(options: CompareOptions, shown: Shown) -> None:
    """Two runs side by side: metrics, what differs by more than chance, and pictures where both were predicted."""
    from kizu.tasks.compare import compare

    with start_work(shown):
        compared = compare(options)
    for told in compared.found.missing:
        say(f"missing: {told}", err=True)
    say(f"wrote {compared.output_dir}", err=True)
    say_text(compared.table)
