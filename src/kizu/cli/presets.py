"""`kizu presets`"""

import json
from typing import Annotated

from kizu.cli.printing import say, say_text
from kizu.tasks.options import Flag


def presets(
    as_json: Annotated[bool, Flag("Print the list as JSON on stdout.", ("--json",))] = False,
) -> None:
    """List published methods as settings: `kizu train --preset NAME`, and where each is not what was published."""
    from kizu.tasks.presets import list_presets

    listed = list_presets()
    if as_json:
        say_text(json.dumps([each.row() for each in listed], indent=2))
        return
    for each in listed:
        say(f"{each.name}: {each.preset.source}")
        say(f"    {each.settings()}")
        say(*(f"    not as published: {said}" for said in each.preset.deviations))
        if each.missing:
            say(f"    {each.missing}, or train with another --backbone")
