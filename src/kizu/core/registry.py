"""Look a name up in a literal table, and say what was meant when it is not there."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TypeVar

from kizu.core.errors import ConfigError

T = TypeVar("T")


def look_up(table: Mapping[str, T], name: str, *, noun: str) -> T:
    """Return `table[name]`; raise `ConfigError` naming the nearest key, or all of them.

    `noun` is what the table holds, in the singular ("detector").
    """
    if name in table:
        return table[name]
    near = get_close_matches(name, table, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"choose one of: {', '.join(sorted(table))}"
    raise ConfigError(f"unknown {noun}: {name!r}", hint=hint)
