"""`kizu data`"""

import json

import typer

from kizu.cli.flags import with_flags
from kizu.cli.options import ShownAs, start_work
from kizu.cli.printing import say, say_text
from kizu.core.errors import DataError, OutputError
from kizu.tasks.lab_options import CheckOptions
from kizu.tasks.options import CoreOptions, DataOptions

app = typer.Typer(help="Look at a data set before anything is fitted.", no_args_is_help=True)


@app.callback()
def _data() -> None:
    """Keeps `check` a sub-command although it is the only one."""


@app.command()
@with_flags
def check(data: DataOptions, options: CheckOptions, using: CoreOptions, shown: ShownAs) -> None:
    """Count, measure and look for problems; write a contact sheet. Exit code 2 when a problem is an error."""
    from kizu.tasks.check import check_data

    with start_work(shown, using) as work:
        checked = check_data(data, work)
    report = checked.report
    say_text(json.dumps(report.as_json(), indent=2) if shown.as_json else report.as_text())
    try:
        written = checked.write_sheets(options)
    except OutputError as error:
        say(f"warning: no contact sheet: {error.message}", f"hint: {error.hint}", err=True)
    else:
        say(*(f"wrote {path}" for path in written), err=True)
    if report.has_errors:
        errors = "; ".join(problem.what for problem in report.problems if problem.severity == "error")
        raise DataError(
            f"{report.category} has errors: {errors}",
            hint="mend them first: training would stop, or its numbers be wrong",
        )
