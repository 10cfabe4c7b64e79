"""All that is on a shelf at one moment, and a look at what it is now."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from kizu.core.errors import ConfigError, KizuError
from kizu.inspection.shelf_models import (
    Entry,
    Kind,
    Problem,
    find_models,
    name_apart,
    read_entries,
    read_mark,
)
from kizu.pipeline.vectors import vector_maker

Changing = Callable[[Sequence[Entry], Sequence[Entry]], None]
"""Called with what was at a path and what takes its place; what it raises leaves the old there."""


@dataclass(frozen=True, slots=True)
class Found:
    """What lies at one path."""

    kind: Kind
    mark: object
    """Another one: something else lies there."""
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Contents:
    """Another moment has another one, so that who began with this one ends with it."""

    found: Mapping[Path, Found] = field(default_factory=dict)
    """By path."""
    entries: Mapping[str, Entry] = field(default_factory=dict)
    """By name, in the order of the paths."""
    problems: tuple[Problem, ...] = ()

    def find(self, name: str) -> Entry:
        """By its name; by its category, or category@run, where one alone has that. Raises `ConfigError`."""
        if name in self.entries:
            return self.entries[name]
        alike = [
            one
            for one, entry in self.entries.items()
            if name in (entry.model.category, f"{entry.model.category}@{entry.model.run_id}")
        ]
        if len(alike) == 1:
            return self.entries[alike[0]]
        if alike:
            raise ConfigError(
                f"{len(alike)} models are called {name!r}", hint=f"name one: {', '.join(alike)}"
            )
        near = get_close_matches(name, self.entries, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(self.entries)}"
        raise ConfigError(f"no model on the shelf is called {name!r}", hint=hint)

    def only(self) -> Entry | None:
        """The model, where there is but one and a picture is not asked whose it is."""
        entries = list(self.entries.values())
        return entries[0] if len(entries) == 1 and entries[0].references is None else None

    def looked_at_again(
        self, paths: Sequence[Path], runtime: str, changing: Changing, *, one_of_each: bool = False
    ) -> "Contents":
        """What lies at `paths` now. What cannot be taken leaves there what was, and becomes a problem.

        `one_of_each`: a model of a category that another one has already is such a problem too; of several new ones of
        one category none is taken.
        """
        found: dict[Path, Found] = {}
        problems: list[Problem] = []
        for path in paths:
            try:
                places = list(find_models([path]))
            except (KizuError, OSError) as error:
                problems.append(_problem(path, error))
                places = [(old, one.kind) for old, one in self.found.items() if old.is_relative_to(path)]
            for place, kind in places:
                if any(place.resolve() == other.resolve() for other in found):
                    continue
                old = self.found.get(place)
                try:
                    found[place] = _take(place, kind, old, runtime, changing)
                except (KizuError, OSError) as error:
                    problems.append(_problem(place, error))
                    if old is not None:
                        found[place] = old
        doubles = self._doubles(found) if one_of_each else {}
        taken = [entry for path, one in found.items() if path not in doubles for entry in one.entries]
        return Contents(found, name_apart(taken), (*problems, *doubles.values()))

    def _doubles(self, found: Mapping[Path, Found]) -> dict[Path, Problem]:
        """By path: what is of a category that something else is of; what is in use goes before what is new."""
        in_use = {entry.model.path for entry in self.entries.values()}
        of: dict[str, list[Path]] = {}
        for path, one in found.items():
            for entry in one.entries:
                of.setdefault(entry.model.category, []).append(path)
        doubles: dict[Path, Problem] = {}
        for category, paths in of.items():
            for path in paths:
                others = [other for other in paths if other != path]
                if others and path not in in_use:
                    told = f"{path} and {others[0]} both are of {category}"
                    doubles[path] = Problem(path, told, "one of them must go")
        return doubles


def _take(place: Path, kind: Kind, old: Found | None, runtime: str, changing: Changing) -> Found:
    mark = read_mark(place, kind)
    if old is not None and (old.kind, old.mark) == (kind, mark):
        return old
    entries = read_entries(place, kind, runtime, vector_maker())
    if old is not None:
        changing(old.entries, entries)
    return Found(kind, mark, entries)


def _problem(path: Path, error: KizuError | OSError) -> Problem:
    if isinstance(error, KizuError):
        return Problem(path, error.message, error.hint)
    return Problem(path, f"cannot read {path}: {error.strerror or error}")
