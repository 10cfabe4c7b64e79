"""Settings that the environment gives."""

import os

from kizu.core.errors import ConfigError


def whole_number(variable: str) -> int | None:
    """The whole number in that variable; None where it is not set, or empty. Raises `ConfigError` naming it."""
    given = os.environ.get(variable, "").strip()
    if not given:
        return None
    if not given.isdecimal():
        raise ConfigError(f"{variable}={given} is not a whole number", hint="give a number, or unset it")
    return int(given)
