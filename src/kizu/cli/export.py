"""`kizu export` and `kizu verify`"""

import json
from pathlib import Path
from typing import Annotated

import typer

from kizu.cli import exits
from kizu.cli.options import Shown, ShownAs, start_work
from kizu.cli.printing import say, say_text
from kizu.tasks.line_options import ExportOptions, VerifyOptions
from kizu.tasks.options import CoreOptions, Flag, RunDir


def export(run_dir: RunDir, options: ExportOptions, using: CoreOptions, shown: Shown) -> None:
    """Write the run's detector as one graph, from image to score and map, with its thresholds inside.

    Prints the file, which `kizu inspect --model` opens with nothing else.
    """
    from kizu.tasks.export import export

    with start_work(shown, using) as work:
        done = export(run_dir, options, work)
    if done.agreement is not None:
        say(
            f"decides {done.agreement.images} images as the run does; largest error of a score"
            f" {done.agreement.score_max_error:.2g}, of a map {done.agreement.map_max_error:.2g}",
            err=True,
        )
    say(str(done.path))


def verify(
    run_dir: Annotated[Path, Flag("The run folder that `kizu train` printed.", ("--run-dir",))],
    options: VerifyOptions,
    using: CoreOptions,
    shown: ShownAs,
) -> None:
    """Prove that exported files decide as the run does: on real images, in every runtime installed.

    Writes consistency.json. Exit code 1 when they do not agree.
    """
    from kizu.report.tables import text_table
    from kizu.report.verifying import HEAD, agreement_cells
    from kizu.tasks.export import verify

    with start_work(shown, using) as work:
        verified = verify(run_dir, options, work)
    tolerances = verified.tolerances
    if shown.as_json:
        told = [agreement.as_json(tolerances) for agreement in verified.agreements]
        say_text(json.dumps(told, indent=2))
    else:
        rows = [agreement_cells(agreement, tolerances) for agreement in verified.agreements]
        say_text(text_table(HEAD, rows))
    say(f"wrote {Path(run_dir) / 'consistency.json'} and consistency.html", err=True)
    if not verified.agrees:
        raise typer.Exit(exits.DISAGREES)
