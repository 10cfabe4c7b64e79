"""From options to flags: a command's parameters that are dataclasses become one flag for each of their fields."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

import typer

from kizu.cli.printing import say
from kizu.core.errors import ConfigError, DataError
from kizu.core.registry import did_you_mean
from kizu.tasks.options import Flag

_OLD = "__old"
_NAMED = 10
"""So many of what is there are named where a path is not."""
_METAVARS = {Path: "PATH", int: "N", float: "X", str: "TEXT", bool: " "}
"""What a value is called in the help: short, so that 80 columns hold it."""


class _One(NamedTuple):
    """One option, before it is Typer's."""

    name: str
    hint: Any
    default: Any
    panel: str


def with_flags(command: Callable[..., None]) -> Callable[..., None]:
    """The command as Typer takes it; called with flags, it is given the dataclasses they make.

    Each dataclass is a panel of the help, named by the first sentence of its docstring. An option's old names go on
    working, and are told.
    """
    hints = get_type_hints(command, include_extras=True)
    groups = {name: kind for name, kind in hints.items() if is_dataclass(kind) and isinstance(kind, type)}
    options: list[_One] = []
    for name, parameter in signature(command).parameters.items():
        if name in groups:
            options += _options_of(groups[name])
        else:
            options.append(_One(name, hints[name], parameter.default, "Options"))
    flags = {one.name: _flag_of(one.hint) for one in options}
    required = [one.name for one in options if one.default is Parameter.empty and flags[one.name].old]
    shown = [parameter for one in options for parameter in _parameters_of(one)]

    @wraps(command)
    def called(**given: Any) -> None:
        for name, flag in flags.items():
            if flag.old:
                given[name] = _newer(flag, given[name], given.pop(name + _OLD))
        for name, flag in flags.items():
            if flag.is_there:
                _look_for(given[name])
        for name in required:
            if given[name] is None:
                raise ConfigError(f"{flags[name].names[0]} is missing", hint=flags[name].help)
        made = {
            name: kind(**{field.name: given.pop(field.name) for field in fields(kind)})
            for name, kind in groups.items()
        }
        command(**made, **given)

    called.__signature__ = signature(command).replace(parameters=shown)  # type: ignore[attr-defined]
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
    return called


def examples(*lines: str) -> str:
    """What stands below a command's help, one call on each line."""
    return "\n\n".join(("Examples:", *(f"  {line}" for line in lines)))


def _look_for(value: Any) -> None:
    """Raises `DataError` for a path that is not there, saying which one may be meant."""
    for path in value if isinstance(value, list) else [value]:
        if path is None or str(path) == "-" or path.expanduser().exists():
            continue
        nearest = next(parent for parent in path.absolute().parents if parent.is_dir())
        names = sorted(entry.name for entry in nearest.iterdir() if not entry.name.startswith("."))
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        there = f"{nearest} holds {', '.join(names[:_NAMED]) or 'nothing'}{more}"
        raise DataError(f"{path} does not exist", hint=did_you_mean(path, there))


def _newer(flag: Flag, new: Any, old: Any) -> Any:
    """What the option was given, under whichever name."""
    if old is None:
        return new
    if new is not None:
        raise ConfigError(f"{flag.old[0]} is the old name of {flag.names[0]}, and both are given")
    say(
        f"note: {flag.old[0]} is called {flag.names[0]} now; the old name goes with the next release",
        err=True,
    )
    return old


def _options_of(kind: type[Any]) -> Iterator[_One]:
    hints = get_type_hints(kind, include_extras=True)
    panel = (kind.__doc__ or "").split("\n")[0].rstrip(".")
    for field in fields(kind):
        default = Parameter.empty if field.default is MISSING else field.default
        yield _One(field.name, hints[field.name], default, panel)


def _parameters_of(one: _One) -> Sequence[Parameter]:
    """The option as Typer takes it, and a hidden one for its old names."""
    flag = _flag_of(one.hint)
    kind = get_args(one.hint)[0]
    if not flag.old:
        return [_parameter(one.name, one.default, Annotated[kind, _as_typer(kind, flag, one.panel)])]
    default = None if one.default is Parameter.empty else one.default
    optional = kind if default is not None else kind | None
    hidden = typer.Option(*flag.old, hidden=True)
    return [
        _parameter(one.name, default, Annotated[optional, _as_typer(kind, flag, one.panel)]),
        _parameter(one.name + _OLD, None, Annotated[kind | None, hidden]),
    ]


def _parameter(name: str, default: Any, annotation: Any) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _flag_of(hint: Any) -> Flag:
    _, *rest = get_args(hint)
    return next(item for item in rest if isinstance(item, Flag))


def _as_typer(kind: Any, flag: Flag, panel: str) -> Any:
    """Typer's option or argument in place of our `Flag`."""
    if flag.is_argument:
        return typer.Argument(help=flag.help)
    return typer.Option(
        *flag.names,
        help=flag.help,
        min=flag.least,
        dir_okay=not flag.is_file,
        metavar=_metavar(kind),
        rich_help_panel=panel,
    )


def _metavar(kind: Any) -> str | None:
    plain = [part for part in get_args(kind) if part is not NoneType] or [kind]
    inner = get_args(plain[0])[0] if get_origin(plain[0]) is list else plain[0]
    return _METAVARS.get(inner)
