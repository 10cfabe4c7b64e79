"""`kizu demo`"""

from kizu.cli.options import Shown, start_work
from kizu.cli.printing import say, say_text
from kizu.tasks.lab_options import DemoOptions
from kizu.tasks.options import CoreOptions

METRICS = ("image_auroc", "image_auprc", "image_f1", "pixel_auroc", "aupro_030", "aupro_005")
STAGES = ("fit", "calibrate", "predict", "measure")


def demo(options: DemoOptions, using: CoreOptions, shown: Shown) -> None:
    """Fit and inspect real solar cells, and drawn parts that have masks; write a page with the worst and best cases."""
    from kizu.report.tables import number, text_table
    from kizu.tasks.demo import run_demo

    with start_work(shown, using) as work:
        made = run_demo(options, work)
    rows = [
        [
            found.name,
            *(number(found.evaluation.metrics[key]) for key in METRICS),
            *(f"{found.seconds[stage]:.1f} s" for stage in STAGES),
        ]
        for found in made.runs
    ]
    say_text(text_table(["", *METRICS, *STAGES], rows))
    say(f"{made.seconds['all']:.0f} s in all; a dash: this data has no masks")
    say(f"look at {made.page.resolve()}")
