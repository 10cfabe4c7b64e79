"""What a study consists of: one closed file, read before anything is computed."""

from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import Field, field_validator, model_validator

from kizu.core.config import Config
from kizu.core.errors import ConfigError
from kizu.core.hashing import hash_value
from kizu.data.scan import DataConfig
from kizu.data.shifts import SEVERITIES
from kizu.data.shifts.applied import Plan
from kizu.detectors.base import EmbeddingConfig
from kizu.pipeline.config import PipelineConfig, read_yaml
from kizu.study.conditions import CONDITIONS

Count = Annotated[int, Field(ge=2)]
METHODS: dict[str, dict[str, Any]] = {
    "patchcore": {"kind": "patchcore"},
    "padim": {"kind": "padim", "keep_moments": True},
    "mahalanobis": {"kind": "mahalanobis"},
}
QUICK_TRAIN, QUICK_TEST, QUICK_SEVERITY, QUICK_UPDATE = 24, 8, 3, 4


class Category(Config):
    """One product of the study."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")]
    """What the study calls it."""
    layout: str = "mvtec_ad"
    root: Path | None = None
    """Relative to the folder of the study's file, or to --data-root."""
    category: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    most_train: Count | None = None
    """So many good training images at most, drawn by the study's first seed; None: all."""
    most_test: Count | None = None
    """So many test images of each kind at most, likewise."""

    def data(self) -> DataConfig:
        """As `scan_data` takes it."""
        return DataConfig(layout=self.layout, root=self.root, category=self.category, options=self.options)


class StudyConfig(Config):
    """All that the numbers of a study depend on, besides the pictures."""

    name: str = "shift"
    data: Annotated[tuple[Category, ...], Field(min_length=1)]
    methods: Annotated[dict[str, dict[str, Any]], Field(min_length=1)] = Field(default=METHODS)
    """Settings of a detector by the name that the tables have for it; beside them `embedding` and `image_size`, where a
    method has others than the study, so that one study can hold a setting against another."""
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (42, 43, 44)
    """Of split and fit; tests are made on the first."""
    severities: Annotated[tuple[Annotated[int, Field(ge=1, le=SEVERITIES)], ...], Field(min_length=1)] = (
        1,
        3,
        5,
    )
    shift: str = "mvtec_shift"
    other_shift: str = "shift_b"
    """Met by what was fitted on `shift`, in the condition `cross`."""
    shift_seed: Annotated[int, Field(ge=0)] = 42
    """Of the pictures: the same for all seeds of the study."""
    update_counts: tuple[Annotated[int, Field(ge=1)], ...] = (5, 20)
    """Shifted images that the condition `updated` learns."""
    conditions: tuple[str, ...] = tuple(CONDITIONS)
    embedding: EmbeddingConfig = EmbeddingConfig()
    image_size: Annotated[int, Field(ge=32, le=2048)] = 256
    features_mb: Annotated[int, Field(ge=0)] = 6000
    """Features that are kept on disk while the study runs; no number depends on it."""

    @field_validator("shift", "other_shift")
    @classmethod
    def _known_shift(cls, value: str) -> str:
        try:
            Plan(value, 1)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        unknown = [name for name in self.conditions if name not in CONDITIONS]
        if unknown:
            raise ValueError(f"unknown conditions {unknown}; there are {', '.join(CONDITIONS)}")
        if "clean" not in self.conditions:
            raise ValueError("the condition clean is what all others are compared with")
        for what, names in (
            ("categories", [one.name for one in self.data]),
            ("seeds", list(self.seeds)),
            ("severities", list(self.severities)),
        ):
            if len(set(names)) < len(names):
                raise ValueError(f"two {what} are alike: {names}")
        for name in self.methods:
            if not name.replace("_", "").replace("-", "").isalnum():
                raise ValueError(f"{name!r} cannot be the name of a method: letters, digits, - and _")
            self.pipeline(name, 0)
        return self

    @classmethod
    def read(cls, path: Path, data_root: Path | None = None) -> Self:
        """From a YAML file. Raises `ConfigError` naming the file and the key."""
        config = cls.parse(read_yaml(path) or {}, where=str(path))
        base = path.parent if data_root is None else data_root
        placed = (
            one
            if one.root is None
            else one.model_copy(update={"root": (base / one.root).expanduser().resolve()})
            for one in config.data
        )
        return config.model_copy(update={"data": tuple(placed)})

    def to_yaml(self) -> str:
        """What `read` takes back."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)

    def sha256(self) -> str:
        """Of all that a number depends on."""
        values = self.model_dump(mode="json")
        del values["features_mb"]
        return hash_value(values)

    def pipeline(self, method: str, seed: int) -> PipelineConfig:
        """The pipeline of one fit. Raises `ConfigError` for settings that the method does not have."""
        settings = dict(self.methods[method])
        embedding = settings.pop("embedding", {})
        if not isinstance(embedding, dict):
            raise ConfigError(f"method {method}: embedding must hold settings, got {embedding!r}")
        return PipelineConfig.parse(
            {
                "embedding": self.embedding.model_dump(mode="json") | embedding,
                "placement": {"image_size": settings.pop("image_size", self.image_size)},
                "detector": settings,
                "seed": seed,
            },
            where=f"method {method}",
        )

    def quick(self) -> Self:
        """A rehearsal: two categories, one seed, one severity, a handful of pictures."""
        data = [
            one.model_copy(
                update={
                    "most_train": _least(one.most_train, QUICK_TRAIN),
                    "most_test": _least(one.most_test, QUICK_TEST),
                }
            )
            for one in self.data[:2]
        ]
        severity = min(self.severities, key=lambda one: abs(one - QUICK_SEVERITY))
        return self.model_copy(
            update={
                "data": tuple(data),
                "seeds": self.seeds[:1],
                "severities": (severity,),
                "update_counts": (QUICK_UPDATE,) if self.update_counts else (),
                "image_size": min(self.image_size, 128),
            }
        )


def _least(given: int | None, most: int) -> int:
    return most if given is None else min(given, most)
