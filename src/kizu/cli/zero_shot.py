"""`kizu zero-shot`"""

import typer

from kizu.cli import exits
from kizu.cli.options import Shown, start_work
from kizu.cli.printing import say
from kizu.tasks.lab_options import RankOptions
from kizu.tasks.options import WorkOptions

SHOWN = 10


def zero_shot(options: RankOptions, using: WorkOptions, shown: Shown) -> None:
    """Rank a folder of pictures without one good image: which are unlike the others, and where.

    The pictures judge each other, so it needs a batch, most of it good. No threshold is set and nothing is promised.
    """
    from kizu.tasks.rank import rank

    with start_work(shown, using) as work:
        found = rank(options, work)
    for number, item in enumerate(found.ranked[:SHOWN], start=1):
        say(f"{number:4}  {item.score:.4g}  {item.sample.path}")
    say(
        f"wrote {options.output_dir}: {len(found.ranked)} images ranked, {len(found.left_out.reasons)} unreadable",
        err=True,
    )
    if found.left_out.reasons:
        for sample, reason in found.left_out.reasons.items():
            say(f"unreadable: {sample.id} ({reason})", err=True)
        raise typer.Exit(exits.SOME_UNREAD)
