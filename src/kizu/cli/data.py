"""`kizu data`"""

import json

import typer

from kizu.cli import exits
from kizu.cli.flags import with_flags
from kizu.cli.options import Shown, ShownAs, start_work
from kizu.cli.printing import say, say_text
from kizu.core.errors import DataError, OutputError
from kizu.tasks.lab_options import CheckOptions
from kizu.tasks.options import CoreOptions, DataOptions
from kizu.tasks.set_options import FetchOptions, ShiftOptions

app = typer.Typer(
    help="Fetch a data set, look at one before anything is fitted, and shift one.", no_args_is_help=True
)


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


@app.command()
@with_flags
def shift(data: DataOptions, options: ShiftOptions, using: CoreOptions, shown: Shown) -> None:
    """Write a data set as another mounting, lamp, lens or camera would show it, masks too, in MVTec AD layout, with a
    line for each picture that tells what was done to it. Stopped? The same command goes on where it was."""
    from kizu.tasks.shift import shift_data

    with start_work(shown, using) as work:
        written = shift_data(data, options, work)
    say(*(f"wrote {one.sheet}" for one in written), err=True)
    say(*(one.told() for one in written))
    if any(one.shifted.broken for one in written):
        raise typer.Exit(exits.SOME_UNREAD)
