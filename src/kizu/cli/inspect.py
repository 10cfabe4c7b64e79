"""`kizu inspect`"""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kizu.cli.options import (
    AsJson,
    Device,
    DeviceOption,
    Runtime,
    RuntimeOption,
    Threads,
    Verbose,
    start_logging,
)
from kizu.cli.progress import working
from kizu.core.errors import ConfigError

if TYPE_CHECKING:
    from kizu.inspection.records import Record

EXIT_NG_FOUND = 1


def inspect(
    run_dir: Annotated[
        Path | None, typer.Option("--run-dir", help="The run folder that `kizu train` printed.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option("--model", help="In place of a run: a file that `kizu export` wrote.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Argument(
            help="Folder of images, searched with its sub-folders; or one image; or - for paths on stdin."
        ),
    ] = None,
    input_dir: Annotated[Path | None, typer.Option(help="The same as the argument.")] = None,
    image_list: Annotated[
        Path | None, typer.Option("--list", help="In place of a folder: a file with a path on each line.")
    ] = None,
    glob: Annotated[
        str | None, typer.Option(help="Of a folder, only paths that match, such as '*.png' or 'line1/*'.")
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on: inspect each new file of the folder once, until Ctrl-C.")
    ] = False,
    interval: Annotated[
        float,
        typer.Option(help="With --watch: seconds between two looks; a file must stay as it is.", min=0.01),
    ] = 0.5,
    idle: Annotated[
        float | None,
        typer.Option(help="With --watch: stop when nothing has come for so many seconds.", min=0),
    ] = None,
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
    open_px: Annotated[
        int,
        typer.Option(help="Opens marked pixels by a square of this side, odd: what is thinner goes.", min=1),
    ] = 1,
    close_px: Annotated[
        int, typer.Option(help="Then closes them by a square of this side, odd: fills narrower gaps.", min=1)
    ] = 1,
    roi: Annotated[
        Path | None,
        typer.Option(
            help="Where flaws count: JSON polygons, or a picture. The map then decides, not the image score."
        ),
    ] = None,
    ignore: Annotated[
        Path | None, typer.Option(help="Where they do not: JSON polygons, or a picture.")
    ] = None,
    batch_size: Annotated[
        int, typer.Option(help="Images at a time; 1: the shortest way from file to verdict.", min=1)
    ] = 8,
    save_csv: Annotated[bool, typer.Option("--csv", help="Write preds.csv as well.")] = False,
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
    from kizu.data.listing import list_images, listed_images
    from kizu.decision.policy import PolicyConfig
    from kizu.imaging.roi import read_roi
    from kizu.inspection.folder import FolderOptions, FolderRunner
    from kizu.inspection.inspector import Inspector
    from kizu.inspection.watch import arrivals

    given = [source for source in (folder, input_dir, image_list) if source is not None]
    if len(given) != 1:
        raise ConfigError("give one folder of images", hint="kizu inspect --run-dir RUN FOLDER")
    source = given[0]
    is_list = image_list is not None or str(source) == "-"
    if is_list and (watch or glob is not None):
        raise ConfigError("--watch and --glob are for folders")
    opened = run_dir or model
    if opened is None or (run_dir and model):
        raise ConfigError("give a run or a model file", hint="kizu inspect --run-dir RUN FOLDER")
    beside = opened.parent if model else opened
    name = "list" if is_list else source.resolve().name or "images"
    output_dir = output_dir or beside / "inspections" / name
    if source.is_dir() and output_dir.resolve().is_relative_to(source.resolve()):
        raise ConfigError(
            f"the results would lie in {source}, and be inspected next", hint="choose another --output-dir"
        )
    with working(runtime, device, threads) as work:
        inspector = Inspector.open(
            opened,
            category=category,
            policy=PolicyConfig.parse(
                {
                    "min_defect_area": min_defect_area,
                    "pixel_threshold_mult": pixel_threshold_mult,
                    "open_px": open_px,
                    "close_px": close_px,
                },
                where="options",
            ),
            roi=read_roi(roi, ignore),
            work=work,
        )
        runner = FolderRunner(
            inspector,
            output_dir,
            FolderOptions(
                save_masks=save_masks, save_overlays=save_overlays, save_csv=save_csv, batch_size=batch_size
            ),
        )
        if watch:
            typer.echo(f"watching {source}; Ctrl-C ends it", err=True)
            looks = arrivals(
                lambda: list_images(source, pattern=glob, may_be_empty=True),
                interval=interval,
                idle_seconds=idle,
            )
            result = runner.watch(looks, lambda record: typer.echo(_told(record)))
        else:
            if is_list:
                lines = sys.stdin if image_list is None else _lines(image_list)
                samples = listed_images(lines)
            else:
                samples = list_images(source, pattern=glob)
            result = runner.run(samples)
    report = result.report
    if result.skipped:
        typer.echo(f"{result.skipped} images were done before", err=True)
    typer.echo(f"wrote {output_dir}", err=True)
    if as_json:
        typer.echo(json.dumps(report.as_json(), indent=2))
    else:
        typer.echo(
            f"{report.num_images} images: {report.num_ok} OK, {report.num_ng} NG, {report.num_errors} unreadable"
        )
    if fail_on_ng and report.num_ng:
        raise typer.Exit(EXIT_NG_FOUND)


def _told(record: "Record") -> str:
    """One line as it comes."""
    from kizu.inspection.records import Failure

    if isinstance(record, Failure):
        return f"--  {record.image_path}  {record.error}"
    return f"{record.label}  {record.image_path}  {record.pred_score:.4g}"


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the list {path}: {error}") from error
