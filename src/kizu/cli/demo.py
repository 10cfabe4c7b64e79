"""`kizu demo`"""

import shutil
import time
from pathlib import Path
from typing import Annotated

import typer

from kizu.cli.options import Threads, Verbose, start_logging
from kizu.cli.progress import working


def demo(
    output_dir: Annotated[
        Path, typer.Option(help="Where everything goes; replaced when it is an earlier demo.")
    ] = Path("kizu-demo"),
    seed: Annotated[int, typer.Option(help="All randomness comes from it.", min=0)] = 0,
    threads: Threads = None,
    verbose: Verbose = False,
) -> None:
    """Fit and inspect real solar cells, and drawn parts that have masks; write a page with the worst and best cases."""
    start_logging(verbose)
    from kizu.lab.evaluate import evaluate_run
    from kizu.lab.train import DataConfig, RunConfig, train_run
    from kizu.report.cases import run_section, write_page
    from kizu.report.tables import number, text_table

    runs = output_dir / "runs"
    shutil.rmtree(runs, ignore_errors=True)
    sets = [
        DataConfig(layout="elpv", category="mono"),
        DataConfig(layout="demo", root=output_dir / "drawn_parts", category="disc"),
    ]
    sections, rows = [], []
    seconds: dict[str, float] = {}
    start = time.perf_counter()
    for data in sets:
        for model in ("patchcore", "padim"):
            config = RunConfig(data=data, seed=seed).with_detector(model, {})
            with working(threads=threads) as work:
                run = train_run(config, runs, run_id="demo", work=work)
                evaluation = evaluate_run(run.folder, work=work)
            times = run.fitted.seconds | evaluation.seconds
            keys = ("image_auroc", "image_auprc", "image_f1", "pixel_auroc", "aupro_030", "aupro_005")
            rows.append(
                [
                    f"{run.fitted.bundle.manifest.category} {model}",
                    *(number(evaluation.metrics[key]) for key in keys),
                    *(f"{times[stage]:.1f} s" for stage in ("fit", "calibrate", "predict", "measure")),
                ]
            )
            sections.append(run_section(run.folder, evaluation, work))
            for stage, value in times.items():
                seconds[stage] = seconds.get(stage, 0.0) + value
    seconds["all"] = time.perf_counter() - start
    page = output_dir / "index.html"
    write_page(page, "Kizu demo", sections, seconds)
    header = ["", *keys, "fit", "calibrate", "predict", "measure"]
    typer.echo(text_table(header, rows))
    typer.echo(f"{seconds['all']:.0f} s in all; a dash: this data has no masks")
    typer.echo(f"look at {page.resolve()}")
