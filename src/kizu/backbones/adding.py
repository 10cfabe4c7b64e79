"""From a file of weights, or of a graph, to a backbone that has a name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kizu.backbones.added import FILE, AddedSpec, ensure_free, keep
from kizu.backbones.architectures import draw, layers_of, normalisation_of, recognise
from kizu.backbones.base import BackboneSpec, Triple, default_layers
from kizu.backbones.session import GraphSession
from kizu.backbones.state_dict import format_of, read_weights
from kizu.backbones.store import read_file
from kizu.core.errors import BackboneError, ConfigError
from kizu.core.hashing import hash_file
from kizu.core.randomness import rng_for

if TYPE_CHECKING:
    import onnx

UNKNOWN = "unknown"
_PROBE_HW = (224, 224)


@dataclass(frozen=True, slots=True)
class Told:
    """What the user says of a file; None: what the file says, or what is usual."""

    architecture: str | None = None
    licence: str | None = None
    source: str | None = None
    mean: Triple | None = None
    std: Triple | None = None


def add_file(
    path: Path, name: str, told: Told = Told(), *, on_note: Callable[[str], None] | None = None
) -> AddedSpec:
    """Add the weights or the ONNX graph at `path` as the backbone `name`, after running it once.

    Raises `ConfigError` for a name that is taken or can be none, for an architecture that is not known, or that is
    given for a graph; `BackboneError` for a file that cannot be used; `OutputError` where it cannot be kept.
    """
    ensure_free(name)
    _ensure_spread(told)
    if _is_graph(path):
        if told.architecture is not None:
            raise ConfigError(f"{path} is a graph, which is an architecture itself", hint="leave --arch out")
        backbone = read_file(path)
        spec, model, architecture = backbone.spec, backbone.model, FILE
    else:
        weights = read_weights(path, on_note=on_note)
        if told.architecture is None:
            architecture, model = recognise(weights)
            if on_note is not None:
                on_note(f"{path}: the tensors are those of {architecture}")
        else:
            architecture, model = told.architecture, draw(told.architecture, weights)
        spec = _spec_of_weights(path, architecture)
    spec = replace(
        spec,
        name=name,
        licence=told.licence or spec.licence,
        source=told.source or path.name,
        mean=told.mean or spec.mean,
        std=told.std or spec.std,
    )
    _try_out(model, spec, path)
    _note_in(model, spec)
    return keep(model, spec, architecture)


def _is_graph(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            start = stream.read(64)
    except OSError as error:
        raise BackboneError(f"cannot read {path}: {error.strerror or error}") from error
    return path.suffix == ".onnx" or (
        format_of(start) == "onnx" and start[:1] == b"\x08"
    )  # ir_version comes first


def _spec_of_weights(path: Path, architecture: str) -> BackboneSpec:
    layers = layers_of(architecture)
    mean, std = normalisation_of(architecture)
    return BackboneSpec(
        name=path.stem,
        layers=layers,
        default_layers=default_layers(layers),
        mean=mean,
        std=std,
        licence=UNKNOWN,
        source=path.name,
        weights_sha256=hash_file(path),
    )


def _ensure_spread(told: Told) -> None:
    if not np.isfinite([*(told.mean or ()), *(told.std or ())]).all():
        raise ConfigError("mean and deviation must be finite numbers", hint="give them on the 0..1 scale")
    if told.std is not None and min(told.std) <= 0:
        raise ConfigError(f"the deviation must be positive, got {told.std}", hint="give it on the 0..1 scale")


def _try_out(model: onnx.ModelProto, spec: BackboneSpec, path: Path) -> None:
    """Run the network on one image of noise: each layer must come out as it is said to be, in finite numbers."""
    session = GraphSession(model)
    ((port, shape),) = session.inputs.items()
    height, width = (side or probe for side, probe in zip(shape[2:], _PROBE_HW, strict=True))
    noise = rng_for(0, "backbone probe").standard_normal((1, 3, height, width)).astype(np.float32)
    found = session.run({port: noise})
    for layer in spec.layers:
        expected = (1, layer.dim, round(height / layer.stride), round(width / layer.stride))
        values = found[layer.name]
        if values.shape != expected:
            raise BackboneError(f"{path}: {layer.name} gives {values.shape}, not {expected}, for one image")
        if not np.isfinite(values).all():
            raise BackboneError(
                f"{path}: {layer.name} gives numbers that are not finite", hint="the weights may be damaged"
            )
        if np.ptp(values) == 0:
            raise BackboneError(
                f"{path}: {layer.name} gives one value everywhere, which tells nothing of an image",
                hint="the weights may be damaged, or those of an untrained network",
            )


def _note_in(model: onnx.ModelProto, spec: BackboneSpec) -> None:
    """Write into the graph what a graph on its own must say."""
    from onnx import helper

    notes = {entry.key: entry.value for entry in model.metadata_props}
    del model.metadata_props[:]
    facts = {
        "kizu.mean": json.dumps(spec.mean),
        "kizu.std": json.dumps(spec.std),
        "kizu.licence": spec.licence,
        "kizu.source": spec.source,
    }
    helper.set_model_props(model, {**notes, **facts})
