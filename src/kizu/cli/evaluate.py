"""`kizu evaluate`"""

import json

import typer

from kizu.cli.options import (
    AsJson,
    Category,
    DataRoot,
    Device,
    DeviceOption,
    Layout,
    RunDir,
    Runtime,
    RuntimeOption,
    Threads,
    Verbose,
    start_logging,
)
from kizu.cli.progress import stages


def evaluate(
    run_dir: RunDir,
    root: DataRoot = None,
    category: Category = None,
    layout: Layout = None,
    device: DeviceOption = Device.CPU,
    runtime: RuntimeOption = Runtime.ONNXRUNTIME,
    threads: Threads = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Score the test split once and measure it. Writes metrics.json, preds_test.jsonl and report.html to the run."""
    start_logging(verbose)
    from kizu.backbones.session import Engine
    from kizu.lab.evaluate import evaluate_run
    from kizu.lab.runs import open_run
    from kizu.lab.train import DataConfig, scan_data
    from kizu.report.cases import write_case_page
    from kizu.report.tables import metrics_table

    folder = open_run(run_dir)
    engine = Engine(runtime=runtime.value, device=device.value, threads=threads)
    elsewhere = None
    if root is not None:
        elsewhere = scan_data(DataConfig(layout=layout or "mvtec_ad", root=root, category=category))
    with stages() as on_progress:
        evaluation = evaluate_run(folder, elsewhere, engine=engine, on_progress=on_progress)
    write_case_page(folder, evaluation, engine=engine)
    typer.echo(f"wrote {folder.metrics} and {folder.page}", err=True)
    if as_json:
        typer.echo(json.dumps(evaluation.as_json(), indent=2))
    else:
        typer.echo(metrics_table(evaluation.metrics, evaluation.reasons))
