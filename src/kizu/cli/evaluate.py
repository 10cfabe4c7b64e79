"""`kizu evaluate`"""

import json
from enum import StrEnum
from importlib.util import find_spec
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
    parse_grid,
    set_values,
    start_logging,
)
from kizu.cli.progress import working


class PixelMetricOption(StrEnum):
    """What the pixel threshold is to make highest."""

    F1 = "f1"
    IOU = "iou"


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
    compute_thresholds: Annotated[
        bool,
        typer.Option(
            "--compute-thresholds", help="With --run-dir: set them anew first, on the good images held out."
        ),
    ] = False,
    rule: Annotated[
        str | None,
        typer.Option(
            help="For --compute-thresholds: the image rule, such as conformal_confident or maximum."
        ),
    ] = None,
    false_alarm_rate: Annotated[
        float | None, typer.Option(help="For --compute-thresholds: guarantee this rate, or refuse.")
    ] = None,
    zones: Annotated[
        str | None,
        typer.Option(help="For --compute-thresholds: a pixel threshold for each of rows x columns: 2x3."),
    ] = None,
    tune_on_validation: Annotated[
        bool,
        typer.Option(
            "--tune-on-validation", help="With --run-dir: choose them first, on labelled validation images."
        ),
    ] = False,
    pixel_metric: Annotated[
        PixelMetricOption, typer.Option(help="For --tune-on-validation: what pixels are tuned for.")
    ] = PixelMetricOption.F1,
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
    from kizu.core.errors import ConfigError

    if (run_dir is None) == (frozen is None):
        raise ConfigError("give either --run-dir or --frozen", hint="see kizu evaluate --help")
    changes = set_values(
        rule=rule, false_alarm_rate=false_alarm_rate, zones=parse_grid("--zones", zones) if zones else None
    )
    tuning = compute_thresholds or tune_on_validation or bool(changes)
    if frozen is not None:
        if tuning:
            raise ConfigError(
                "nothing in a frozen pipeline can be changed", hint="leave the thresholds' options out"
            )
        if category is not None:
            raise ConfigError("--frozen takes --categories, not --category")
        if categories is None:
            raise ConfigError("--frozen needs --categories", hint="name those to evaluate, comma separated")
        with working(runtime, device, threads) as work:
            _evaluate_frozen(
                frozen, categories, root, layout, include_dev, output_dir or Path("runs/eval"), work, as_json
            )
    else:
        if categories is not None or include_dev or output_dir is not None:
            raise ConfigError("--categories, --include-dev and --output-dir go with --frozen only")
        assert run_dir is not None
        with working(runtime, device, threads) as work:
            if tuning:
                _tune(run_dir, compute_thresholds, tune_on_validation, changes, pixel_metric, work)
            _evaluate_run(run_dir, root, category, layout, work, as_json)


def _tune(
    run_dir: Path,
    compute: bool,
    tune: bool,
    changes: dict[str, Any],
    pixel_metric: PixelMetricOption,
    work: Any,
) -> None:
    from kizu.core.errors import ConfigError
    from kizu.decision.calibration import CalibrationConfig
    from kizu.lab.train import RunConfig
    from kizu.lab.tune import compute_thresholds, tune_on_validation
    from kizu.runs.folder import open_run

    if compute == tune:
        raise ConfigError("give one of --compute-thresholds and --tune-on-validation")
    if tune and changes:
        raise ConfigError("--rule, --false-alarm-rate and --zones go with --compute-thresholds only")
    folder = open_run(run_dir)
    if tune:
        found = tune_on_validation(folder, pixel_metric=pixel_metric.value, work=work)
    else:
        values = RunConfig.read(folder.config).calibration.model_dump(mode="json")
        config = CalibrationConfig.parse({**values, **changes}, where="options")
        found = compute_thresholds(folder, config, work=work)
    typer.echo(f"image threshold {found.image.describe()}", err=True)
    typer.echo(f"pixel threshold {(found.zones or found.pixel).describe()}", err=True)


def _evaluate_run(
    run_dir: Path, root: Path | None, category: str | None, layout: str | None, work: Any, as_json: bool
) -> None:
    from kizu.core.errors import ConfigError
    from kizu.data.manifest import read_manifest
    from kizu.inspection.inspector import Inspector
    from kizu.lab.evaluate import evaluate_run
    from kizu.lab.train import DataConfig, scan_data
    from kizu.report.cases import write_case_page
    from kizu.report.gallery import write_figures
    from kizu.report.model_card import write_model_card
    from kizu.report.tables import metrics_table
    from kizu.runs.folder import open_run

    folder = open_run(run_dir)
    if read_manifest(folder.manifest).parts:
        if root is not None or category is not None:
            raise ConfigError("a run of several categories is measured on its own test splits")
        _evaluate_parts(folder, work, as_json)
        return
    elsewhere = None
    if root is not None:
        elsewhere = scan_data(DataConfig(layout=layout or "mvtec_ad", root=root, category=category))
    evaluation = evaluate_run(folder, elsewhere, work=work)
    write_case_page(folder, evaluation, work=work)
    write_model_card(folder)
    if find_spec("matplotlib") is None:
        typer.echo("no figures: pip install 'kizu[report]'", err=True)
    else:
        write_figures(folder.figures, evaluation, Inspector.open(folder.path, work=work))
    typer.echo(f"wrote {folder.metrics} and {folder.page}", err=True)
    if as_json:
        typer.echo(json.dumps(evaluation.as_json(), indent=2))
    else:
        typer.echo(metrics_table(evaluation.metrics, evaluation.reasons))


def _evaluate_parts(folder: Any, work: Any, as_json: bool) -> None:
    from kizu.inspection.inspector import Inspector
    from kizu.lab.evaluate import evaluate_parts, mean_metrics
    from kizu.report.gallery import write_figures
    from kizu.report.model_card import write_model_card
    from kizu.report.tables import number, text_table

    found = evaluate_parts(folder, work=work)
    if find_spec("matplotlib") is not None:
        for name, evaluation in found.items():
            inspector = Inspector.open(folder.path, category=name, work=work)
            write_figures(folder.part(name).figures, evaluation, inspector)
    write_model_card(folder)
    typer.echo(f"wrote {folder.metrics} and {folder.path / 'categories'}", err=True)
    mean = mean_metrics(list(found.values()))
    if as_json:
        typer.echo(json.dumps({name: e.as_json() for name, e in found.items()} | {"mean": mean}, indent=2))
        return
    rows = [
        [key, *(number(evaluation.metrics[key]) for evaluation in found.values()), number(value)]
        for key, value in mean.items()
    ]
    typer.echo(text_table(["", *found, "mean"], rows))


def _evaluate_frozen(
    path: Path,
    categories: str,
    root: Path | None,
    layout: str | None,
    include_dev: bool,
    output_dir: Path,
    work: Any,
    as_json: bool,
) -> None:
    from kizu.cli.design import scan_all
    from kizu.core.files import write_bytes
    from kizu.inspection.inspector import Inspector
    from kizu.protocol.freeze import read_frozen
    from kizu.protocol.frozen import SeedResult, evaluate_frozen
    from kizu.report.gallery import write_figures
    from kizu.report.portfolio import portfolio_table, write_portfolio

    def draw(category: str, method: str, result: SeedResult, folder: Path) -> None:
        if find_spec("matplotlib") is not None:
            inspector = Inspector(result.trial.fitted.bundle, work=work)
            pictures = write_figures(folder / "figs", result.trial.evaluation, inspector)
            if result.seed == frozen.seeds[0]:
                for picture in pictures:
                    write_bytes(figures / f"{category}-{method}" / picture.name, picture.read_bytes())

    frozen = read_frozen(path)
    figures = path.parent / "figs"
    manifests = scan_all(categories, root, layout)
    results = list(
        evaluate_frozen(
            frozen,
            manifests,
            output_dir,
            include_dev=include_dev,
            work=work,
            on_seed=draw,
        )
    )
    write_portfolio(output_dir, frozen, results)
    scatter = output_dir / "figs" / "auroc.png"
    if scatter.exists():
        write_bytes(figures / scatter.name, scatter.read_bytes())
        typer.echo(f"wrote {figures}: the first seed's figures", err=True)
    typer.echo(f"wrote {output_dir}/report.md and report.html", err=True)
    typer.echo(json.dumps([r.metrics for r in results], indent=2) if as_json else portfolio_table(results))
