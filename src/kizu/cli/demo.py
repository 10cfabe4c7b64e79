"""`kizu demo`"""

from typing import TYPE_CHECKING

from kizu.cli.options import Shown, start_work
from kizu.cli.printing import say, say_text
from kizu.tasks.lab_options import DemoOptions
from kizu.tasks.options import CoreOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kizu.tasks.demo import DemoRun

METRICS = ("image_auroc", "image_auprc", "image_f1", "pixel_auroc", "aupro_030", "aupro_005")
STAGES = ("fit", "calibrate", "predict", "measure")


def demo(options: DemoOptions, using: CoreOptions, shown: Shown) -> None:
    """Fit and inspect real solar cells, and drawn parts that have masks; write a page with the worst and best cases."""
    from kizu.tasks.demo import run_demo

    with start_work(shown, using) as work:
        made = run_demo(options, work)
    by_set: dict[str, list[DemoRun]] = {}
    for found in made.runs:
        by_set.setdefault(found.category, []).append(found)
    for runs in by_set.values():
        say_text(f"{_table(runs)}\n")
    say(f"{made.seconds['all']:.0f} s in all", f"look at {made.page.resolve()}")


def _table(runs: "Sequence[DemoRun]") -> str:
    """Of one set: what its data can give, and the promise beside what was measured."""
    from kizu.metrics.suite import ROWS
    from kizu.report.promises import promise_cells
    from kizu.report.tables import number, text_table

    keys = [key for key in METRICS if any(run.evaluation.metrics[key] is not None for run in runs)]
    titles = [ROWS[key].short or ROWS[key].title for key in keys]
    rows = []
    for run in runs:
        promised, measured = promise_cells(run.evaluation.promises["image"])[:2]
        values = [number(run.evaluation.metrics[key]) for key in keys]
        seconds = sum(run.seconds[stage] for stage in STAGES)
        rows.append([run.name, *values, promised, measured, f"{seconds:.1f} s"])
    return text_table(["", *titles, "promised <=", "good rejected", "time"], rows)
