"""`kizu update`, `kizu rollback` and `kizu versions`"""

from pathlib import Path
from typing import Annotated, Any

import typer

from kizu.cli.options import (
    Device,
    DeviceOption,
    RunDir,
    Runtime,
    RuntimeOption,
    Threads,
    Verbose,
    start_logging,
)
from kizu.cli.progress import working


def update(
    run_dir: RunDir,
    images: Annotated[Path, typer.Option(help="Folder of good images, searched with its sub-folders.")],
    reason: Annotated[str, typer.Option(help="Why these are good; it is kept with the new version.")],
    skip_broken: Annotated[bool, typer.Option("--skip-broken", help="Leave unreadable images out.")] = False,
    device: DeviceOption = Device.CPU,
    runtime: RuntimeOption = Runtime.ONNXRUNTIME,
    threads: Threads = None,
    verbose: Verbose = False,
) -> None:
    """Learn more good images and put the result in force as a new version; thresholds are set anew on the images that
    the run held out. `kizu rollback` goes back. Prints the new version's number as its last line."""
    start_logging(verbose)
    from kizu.lab.update import update_run
    from kizu.runs.folder import open_run

    folder = open_run(run_dir)
    with working(runtime, device, threads) as work:
        done = update_run(
            folder,
            images,
            reason=reason,
            skip_broken=skip_broken,
            work=work,
        )
    for name, why in done.skipped.items():
        typer.echo(f"skipped {name}: {why}", err=True)
    typer.echo(f"learned {len(done.added)} images", err=True)
    for name in ("image", "pixel"):
        before, now = getattr(done.before, name), getattr(done.thresholds, name)
        typer.echo(f"{name} threshold {now.describe()}; before: {before.describe()}", err=True)
    typer.echo(
        "the thresholds rest on the images held out when the run was trained; they promise nothing for parts that look"
        " otherwise, such as new ones",
        err=True,
    )
    _refresh(folder)
    typer.echo(str(done.version))


def rollback(
    run_dir: RunDir,
    to: Annotated[
        int | None, typer.Option(help="Which version. Default: the one the present one was made from.", min=1)
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why; it is kept in versions.json.")] = None,
) -> None:
    """Put an earlier version of a run's model in force again. Prints its number."""
    from kizu.lab.update import roll_back
    from kizu.runs.folder import open_run

    folder = open_run(run_dir)
    step = roll_back(folder, to, reason=reason)
    typer.echo(f"version {step.version} is in force, no longer {step.before}", err=True)
    _refresh(folder)
    typer.echo(str(step.version))


def versions(run_dir: RunDir) -> None:
    """The steps by which a run's model came to what it is, and the version in force."""
    from kizu.runs.folder import open_run
    from kizu.runs.versions import read_history

    history = read_history(open_run(run_dir).path)
    for step in history.steps:
        what = f"learned {step.images_added} images" if step.action == "update" else "rolled back"
        typer.echo(
            f"{step.at}  {step.before} -> {step.version}  {what}"
            + (f": {step.reason}" if step.reason else "")
        )
    typer.echo(f"version {history.in_force} is in force")


def _refresh(folder: Any) -> None:
    from kizu.report.model_card import write_model_card

    write_model_card(folder)
    if folder.metrics.exists():
        typer.echo(f"{folder.metrics} was measured on another version: run kizu evaluate again", err=True)
