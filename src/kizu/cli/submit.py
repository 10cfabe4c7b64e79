"""`kizu submit`"""

import json
from dataclasses import asdict

import typer

from kizu.cli import exits
from kizu.cli.flags import with_flags
from kizu.cli.options import Shown, ShownAs, start_work
from kizu.cli.printing import say, say_text
from kizu.core.errors import DataError
from kizu.tasks.options import CoreOptions, WorkOptions
from kizu.tasks.set_options import SubmitCheckOptions, SubmitOptions

app = typer.Typer(help="Hand in to the evaluation server of MVTec AD 2.", no_args_is_help=True)

SHOWN = 30
"""So many faults are printed; --json has all."""


@app.command()
@with_flags
def write(options: SubmitOptions, using: WorkOptions, shown: Shown) -> None:
    """Write the maps of the private test images, and pack them when all categories are whole. Stopped? The same command
    goes on where it was. Prints the archive to upload. Exit code 3 when images could not be read."""
    from kizu.tasks.submit import write_submission

    with start_work(shown, using) as work:
        done = write_submission(options, work)
    say(done.written.told(), err=True)
    if done.written.failures:
        say(f"images without a map: {len(done.written.failures)}", *done.written.failures[:SHOWN], err=True)
        say("hint: not packed; mend these, then run the same command again", err=True)
        raise typer.Exit(exits.SOME_UNREAD)
    if done.missing:
        say(f"not packed yet, for there are no maps of {', '.join(done.missing)}", err=True)
    if done.faults:
        raise DataError(
            f"{options.output} is no whole submission: {done.faults[0].told()}",
            hint=f"{len(done.faults)} faults: kizu submit check {options.output / 'submission'}",
        )
    if done.archive is not None:
        say(str(done.archive))


@app.command()
@with_flags
def check(options: SubmitCheckOptions, using: CoreOptions, shown: ShownAs) -> None:
    """Look a submission over before it is uploaded. Exit code 2 when anything is wrong."""
    from kizu.tasks.submit import check

    with start_work(shown, using) as work:
        faults = check(options, work)
    if shown.as_json:
        say_text(json.dumps([asdict(fault) for fault in faults], indent=2))
    else:
        for fault in faults[:SHOWN]:
            say(fault.told())
        if len(faults) > SHOWN:
            say(f"and {len(faults) - SHOWN} more")
    if faults:
        raise DataError(
            f"{options.submission} has {len(faults)} fault(s)",
            hint="the server would refuse it: mend them first",
        )
    if not shown.as_json:
        say("nothing is wrong with it")
