"""`kizu predict` and `kizu compare`"""

import json
from pathlib import Path
from typing import Annotated

import typer

from kizu.cli.options import (
    AsJson,
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


def predict(
    run_dir: RunDir,
    min_defect_area: Annotated[int, typer.Option(help="Smaller flaws are not listed; pixels.", min=1)] = 1,
    pixel_threshold_mult: Annotated[
        float, typer.Option(help="Multiplies the pixel threshold.", min=1e-6)
    ] = 1.0,
    save_masks: Annotated[bool, typer.Option("--save-masks/--no-save-masks", help="Write masks/.")] = True,
    save_overlays: Annotated[
        bool, typer.Option("--save-overlays/--no-save-overlays", help="Write overlays/.")
    ] = True,
    save_csv: Annotated[bool, typer.Option("--csv", help="Write preds.csv as well.")] = False,
    device: DeviceOption = Device.CPU,
    runtime: RuntimeOption = Runtime.ONNXRUNTIME,
    threads: Threads = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Inspect the run's own test split into predictions/, with labels and the true flaws' outlines in green."""
    start_logging(verbose)
    from kizu.decision.policy import PolicyConfig
    from kizu.inspection.folder import FolderOptions
    from kizu.report.predictions import predict_run
    from kizu.runs.folder import open_run

    folder = open_run(run_dir)
    with working(runtime, device, threads) as work:
        results = predict_run(
            folder,
            FolderOptions(save_masks=save_masks, save_overlays=save_overlays, save_csv=save_csv),
            policy=PolicyConfig(min_defect_area=min_defect_area, pixel_threshold_mult=pixel_threshold_mult),
            work=work,
        )
    typer.echo(f"wrote {folder.predictions_dir}", err=True)
    if as_json:
        typer.echo(json.dumps({name: result.report.as_json() for name, result in results.items()}, indent=2))
        return
    for name, result in results.items():
        report = result.report
        typer.echo(
            f"{name}: {report.num_images} images: {report.num_ok} OK, {report.num_ng} NG,"
            f" {report.num_errors} unreadable"
        )


def compare(
    first: Annotated[Path, typer.Option("--run-dir-a", help="One run folder.")],
    second: Annotated[Path, typer.Option("--run-dir-b", help="Another, of the same category.")],
    output_dir: Annotated[
        Path | None, typer.Option(help="Where it goes. Default: comparisons/<a>-<b>.")
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Two runs side by side: metrics, what differs by more than chance, and pictures where both were predicted."""
    start_logging(verbose)
    from kizu.protocol.compare import compare_runs
    from kizu.report.comparison import write_comparison
    from kizu.runs.folder import open_run

    found = compare_runs(open_run(first), open_run(second))
    output_dir = output_dir or Path("comparisons") / "-".join(found.names)
    write_comparison(output_dir, found)
    for told in found.missing:
        typer.echo(f"missing: {told}", err=True)
    typer.echo(f"wrote {output_dir}", err=True)
    typer.echo((output_dir / "comparison_table.md").read_text(encoding="utf-8").rstrip())
