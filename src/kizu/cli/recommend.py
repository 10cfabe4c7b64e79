"""`kizu recommend`"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from kizu.cli.options import (
    AsJson,
    Category,
    DataRoot,
    Device,
    DeviceOption,
    Layout,
    Runtime,
    RuntimeOption,
    Threads,
    Verbose,
    set_values,
    start_logging,
)
from kizu.cli.progress import working


def recommend(
    root: DataRoot = None,
    category: Category = None,
    layout: Layout = None,
    latency_ms: Annotated[
        float | None, typer.Option(help="An image may take this long, by itself.", min=0)
    ] = None,
    memory_mb: Annotated[
        float | None,
        typer.Option(help="The fit may take this much. Default: what the machine has free.", min=1),
    ] = None,
    fit_seconds: Annotated[float | None, typer.Option(help="The fit may take this long.", min=0)] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the choice here, for kizu train --config.")
    ] = None,
    device: DeviceOption = Device.CPU,
    runtime: RuntimeOption = Runtime.ONNXRUNTIME,
    threads: Threads = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Try methods on a sample of the good images: what each would cost here, what it sees, and which one to take.

    Nothing is fitted for good. Flaws are painted into good images for it; real ones look different.
    """
    start_logging(verbose)
    from kizu.core.files import write_text
    from kizu.lab.recommend import Budget, recommend
    from kizu.lab.train import DataConfig, RunConfig, scan_data
    from kizu.report.tables import text_table

    data = DataConfig.parse(
        set_values(layout=layout, category=category, root=None if root is None else str(root)),
        where="options",
    )
    budget = Budget(latency_ms=latency_ms, memory_mb=memory_mb, fit_seconds=fit_seconds)
    with working(runtime, device, threads) as work:
        found = recommend(scan_data(data), budget, work=work)
    chosen = found.chosen
    if as_json:
        rows = [
            {**asdict(e), "config": e.config.model_dump(mode="json"), "chosen": e is chosen}
            for e in found.estimates
        ]
        told = {"images": found.count, "reason": found.reason, "estimates": rows, "left_out": found.left_out}
        typer.echo(json.dumps(told, indent=2))
    else:
        typer.echo(f"{found.count} good images to learn from")
        head = ["", "fit, s", "peak, MB", "ms/image", "painted AUROC", "painted AU-PRO", ""]
        typer.echo(
            text_table(
                head,
                [
                    [
                        ("* " if e is chosen else "  ") + e.name,
                        f"{e.fit_seconds:.1f}",
                        f"{e.memory_bytes >> 20}",
                        f"{e.latency_ms:.1f}",
                        f"{e.painted_auroc:.3f}",
                        f"{e.painted_aupro:.3f}",
                        "; ".join(e.exceeds),
                    ]
                    for e in found.estimates
                ],
            )
        )
        for name, why in found.left_out.items():
            typer.echo(f"not tried: {name} ({why})")
        typer.echo(found.reason)
    if chosen is not None and output is not None:
        config = RunConfig(**dict(chosen.config), data=data)
        write_text(output, config.to_yaml())
        typer.echo(f"wrote {output}: kizu train --config {output}", err=True)
