"""The whole of what an engineer chooses."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import (
    BeforeValidator,
    Field,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from kizu.bundles.manifest import PresetRecord
from kizu.core.config import Config
from kizu.core.errors import ConfigError
from kizu.decision.calibration import CalibrationConfig
from kizu.detectors.base import DetectorConfig, EmbeddingConfig
from kizu.detectors.patchcore import PatchcoreConfig
from kizu.detectors.registry import detector_config
from kizu.imaging.placement import PlacementConfig
from kizu.pipeline.presets import changes, find_preset, under

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

    preset: str | None = None
    """A published method (`kizu presets`) whose settings hold where the other sections say nothing."""
    detector: Annotated[SerializeAsAny[DetectorConfig], BeforeValidator(detector_config)] = PatchcoreConfig()
    embedding: EmbeddingConfig = EmbeddingConfig()
    placement: PlacementConfig = PlacementConfig()
    calibration: CalibrationConfig = CalibrationConfig()
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="before")
    @classmethod
    def _under_the_preset(cls, values: Any) -> Any:
        name = values.get("preset") if isinstance(values, Mapping) else None
        return values if name is None else under(str(name), values)

    @model_serializer(mode="wrap")
    def _without_none(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """As it was written before there were presets, where there is none."""
        values: dict[str, Any] = dump(self)
        return {key: value for key, value in values.items() if key != "preset" or value is not None}

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
        """A copy with another method, which starts from its defaults and is no preset's, or other settings of the
        same."""
        kind = kind or self.detector.kind
        is_same = kind == self.detector.kind
        kept = self.detector.model_dump(mode="json") if is_same else {}
        detector = detector_config({**kept, "kind": kind, **settings}, where=f"detector {kind}")
        return self.model_copy(update={"detector": detector, "preset": self.preset if is_same else None})

    def told_preset(self) -> PresetRecord | None:
        """Which preset this is, where it is not what was published, and what of it was changed."""
        if self.preset is None:
            return None
        found = find_preset(self.preset)
        by_itself = PipelineConfig(preset=self.preset)
        return PresetRecord(
            name=self.preset,
            source=found.source,
            deviations=found.deviations,
            changed=tuple(changes(self.model_dump(mode="json"), by_itself.model_dump(mode="json"))),
        )
