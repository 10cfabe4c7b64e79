"""`kizu train`"""

from kizu.cli.options import Shown, start_work
from kizu.cli.printing import say
from kizu.tasks.lab_options import PipelineOptions, RunOptions
from kizu.tasks.options import DataOptions, WorkOptions

WEAK_PROMISE = 0.05
"""A false-alarm rate that deserves a hint."""


def train(
    pipeline: PipelineOptions, data: DataOptions, options: RunOptions, using: WorkOptions, shown: Shown
) -> None:
    """Fit on good images and set thresholds on good images held out. Prints the run folder as its last line."""
    from kizu.tasks.train import train

    def expect(size: int) -> None:
        say(f"expects at most {size >> 20} MB of memory", err=True)

    with start_work(shown, using) as work:
        run = train(pipeline, data, options, work, on_estimate=expect)
    manifest = run.bundle.manifest
    thresholds = manifest.thresholds
    for name in run.skipped:
        say(f"skipped {name}: cannot be read", err=True)
    if run.fitted is None:
        say(f"the same settings and images made this run at {manifest.created_at}", err=True)
    else:
        seconds = sum(run.seconds.values())
        say(f"fitted on {manifest.fitted_on.fit_count} images in {seconds:.1f} s", err=True)
    say(f"image threshold {thresholds.image.describe()}", err=True)
    say(f"pixel threshold {(thresholds.zones or thresholds.pixel).describe()}", err=True)
    if (thresholds.image.false_alarm_rate or 0) > WEAK_PROMISE:
        say(
            "hint: few images or groups of them set these thresholds, so the promise is weak; more good images make it"
            " stronger",
            err=True,
        )
    say(str(run.folder.path))
