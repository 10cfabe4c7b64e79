"""`kizu data`"""

import json

import typer

from kizu.cli.flags import with_flags
from kizu.cli.options import Shown, ShownAs, start_work
from kizu.cli.printing import say, say_text
from kizu.core.errors import DataError, OutputError
from kizu.tasks.lab_options import CheckOptions
from kizu.tasks.options import CoreOptions, DataOptions
from kizu.tasks.set_options import FetchOptions

app = typer.Typer(help="Fetch a data set, and look at one before anything is fitted.", no_args_is_help=True)


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


@app.command()
@with_flags
def fetch(options: FetchOptions, shown: Shown) -> None:
    """Fetch a published data set, check and unpack it. Without a name: list what there is. Stopped? The same command
    goes on where it was. Prints the folder to give as --data-root."""
    if options.name is None:
        from kizu.data.published import PUBLISHED

        for name, entry in PUBLISHED.items():
            size = "" if entry.size is None else f", {entry.size / 1e9:.1f} GB"
            say(f"{name}: {entry.title}{size}", f"    licence {entry.licence}")
            say(f"    {'fetched from ' + entry.url if entry.url else 'by way of ' + entry.page}")
        return
    from kizu.tasks.fetch import fetch

    with start_work(shown) as work:
        done = fetch(options, work)
    say(f"{'it is there already' if done.was_there else 'unpacked'}; layout {done.entry.layout}", err=True)
    if not done.was_there:
        say(f"{done.archive} is not needed any more", err=True)
    say(str(done.root))
