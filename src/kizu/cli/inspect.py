"""`kizu inspect`"""

import json
from pathlib import Path
from typing import Annotated

import typer

from kizu.cli.options import (
    AsJson,
    Device,
    DeviceOption,
    Runtime,
    RuntimeOption,
    Threads,
    Verbose,
    engine_of,
    start_logging,
)
from kizu.cli.progress import stages
from kizu.core.errors import ConfigError

EXIT_NG_FOUND = 1


def inspect(
    run_dir: Annotated[
        Path | None, typer.Option("--run-dir", help="The run folder that `kizu train` printed.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option("--model", help="In place of a run: a file that `kizu export` wrote.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Argument(help="Folder of images, searched with its sub-folders, or one image.")
    ] = None,
    input_dir: Annotated[Path | None, typer.Option(help="The same as the argument.")] = None,
    category: Annotated[
        str | None, typer.Option(help="For a model of several categories: which one these images are of.")
    ] = None,
    output_dir: Annotated[
        Path | None,
        typer.Option(
            help="Where results go. Default: inspections/<folder name> in the run folder, or beside the model."
        ),
    ] = None,
    min_defect_area: Annotated[int, typer.Option(help="Smaller flaws are not listed; pixels.", min=1)] = 1,
    pixel_threshold_mult: Annotated[
        float, typer.Option(help="Multiplies the pixel threshold.", min=1e-6)
    ] = 1.0,
    save_masks: Annotated[bool, typer.Option("--save-masks/--no-save-masks", help="Write masks/.")] = True,
    save_overlays: Annotated[
        bool, typer.Option("--save-overlays/--no-save-overlays", help="Write overlays/.")
    ] = True,
    fail_on_ng: Annotated[
        bool, typer.Option("--fail-on-ng", help="Exit with 1 when any image is NG.")
    ] = False,
    device: DeviceOption = Device.CPU,
    runtime: RuntimeOption = Runtime.ONNXRUNTIME,
    threads: Threads = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Say OK or NG for each image and draw where the flaw is. Stopped? The same command goes on where it was."""
    start_logging(verbose)
    from kizu.data.listing import list_images
    from kizu.decision.policy import PolicyConfig
    from kizu.inspection.folder import FolderOptions, FolderRunner
    from kizu.inspection.inspector import Inspector

    source = folder or input_dir
    if source is None or (folder and input_dir):
        raise ConfigError("give one folder of images", hint="kizu inspect --run-dir RUN FOLDER")
    opened = run_dir or model
    if opened is None or (run_dir and model):
        raise ConfigError("give a run or a model file", hint="kizu inspect --run-dir RUN FOLDER")
    samples = list_images(source)
    beside = opened.parent if model else opened
    output_dir = output_dir or beside / "inspections" / (source.resolve().name or "images")
    inspector = Inspector.open(
        opened,
        category=category,
        policy=PolicyConfig(min_defect_area=min_defect_area, pixel_threshold_mult=pixel_threshold_mult),
        engine=engine_of(runtime, device, threads),
    )
    runner = FolderRunner(
        inspector,
        output_dir,
        FolderOptions(save_masks=save_masks, save_overlays=save_overlays),
    )
    with stages() as on_progress:
        result = runner.run(samples, lambda done, total: on_progress("inspect", done, total))
    report = result.report
    if result.skipped:
        typer.echo(f"{result.skipped} images were done before", err=True)
    typer.echo(f"wrote {output_dir}", err=True)
    if as_json:
        typer.echo(json.dumps(report, indent=2))
    else:
        typer.echo(
            f"{report['num_images']} images: {report['num_ok']} OK, {report['num_ng']} NG,"
            f" {report['num_errors']} unreadable"
        )
    if fail_on_ng and report["num_ng"]:
        raise typer.Exit(EXIT_NG_FOUND)
