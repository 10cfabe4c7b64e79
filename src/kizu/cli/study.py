"""`kizu study`"""

import typer

from kizu.cli.flags import with_flags
from kizu.cli.options import Shown, start_work
from kizu.cli.printing import say
from kizu.tasks.options import CoreOptions
from kizu.tasks.study_options import StudyOptions, StudyReportOptions

app = typer.Typer(
    help="What a changed line costs each method, and what wins it back, measured.", no_args_is_help=True
)


@app.command()
@with_flags
def run(options: StudyOptions, using: CoreOptions, shown: Shown) -> None:
    """Measure all trials of a study: categories x methods x seeds x conditions x severities; check them, and write the
    tables. Stopped? The same command goes on where it was."""
    from kizu.tasks.study import study

    with start_work(shown, using) as work:
        done = study(options, work)
    failed = [record for record in done.records.values() if record.error is not None]
    say(
        *(f"{check.what}: holds in all {check.trials} trials" for check in done.checks),
        f"{len(done.records)} trials, {done.computed} of them measured now, {len(failed)} not possible",
        err=True,
    )
    say(str(done.folder / "tables"))


@app.command()
@with_flags
def report(options: StudyReportOptions, shown: Shown) -> None:
    """Write the report of a finished study: PDF and HTML, figures, and its tables as CSV, Markdown and LaTeX."""
    from kizu.tasks.study import report

    with start_work(shown):
        done = report(options)
    if done.pdf is None:
        say("note: no PDF, for typst is not installed", "hint: pip install 'kizu[study]'", err=True)
    say(str(done.pdf or done.html))
