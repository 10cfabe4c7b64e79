"""One file that says all that an evaluation depends on, and cannot be changed unseen.

What is chosen is chosen on development categories; then it is frozen, and other categories are evaluated with it once.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from kizu.backbones.store import load_backbone
from kizu.core.config import Config
from kizu.core.errors import ConfigError
from kizu.core.files import read_json, write_json
from kizu.core.hashing import hash_value
from kizu.core.locks import locked
from kizu.core.provenance import package_versions, utc_now
from kizu.decision.standard import StandardThreshold
from kizu.pipeline.config import PipelineConfig
from kizu.protocol.dev import DevSet

SEEDS = (0, 1, 2)


class FrozenMethod(Config):
    """One pipeline and its threshold."""

    pipeline: dict[str, Any]
    """All settings, as `PipelineConfig` takes them; the seed is given by the evaluation."""
    weights_sha256: str
    threshold: StandardThreshold | None
    """From the development categories. None: the pipeline's own calibration rule alone."""

    def config(self, seed: int) -> PipelineConfig:
        """The pipeline for one seed."""
        return PipelineConfig.parse({**self.pipeline, "seed": seed}, where="frozen pipeline")


class Origin(Config):
    """Where the choices came from."""

    how: str
    """"kizu design", or what a person says."""
    dev: tuple[DevSet, ...]
    evidence: tuple[dict[str, Any], ...] = ()
    """What was tried and what it reached, best first."""


class FrozenPipeline(Config):
    """The contents of `fixed_pipeline.json`, without its hash."""

    format: Literal[1] = 1
    created_at: str
    methods: Annotated[dict[str, FrozenMethod], Field(min_length=1)]
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = SEEDS
    origin: Origin
    versions: dict[str, str]

    @field_validator("seeds")
    @classmethod
    def _different(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("the seeds must differ")
        return seeds

    @property
    def sha256(self) -> str:
        """The hash that stands for the whole file."""
        return hash_value(self.model_dump(mode="json"))


def freeze(
    pipelines: Mapping[str, PipelineConfig],
    origin: Origin,
    *,
    thresholds: Mapping[str, StandardThreshold] | None = None,
    seeds: tuple[int, ...] = SEEDS,
) -> FrozenPipeline:
    """Everything that numbers depend on, besides the data. `pipelines`: by the name that reports will show."""
    methods = {
        name: {
            "pipeline": {k: v for k, v in config.model_dump(mode="json").items() if k != "seed"},
            "weights_sha256": load_backbone(config.embedding.backbone).spec.weights_sha256,
            "threshold": (thresholds or {}).get(name),
        }
        for name, config in pipelines.items()
    }
    return FrozenPipeline.parse(
        {
            "created_at": utc_now(),
            "methods": methods,
            "seeds": seeds,
            "origin": origin,
            "versions": package_versions(),
        },
        where="freeze",
    )


def write_frozen(frozen: FrozenPipeline, path: Path) -> FrozenPipeline:
    """Write the file, whole or not at all, and return what it holds: where the same choices were frozen there before,
    that, for the call may have been killed after it. Raises `ConfigError` when something else is there: it may be in
    use; `OutputError` when it cannot be written.
    """
    with locked(path.parent):
        if path.exists():
            known = _read_same(path, frozen)
            if known is None:
                raise ConfigError(
                    f"{path} exists", hint="what is frozen is not overwritten: choose another --output"
                )
            return known
        write_json(path, {**frozen.model_dump(mode="json"), "sha256": frozen.sha256})
    return frozen


def _read_same(path: Path, frozen: FrozenPipeline) -> FrozenPipeline | None:
    """What is there, where it differs from `frozen` in its time only."""
    try:
        known = read_frozen(path)
    except ConfigError:
        return None
    return known if known.model_copy(update={"created_at": frozen.created_at}) == frozen else None


def read_frozen(path: Path) -> FrozenPipeline:
    """What `write_frozen` wrote. Raises `ConfigError` when it is missing, was changed, or needs other weights."""
    if not path.exists():
        raise ConfigError(f"there is no frozen pipeline at {path}", hint="make one with `kizu freeze`")
    content = read_json(path, hint="restore it, or make one with `kizu freeze`", raises=ConfigError)
    if "sha256" not in content:
        raise ConfigError(
            f"{path} is not a frozen pipeline: it has no hash", hint="make one with `kizu freeze`"
        )
    expected = content.pop("sha256")
    if hash_value(content) != expected:
        raise ConfigError(
            f"{path} has changed since it was frozen", hint="restore it, or freeze anew and say so"
        )
    frozen = FrozenPipeline.parse(content, where=str(path))
    for name, method in frozen.methods.items():
        backbone = method.config(frozen.seeds[0]).embedding.backbone
        found = load_backbone(backbone).spec.weights_sha256
        if found != method.weights_sha256:
            raise ConfigError(
                f"{path}: {name} was frozen with weights {method.weights_sha256[:12]} of {backbone}, here are"
                f" {found[:12]}",
                hint="install the same weights",
            )
    return frozen
