"""`kizu data`"""

import json
from pathlib import Path
from typing import Annotated

import typer

from kizu.cli.options import AsJson, Category, DataRoot, Layout, Verbose, start_logging
from kizu.core.errors import DataError

app = typer.Typer(help="Look at a data set before anything is fitted.", no_args_is_help=True)


@app.callback()
def _data() -> None:
    """Keeps `check` a sub-command although it is the only one."""


@app.command()
def check(
    root: DataRoot = None,
    category: Category = None,
    layout: Layout = None,
    preview: Annotated[Path, typer.Option(help="Where the contact sheet goes.")] = Path("preview.png"),
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Count, measure and look for problems; write a contact sheet. Exit code 2 when a problem is an error."""
    start_logging(verbose)
    from kizu.data.check import check as look
    from kizu.data.check import preview_sheet
    from kizu.imaging.codec import encode_png
    from kizu.lab.train import DataConfig, scan_data

    manifest = scan_data(DataConfig(layout=layout or "mvtec_ad", root=root, category=category))
    report = look(manifest)
    encode_png(preview, preview_sheet(manifest))
    typer.echo(f"wrote {preview}", err=True)
    typer.echo(json.dumps(report.as_json(), indent=2) if as_json else report.as_text())
    if report.has_errors:
        errors = "; ".join(problem.what for problem in report.problems if problem.severity == "error")
        raise DataError(
            f"{manifest.category} has errors: {errors}",
            hint="mend them first: training would stop, or its numbers be wrong",
        )
