"""Kizu learns what a good part looks like, says OK or NG for each new picture, and shows where the flaw is."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from kizu.api import fit
    from kizu.bundles.manifest import Bundle
    from kizu.bundles.store import load, save
    from kizu.core.errors import KizuError
    from kizu.core.work import Work
    from kizu.decision.policy import PolicyConfig
    from kizu.decision.regions import Region
    from kizu.decision.thresholds import Threshold
    from kizu.detectors.padim import PadimConfig
    from kizu.detectors.patchcore import PatchcoreConfig
    from kizu.imaging.codec import decode
    from kizu.inspection.inspector import Inspection, Inspector
    from kizu.inspection.shelf import Shelf
    from kizu.pipeline.config import PipelineConfig

# Each name is imported when it is first used, so that `kizu --help` does not wait for NumPy.
_HOMES = {
    "Bundle": "kizu.bundles.manifest",
    "Inspection": "kizu.inspection.inspector",
    "Inspector": "kizu.inspection.inspector",
    "KizuError": "kizu.core.errors",
    "PadimConfig": "kizu.detectors.padim",
    "PatchcoreConfig": "kizu.detectors.patchcore",
    "PipelineConfig": "kizu.pipeline.config",
    "PolicyConfig": "kizu.decision.policy",
    "Region": "kizu.decision.regions",
    "Shelf": "kizu.inspection.shelf",
    "Threshold": "kizu.decision.thresholds",
    "Work": "kizu.core.work",
    "decode": "kizu.imaging.codec",
    "fit": "kizu.api",
    "load": "kizu.bundles.store",
    "save": "kizu.bundles.store",
}

__all__ = [
    "Bundle",
    "Inspection",
    "Inspector",
    "KizuError",
    "PadimConfig",
    "PatchcoreConfig",
    "PipelineConfig",
    "PolicyConfig",
    "Region",
    "Shelf",
    "Threshold",
    "Work",
    "decode",
    "fit",
    "load",
    "save",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kizu' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
