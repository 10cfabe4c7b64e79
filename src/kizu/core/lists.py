"""Several names in one text, as flags and settings give them."""

from kizu.core.errors import ConfigError


def comma_separated(text: str, *, where: str) -> tuple[str, ...]:
    """ "a, b" -> ("a", "b"): blanks round a name do not count.

    Raises `ConfigError` for an empty name, and for one that is given twice. `where` names the source ("--methods").
    """
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise ConfigError(
            f"{where} {text!r}: a name is empty", hint="give names with commas between them: a,b"
        )
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(f"{where} {text!r} names {twice!r} twice")
    return names
