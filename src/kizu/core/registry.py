"""Look a name up in a literal table, or a path on the disk, and say what was meant when it is not there."""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
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


def find_near(path: Path) -> Path | None:
    """Of a path that is not there, one that may be meant: up to its first missing part, as the nearest name there.

    None: there is none like it, or the path is there.
    """
    whole = path.absolute()
    for parent in reversed(whole.parents):
        part = whole.relative_to(parent).parts[0]
        if (parent / part).exists():
            continue
        try:
            beside = [entry.name for entry in parent.iterdir()]
        except OSError:
            return None
        lower = {name.lower(): name for name in beside}
        near = get_close_matches(part.lower(), lower, n=1)
        return parent / lower[near[0]] if near else None
    return None


def did_you_mean(path: Path, otherwise: str) -> str:
    """A hint for a path that is not there: the one that may be meant, else `otherwise`."""
    near = find_near(path)
    return otherwise if near is None else f"did you mean {near}?"
