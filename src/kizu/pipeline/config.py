"""The whole of what an engineer chooses."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import BeforeValidator, Field, SerializeAsAny

from kizu.core.config import Config
from kizu.core.errors import ConfigError
from kizu.decision.calibration import CalibrationConfig
from kizu.detectors.base import DetectorConfig, EmbeddingConfig
from kizu.detectors.patchcore import PatchcoreConfig
from kizu.detectors.registry import detector_config
from kizu.imaging.placement import PlacementConfig

_NO_SUCH_VALUE = (ValueError, TypeError, AttributeError, LookupError, RecursionError)
"""What PyYAML lets through: no UTF-8, no such day, `!!bool maybe`, `!!timestamp x`, too deep."""


def read_yaml(path: Path) -> Any:
    """What a YAML file holds; None of an empty one. Raises `ConfigError` naming the file."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, *_NO_SUCH_VALUE) as error:
        raise ConfigError(f"{path} is not YAML: {error}") from error


def drop_sizes(placement: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """A placement without what `settings` overrule: pixels by a size, a size by pixels."""
    overruled = {"image_size", "resize"} if settings.get("pixels") is not None else {"pixels"}
    return {key: value for key, value in placement.items() if key not in overruled}


class PipelineConfig(Config):
    """One pipeline: everything that a number depends on, besides the data."""

    detector: Annotated[SerializeAsAny[DetectorConfig], BeforeValidator(detector_config)] = PatchcoreConfig()
    embedding: EmbeddingConfig = EmbeddingConfig()
    placement: PlacementConfig = PlacementConfig()
    calibration: CalibrationConfig = CalibrationConfig()
    seed: Annotated[int, Field(ge=0)] = 0

    @classmethod
    def read(cls, path: Path) -> Self:
        """From a YAML file. Raises `ConfigError` naming the file and the key."""
        return cls.parse(read_yaml(path) or {}, where=str(path))

    def to_yaml(self) -> str:
        """What `read` takes back."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)

    def changed(
        self, sections: Mapping[str, Mapping[str, Any]], *, seed: int | None = None, where: str
    ) -> Self:
        """A copy with some keys of some sections replaced, checked like a file. `where` names the source."""
        values = self.model_dump(mode="json")
        for section, settings in sections.items():
            if section == "placement" and settings.keys() & {"image_size", "resize", "pixels"}:
                values[section] = drop_sizes(values[section], settings)
            values[section].update(settings)
        if seed is not None:
            values["seed"] = seed
        return self.parse(values, where=where)

    def with_detector(self, kind: str | None, settings: Mapping[str, Any]) -> Self:
        """A copy with another method, or other settings of the same; a new method starts from its defaults."""
        kind = kind or self.detector.kind
        kept = self.detector.model_dump(mode="json") if kind == self.detector.kind else {}
        detector = detector_config({**kept, "kind": kind, **settings}, where=f"detector {kind}")
        return self.model_copy(update={"detector": detector})
