"""Which published methods there are as settings, and whether their backbones are here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kizu.backbones.store import load_spec
from kizu.core.errors import KizuError
from kizu.pipeline.presets import PRESETS, Preset


@dataclass(frozen=True, slots=True)
class ListedPreset:
    """A preset, and what it lacks on this machine."""

    name: str
    preset: Preset
    missing: str | None
    """In words, of its backbone; None: that is here."""

    def settings(self) -> str:
        """All in one line."""
        return "; ".join(
            f"{section}: {', '.join(f'{key} {_told(value)}' for key, value in values.items())}"
            for section, values in self.preset.sections.items()
        )

    def row(self) -> Mapping[str, Any]:
        """As JSON has it."""
        return {
            "name": self.name,
            "source": self.preset.source,
            **self.preset.sections,
            "deviations": self.preset.deviations,
            "missing": self.missing,
        }


def list_presets() -> list[ListedPreset]:
    """All of them, in the order of the table."""
    return [ListedPreset(name, preset, _missing(preset)) for name, preset in PRESETS.items()]


def _missing(preset: Preset) -> str | None:
    try:
        load_spec(preset.embedding["backbone"])
    except KizuError as error:
        return error.message if error.hint is None else f"{error.message}: {error.hint}"
    return None


def _told(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, tuple):
        return ("x" if isinstance(value[0], int) else "+").join(map(str, value))
    return str(value)
