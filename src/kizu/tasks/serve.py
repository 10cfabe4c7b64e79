"""Runs in, a service out; and the keys of those who may call it."""

import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kizu.core.errors import MissingExtraError
from kizu.core.work import Work
from kizu.tasks.serve_options import KeyRole, ServeOptions


def serve(options: ServeOptions, work: Work, on_ready: Callable[[str], None]) -> None:
    """Serve until told to stop. `on_ready`: told the address when it answers.

    Raises `ConfigError` for settings that are none, `OutputError` for a port that is taken, `MissingExtraError`.
    """
    from kizu.service.settings import read_settings

    settings = read_settings(given_flags(options), os.environ)
    try:
        from kizu.service.app import make_app
        from kizu.service.opening import open_shelf
        from kizu.service.server import address_of, listen, serve
    except ImportError as error:
        raise MissingExtraError(
            f"the service needs {error.name}", hint="pip install 'kizu[serve]'"
        ) from error
    with listen(settings) as listening:
        app = make_app(settings, open_shelf(settings, work), work)
        serve(app, settings, listening, lambda: on_ready(address_of(listening)))


def given_flags(options: ServeOptions) -> dict[str, Any]:
    """Those that were given, by the names of the settings."""
    values = {
        name: value for name, value in asdict(options).items() if value is not None and value is not False
    }
    decision = {name: values.pop(name) for name in ("roi", "ignore") if name in values}
    return {**values, "decision": decision} if decision else values


def add_key(name: str, path: Path, role: KeyRole) -> str:
    """A new key for somebody; only its hash is kept."""
    from kizu.service.keys import add_key

    return add_key(path, name, role.value)


def remove_key(name: str, path: Path) -> None:
    """Take a key back; a service that runs notices."""
    from kizu.service.keys import remove_key

    remove_key(path, name)


def list_keys(path: Path) -> list[tuple[str, str, str]]:
    """(name, role, when it was made) of each."""
    from kizu.service.keys import read_keys

    return [(key.name, key.role, key.created_at) for key in read_keys(path).keys]
