"""What the environment gives: settings, and how the system writes file names."""

import os
import sys

from kizu.core.errors import ConfigError

FILE_NAME_ERRORS = sys.getfilesystemencodeerrors()
"""How plain text that holds file names is opened (`errors=`): a name that is no UTF-8 keeps its own bytes."""


def whole_number(variable: str) -> int | None:
    """The whole number in that variable; None where it is not set, or empty. Raises `ConfigError` naming it."""
    given = os.environ.get(variable, "").strip()
    if not given:
        return None
    if not given.isdecimal():
        raise ConfigError(f"{variable}={given} is not a whole number", hint="give a number, or unset it")
    return int(given)
