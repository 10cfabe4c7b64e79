"""What a search without labels tries: looks (which network, which layers, which size) and methods with settings."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kizu.backbones import BACKBONES
from kizu.backbones.base import BackboneSpec
from kizu.backbones.store import load_backbone, load_spec
from kizu.core.errors import ConfigError, MissingExtraError
from kizu.core.types import HW
from kizu.detectors import DETECTORS
from kizu.detectors.base import EmbeddingConfig
from kizu.detectors.registry import method
from kizu.imaging.placement import PlacementConfig
from kizu.imaging.sizing import fit_size, kept_aspect, told_size
from kizu.pipeline.config import PipelineConfig
from kizu.pipeline.embedding import layer_names
from kizu.pipeline.placing import strides_of

SQUARES = (192, 256, 320, 384, 512)
"""Pixels of these squares, at the product's shape, beside the size that the default has."""
NOT_FOR_USE = "tiny"
"""A backbone that is tried where it is named, only."""


@dataclass(frozen=True, slots=True)
class Look:
    """What of a picture a method sees: its features are computed once and shared by methods."""

    embedding: EmbeddingConfig
    """With its layers named."""
    placement: PlacementConfig

    @property
    def name(self) -> str:
        """Network, layers, size."""
        layers = "+".join(self.embedding.layers or ())
        size = told_size(self.placement.image_size)
        return f"{self.embedding.backbone} {layers} {size}"


@dataclass(frozen=True, slots=True)
class Contender:
    """One whole pipeline that may be the answer."""

    look: Look
    config: PipelineConfig
    settings: Mapping[str, Any]
    """Of the method, where they are not its own defaults."""
    departures: int = 0
    """In how many of network, layers, size and method it is not the default: nearer ones are tried first."""

    @property
    def name(self) -> str:
        """Method, settings, look."""
        told = [f"{key} {value}" for key, value in self.settings.items()]
        return ", ".join([self.config.detector.kind, *told, self.look.name])

    def with_settings(self, settings: Mapping[str, Any]) -> "Contender":
        """The same method with other settings."""
        config = self.config.with_detector(self.config.detector.kind, settings)
        return replace(self, config=config, settings=settings)


def installed_backbones(base: str, named: Sequence[str] | None = None) -> tuple[list[str], dict[str, str]]:
    """Those that can be opened, the default's first, and why others cannot. `named`: these and no others."""
    wanted = named or [base, *(name for name in BACKBONES if name not in (base, NOT_FOR_USE))]
    there, absent = [], {}
    for name in dict.fromkeys(wanted):
        try:
            load_backbone(name)
        except MissingExtraError as error:
            absent[name] = error.hint or error.message
        else:
            there.append(name)
    if not there:
        raise ConfigError("none of these backbones is installed", hint="; ".join(absent.values()))
    return there, absent


def layer_sets(spec: BackboneSpec) -> list[tuple[str, ...]]:
    """The backbone's own choice; with the last layer of the next finer stride; and each of its own by itself."""
    own = spec.default_layers
    finest = spec.choose(own)[0].stride
    finer = {layer.stride: layer.name for layer in spec.layers if layer.stride < finest}
    sets = [own]
    if finer:
        sets.append((finer[max(finer)], *own))
    if len(own) > 1:
        sets += [(name,) for name in own]
    return sets


def list_settings(kind: str) -> list[Mapping[str, Any]]:
    """What a method offers to try of its own, its defaults first."""
    offered = method(kind)
    found: list[Mapping[str, Any]] = [{}]
    for settings in (
        *(candidate.detector for candidate in offered.candidates),
        *(design.get("detector", {}) for design in offered.designs),
    ):
        if settings not in found:
            found.append(settings)
    return found


def list_methods() -> list[str]:
    """Those that offer candidates, the preferred ones first."""
    offering = [kind for kind in DETECTORS if method(kind).candidates]
    return sorted(offering, key=lambda kind: min(c.preference for c in method(kind).candidates))


def list_contenders(
    base: PipelineConfig, backbones: Sequence[str], pictures: Sequence[HW], squares: Sequence[int] = SQUARES
) -> list[Contender]:
    """Every look with every method as it comes, those nearest to `base` first. `base` has its size; `pictures`: (H, W)
    of some."""
    looks = sorted(_looks(base, backbones, pictures, squares), key=lambda item: item[0])
    found: list[Contender] = []
    for departures, look in looks:
        for kind in list_methods():
            other = kind != base.detector.kind
            config = base.with_detector(kind, {}) if other else base
            config = config.model_copy(update={"embedding": look.embedding, "placement": look.placement})
            found.append(Contender(look, config, {}, departures + other))
    return sorted(found, key=lambda one: one.departures)


def default_contender(base: PipelineConfig) -> Contender:
    """`base` itself, with its layers named."""
    embedding = _with_layers(base.embedding)
    config = base.model_copy(update={"embedding": embedding})
    return Contender(Look(embedding, base.placement), config, {})


def _looks(
    base: PipelineConfig, backbones: Sequence[str], pictures: Sequence[HW], squares: Sequence[int]
) -> Iterator[tuple[int, Look]]:
    own = _with_layers(base.embedding)
    aspect = kept_aspect(pictures)
    for backbone in backbones:
        for layers in layer_sets(load_spec(backbone)):
            embedding = own.model_copy(update={"backbone": backbone, "layers": layers})
            step = math.lcm(*strides_of(embedding))
            sizes = (
                [base.placement.image_size] if all(s % step == 0 for s in base.placement.image_size) else []
            )
            sizes += [fit_size(aspect, side**2, step) for side in squares if side >= 2 * step]
            for size in dict.fromkeys(sizes):
                plain = {"image_size": size, "resize": None, "tile_overlap": None, "pixels": None}
                placement = base.placement.model_copy(update=plain)
                first = layers == (
                    own.layers if backbone == own.backbone else load_spec(backbone).default_layers
                )
                departures = (backbone != own.backbone) + (not first) + (size != base.placement.image_size)
                yield departures, Look(embedding, placement)


def _with_layers(embedding: EmbeddingConfig) -> EmbeddingConfig:
    layers = layer_names(embedding, load_spec(embedding.backbone))
    return embedding.model_copy(update={"layers": layers})
