"""`kizu export` and `kizu verify`"""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kizu.cli.options import AsJson, RunDir, Verbose, start_logging
from kizu.cli.progress import working

EXIT_DISAGREES = 1


class FormatOption(StrEnum):
    """What is written."""

    ONNX = "onnx"
    OPENVINO = "openvino"


class PrecisionOption(StrEnum):
    """How numbers are stored."""

    F32 = "f32"
    F16 = "f16"
    INT8 = "int8"


def export(
    run_dir: RunDir,
    form: Annotated[FormatOption, typer.Option("--format", help="One ONNX file, or an OpenVINO IR.")] = (
        FormatOption.ONNX
    ),
    precision: Annotated[
        PrecisionOption,
        typer.Option(
            help="f16 stores half, int8 computes the network in 8 bits; kept only if no decision flips."
        ),
    ] = PrecisionOption.F32,
    output_dir: Annotated[
        Path | None, typer.Option(help="Where it goes. Default: export/ in the run folder.")
    ] = None,
    max_size_mb: Annotated[
        float, typer.Option(help="Refuse a model that learned more than this.", min=1)
    ] = 512,
    verbose: Verbose = False,
) -> None:
    """Write the run's detector as one graph, from image to score and map, with its thresholds inside.

    Prints the file, which `kizu inspect --model` opens with nothing else.
    """
    start_logging(verbose)
    from kizu.release.export import export_run
    from kizu.runs.folder import open_run

    with working() as work:
        done = export_run(
            open_run(run_dir),
            to=form.value,
            precision=precision.value,
            output_dir=output_dir,
            max_constants_mb=max_size_mb,
            work=work,
        )
    if done.agreement is not None:
        typer.echo(
            f"decides {done.agreement.images} images as the run does; largest error of a score"
            f" {done.agreement.score_max_error:.2g}, of a map {done.agreement.map_max_error:.2g}",
            err=True,
        )
    typer.echo(str(done.path))


def verify(
    run_dir: RunDir,
    model: Annotated[
        list[Path] | None,
        typer.Option("--model", help="An exported file; may be given again. Default: those in export/."),
    ] = None,
    images: Annotated[
        int | None, typer.Option(help="So many of the test images. Default: all.", min=1)
    ] = None,
    random: Annotated[int, typer.Option("--random", help="So many images of noise as well.", min=0)] = 0,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Prove that exported files decide as the run does: on real images, in every runtime installed.

    Writes consistency.json. Exit code 1 when they do not agree.
    """
    start_logging(verbose)
    from kizu.release.export import verify_run
    from kizu.release.parity import Tolerances
    from kizu.report.tables import text_table
    from kizu.runs.folder import open_run

    folder, tolerances = open_run(run_dir), Tolerances()
    with working() as work:
        found = verify_run(folder, models=model or (), images=images, random_images=random, work=work)
    if as_json:
        typer.echo(json.dumps([agreement.as_json(tolerances) for agreement in found], indent=2))
    else:
        head = ["", "images", "score error", "map error", "mask IoU", "flips", "far flips", "not finite", ""]
        rows = [
            [
                a.name,
                str(a.images),
                f"{a.score_max_error:.1e}",
                f"{a.map_max_error:.1e}",
                f"{a.mask_iou:.5f}",
                str(len(a.flips)),
                str(a.far_flips(tolerances)),
                str(a.not_finite),
                "; ".join(a.failures(tolerances)) or "agrees",
            ]
            for a in found
        ]
        typer.echo(text_table(head, rows))
    typer.echo(f"wrote {folder.path / 'consistency.json'}", err=True)
    if any(agreement.failures(tolerances) for agreement in found):
        raise typer.Exit(EXIT_DISAGREES)
