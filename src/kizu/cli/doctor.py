"""`kizu doctor` and `kizu init`"""

import json

import typer

from kizu.cli import exits
from kizu.cli.options import Shown, ShownAs, start_work
from kizu.cli.printing import say, say_text
from kizu.tasks.options import CoreOptions
from kizu.tasks.set_options import InitOptions


def doctor(using: CoreOptions, shown: ShownAs) -> None:
    """Look over machine, versions, memory, cache and weights, and try a small job in each runtime.

    Exit code 2 when something is wrong.
    """
    from kizu.backbones.cache import cache_root
    from kizu.tasks.doctor import diagnose

    with start_work(shown, using) as work:
        found = diagnose(cache_root(), work)
    if shown.as_json:
        rows = {one.name: {"said": one.said, "is_well": one.is_well} for one in found.findings}
        say_text(json.dumps(rows, indent=2))
    else:
        width = max(len(one.name) for one in found.findings)
        say(
            *(
                f"{one.name.ljust(width)}  {'' if one.is_well else 'WRONG: '}{one.said}"
                for one in found.findings
            )
        )
    if not found.is_well:
        raise typer.Exit(exits.USER_ERROR)


def init(options: InitOptions, shown: Shown) -> None:
    """Look at a folder and write a commented YAML for it, for kizu train --config. Prints the file."""
    from kizu.tasks.init import write_config

    with start_work(shown) as work:
        made = write_config(options, work)
    say(f"{made.told}", f"kizu train --config {made.path}", err=True)
    say(str(made.path))
