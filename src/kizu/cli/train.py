"""`kizu train`"""

from pathlib import Path
from typing import Annotated, Any

import typer

from kizu.cli.options import (
    Category,
    ConfigFile,
    DataRoot,
    Device,
    DeviceOption,
    Layout,
    Runtime,
    RuntimeOption,
    Threads,
    Verbose,
    parse_grid,
    parse_size,
    set_values,
    start_logging,
)
from kizu.cli.progress import working
from kizu.core.lists import comma_separated
from kizu.detectors import DETECTORS

WEAK_PROMISE = 0.05
"""A false-alarm rate that deserves a hint."""


def train(
    config_file: ConfigFile = None,
    model: Annotated[
        str | None,
        typer.Option(help=f"The method: {', '.join(DETECTORS)}."),
    ] = None,
    root: DataRoot = None,
    category: Category = None,
    layout: Layout = None,
    output_dir: Annotated[Path, typer.Option(help="Where run folders go.")] = Path("runs"),
    run_id: Annotated[str | None, typer.Option(help="Name of the run folder. Default: the time.")] = None,
    backbone: Annotated[
        str | None, typer.Option(help="A name from `kizu backbones`, or an ONNX file.")
    ] = None,
    layers: Annotated[str | None, typer.Option(help="Feature layers, comma separated.")] = None,
    image_size: Annotated[
        str | None, typer.Option(help="Network input: 256, or height x width: 256x384.")
    ] = None,
    resize: Annotated[
        str | None, typer.Option(help="With --tile-overlap: the size that is cut into tiles: 1024x1536.")
    ] = None,
    tile_overlap: Annotated[
        float | None,
        typer.Option(help="Cut images into tiles of --image-size that overlap by this part, such as 0.25."),
    ] = None,
    coreset: Annotated[
        float | None, typer.Option(help="PatchCore: part of the patches that is kept.")
    ] = None,
    false_alarm_rate: Annotated[
        float | None,
        typer.Option(
            help="Guarantee this rate on good parts, or refuse. Default: 0.01 or the best there is."
        ),
    ] = None,
    zones: Annotated[
        str | None,
        typer.Option(help="A pixel threshold for each zone of a grid, rows x columns: 2x3."),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            help="Regular expression over image names: those whose first bracket is the same (one part, one lot)"
            " stay on one side."
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="All randomness comes from it.", min=0)] = None,
    skip_broken: Annotated[bool, typer.Option("--skip-broken", help="Leave unreadable images out.")] = False,
    device: DeviceOption = Device.CPU,
    runtime: RuntimeOption = Runtime.ONNXRUNTIME,
    threads: Threads = None,
    verbose: Verbose = False,
) -> None:
    """Fit on good images and set thresholds on good images held out. Prints the run folder as its last line."""
    start_logging(verbose)
    from kizu.lab.train import RunConfig, train_run
    from kizu.report.model_card import write_model_card

    config = RunConfig.read(config_file) if config_file else RunConfig()
    changes: dict[str, dict[str, Any]] = {
        "embedding": set_values(
            backbone=backbone, layers=comma_separated(layers, where="--layers") if layers else None
        ),
        "placement": set_values(
            image_size=parse_size(image_size) if image_size else None,
            resize=parse_size(resize) if resize else None,
            tile_overlap=tile_overlap,
        ),
        "calibration": set_values(
            false_alarm_rate=false_alarm_rate, zones=parse_grid("--zones", zones) if zones else None
        ),
        "data": set_values(
            layout=layout, category=category, root=None if root is None else str(root), group=group
        ),
    }
    config = config.with_detector(model, set_values(coreset=coreset)).changed(
        changes, seed=seed, where="options"
    )
    with working(runtime, device, threads) as work:
        run = train_run(
            config,
            output_dir,
            run_id=run_id,
            skip_broken=skip_broken,
            work=work,
            on_estimate=lambda size: typer.echo(f"expects at most {size >> 20} MB of memory", err=True),
        )
    manifest = run.fitted.bundle.manifest
    for name in run.skipped:
        typer.echo(f"skipped {name}: cannot be read", err=True)
    typer.echo(
        f"fitted on {manifest.fitted_on.fit_count} images in {sum(run.fitted.seconds.values()):.1f} s",
        err=True,
    )
    typer.echo(f"image threshold {manifest.thresholds.image.describe()}", err=True)
    pixel = manifest.thresholds.zones or manifest.thresholds.pixel
    typer.echo(f"pixel threshold {pixel.describe()}", err=True)
    if (manifest.thresholds.image.false_alarm_rate or 0) > WEAK_PROMISE:
        typer.echo(
            "hint: few images set these thresholds, so the promise is weak; more good images, or a larger"
            " calibration fraction in --config, make it stronger",
            err=True,
        )
    write_model_card(run.folder)
    typer.echo(str(run.folder.path))
