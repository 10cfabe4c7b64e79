"""`kizu data`"""

import json

import typer

from kizu.cli.flags import with_flags
from kizu.cli.options import ShownAs, start_work
from kizu.core.errors import DataError
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
        report = check_data(data, options, work)
    typer.echo(f"wrote {options.preview}", err=True)
    typer.echo(json.dumps(report.as_json(), indent=2) if shown.as_json else report.as_text())
    if report.has_errors:
        errors = "; ".join(problem.what for problem in report.problems if problem.severity == "error")
        raise DataError(
            f"{report.category} has errors: {errors}",
            hint="mend them first: training would stop, or its numbers be wrong",
        )
