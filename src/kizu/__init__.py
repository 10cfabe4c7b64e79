"""Kizu learns what a good part looks like, says OK or NG for each new picture, and shows where the flaw is."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

__version__ = "0.1.0"

# Each name is imported when it is first used, so that `kizu --help` does not wait for NumPy. `__init__.pyi` is the one
# list of them, for type checkers and for us.
_STUB = (Path(__file__).parent / "__init__.pyi").read_text(encoding="utf-8")
_HOMES = {name: home for home, name in re.findall(r"^from (\S+) import (\w+) as \2$", _STUB, re.MULTILINE)}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kizu' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
