"""`kizu evaluate`"""

import json
from pathlib import Path
from typing import Annotated, Any

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
    start_logging,
)
from kizu.cli.progress import stages


def evaluate(
    run_dir: Annotated[
        Path | None, typer.Option("--run-dir", help="The run folder that `kizu train` printed.")
    ] = None,
    frozen: Annotated[
        Path | None,
        typer.Option(
            "--frozen", help="In place of a run: the file that `kizu freeze` wrote.", dir_okay=False
        ),
    ] = None,
    categories: Annotated[
        str | None,
        typer.Option(help="With --frozen, comma separated: names below --data-root, or folders."),
    ] = None,
    include_dev: Annotated[
        bool, typer.Option("--include-dev", help="With --frozen: also development categories, marked.")
    ] = False,
    output_dir: Annotated[
        Path | None, typer.Option(help="With --frozen: where results go. Default: runs/eval.")
    ] = None,
    root: DataRoot = None,
    category: Category = None,
    layout: Layout = None,
    device: DeviceOption = Device.CPU,
    runtime: RuntimeOption = Runtime.ONNXRUNTIME,
    threads: Threads = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Score the test split once and measure it: of a run (--run-dir), or of a frozen pipeline (--frozen).

    A run gets metrics.json, preds_test.jsonl and report.html; a frozen pipeline is fitted anew for each of its seeds.
    """
    start_logging(verbose)
    from kizu.backbones.session import Engine
    from kizu.core.errors import ConfigError

    engine = Engine(runtime=runtime.value, device=device.value, threads=threads)
    if (run_dir is None) == (frozen is None):
        raise ConfigError("give either --run-dir or --frozen", hint="see kizu evaluate --help")
    if frozen is not None:
        if category is not None:
            raise ConfigError("--frozen takes --categories, not --category")
        if categories is None:
            raise ConfigError("--frozen needs --categories", hint="name those to evaluate, comma separated")
        _evaluate_frozen(
            frozen, categories, root, layout, include_dev, output_dir or Path("runs/eval"), engine, as_json
        )
    else:
        if categories is not None or include_dev or output_dir is not None:
            raise ConfigError("--categories, --include-dev and --output-dir go with --frozen only")
        assert run_dir is not None
        _evaluate_run(run_dir, root, category, layout, engine, as_json)


def _evaluate_run(
    run_dir: Path, root: Path | None, category: str | None, layout: str | None, engine: Any, as_json: bool
) -> None:
    from kizu.lab.evaluate import evaluate_run
    from kizu.lab.runs import open_run
    from kizu.lab.train import DataConfig, scan_data
    from kizu.report.cases import write_case_page
    from kizu.report.tables import metrics_table

    folder = open_run(run_dir)
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


def _evaluate_frozen(
    path: Path,
    categories: str,
    root: Path | None,
    layout: str | None,
    include_dev: bool,
    output_dir: Path,
    engine: Any,
    as_json: bool,
) -> None:
    from kizu.cli.design import scan_all
    from kizu.lab.freeze import read_frozen
    from kizu.lab.frozen import evaluate_frozen
    from kizu.report.portfolio import portfolio_table, write_portfolio

    frozen = read_frozen(path)
    manifests = scan_all(categories, root, layout)
    with stages() as on_progress:
        results = list(
            evaluate_frozen(
                frozen, manifests, output_dir, include_dev=include_dev, engine=engine, on_progress=on_progress
            )
        )
    write_portfolio(output_dir, frozen, results)
    typer.echo(f"wrote {output_dir}/report.md and report.html", err=True)
    typer.echo(json.dumps([r.metrics for r in results], indent=2) if as_json else portfolio_table(results))
