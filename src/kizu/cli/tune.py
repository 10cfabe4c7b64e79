"""`kizu tune`"""

from kizu.cli.options import Shown, start_work
from kizu.cli.printing import say
from kizu.tasks.options import CoreOptions, DataOptions
from kizu.tasks.tune_options import TuneOptions


def tune(data: DataOptions, options: TuneOptions, using: CoreOptions, shown: Shown) -> None:
    """Adapt a backbone to one product: low-rank adapters, trained on flaws that are painted into good images.

    Needs the extra kizu[tune]; what it makes does not. Run it again after a stop and it goes on. Prints the folder, for
    kizu train --backbone. Whether a tuned backbone is better is for a test set to say (docs/tuning.md).
    """
    from kizu.tasks.tune import tune

    with start_work(shown, using) as work:
        done = tune(data, options, work)
    losses = done.made.validation_losses
    say(
        f"{done.made.epochs} epochs on {len(done.made.images)} images; loss on validation {losses[0]:.4f} ->"
        f" {min(losses):.4f}",
        err=True,
    )
    say(str(done.folder))
