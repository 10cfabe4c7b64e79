"""The methods. A new one is a file here and a line in this table."""

from typing import Any

from kizu.core.errors import ConfigError
from kizu.core.registry import look_up
from kizu.detectors.base import Detector, DetectorConfig
from kizu.detectors.ensemble import Ensemble, EnsembleConfig
from kizu.detectors.mahalanobis import Mahalanobis, MahalanobisConfig
from kizu.detectors.padim import Padim, PadimConfig
from kizu.detectors.patch_knn import PatchKnn, PatchKnnConfig
from kizu.detectors.patchcore import Patchcore, PatchcoreConfig
from kizu.detectors.subspace import SubspaceConfig, SubspaceDetector

DETECTORS: dict[str, tuple[type[DetectorConfig], Any]] = {
    "patchcore": (PatchcoreConfig, Patchcore),
    "padim": (PadimConfig, Padim),
    "mahalanobis": (MahalanobisConfig, Mahalanobis),
    "patch_knn": (PatchKnnConfig, PatchKnn),
    "subspace": (SubspaceConfig, SubspaceDetector),
    "ensemble": (EnsembleConfig, Ensemble),
}


def detector_config(values: Any, *, where: str = "detector") -> DetectorConfig:
    """Settings of the method that `values["kind"]` names. Raises `ConfigError` for an unknown method or key."""
    if isinstance(values, DetectorConfig):
        return values
    if not isinstance(values, dict) or "kind" not in values:
        raise ConfigError(
            f"{where}: the key 'kind' is missing", hint=f"one of: {', '.join(sorted(DETECTORS))}"
        )
    config_type, _ = look_up(DETECTORS, str(values["kind"]), noun="detector")
    return config_type.parse(values, where=where)


def make_detector(config: DetectorConfig) -> Detector:
    """The method these settings are for."""
    _, detector = look_up(DETECTORS, config.kind, noun="detector")
    made: Detector = detector(config)
    return made
