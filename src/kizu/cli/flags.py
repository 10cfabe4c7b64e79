"""From options to flags: a command's parameters that are dataclasses become one flag for each of their fields."""

from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import wraps
from inspect import Parameter, signature
from typing import Annotated, Any, get_args, get_type_hints

import typer

from kizu.tasks.options import Flag


def with_flags(command: Callable[..., None]) -> Callable[..., None]:
    """The command as Typer takes it; called with flags, it is given the dataclasses they make."""
    hints = get_type_hints(command, include_extras=True)
    groups = {name: kind for name, kind in hints.items() if is_dataclass(kind) and isinstance(kind, type)}
    shown: list[Parameter] = []
    for name, parameter in signature(command).parameters.items():
        if name in groups:
            shown += _flags_of(groups[name])
        else:
            shown.append(parameter.replace(kind=Parameter.KEYWORD_ONLY, annotation=_as_typer(hints[name])))

    @wraps(command)
    def called(**given: Any) -> None:
        made = {
            name: kind(**{field.name: given.pop(field.name) for field in fields(kind)})
            for name, kind in groups.items()
        }
        command(**made, **given)

    called.__signature__ = signature(command).replace(parameters=shown)  # type: ignore[attr-defined]
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
    return called


def _flags_of(kind: type[Any]) -> list[Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    return [
        Parameter(
            field.name,
            Parameter.KEYWORD_ONLY,
            default=Parameter.empty if field.default is MISSING else field.default,
            annotation=_as_typer(hints[field.name]),
        )
        for field in fields(kind)
    ]


def _as_typer(hint: Any) -> Any:
    """The same type with Typer's option or argument in place of our `Flag`."""
    kind, *rest = get_args(hint)
    flag = next(item for item in rest if isinstance(item, Flag))
    if flag.is_argument:
        return Annotated[kind, typer.Argument(help=flag.help)]
    return Annotated[
        kind, typer.Option(*flag.names, help=flag.help, min=flag.least, dir_okay=not flag.is_file)
    ]
