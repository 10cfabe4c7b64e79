"""Find a backbone by its name or by the path of an ONNX file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kizu.backbones import BACKBONES, Entry
from kizu.backbones.added import added_names, is_added, load_added, read_added
from kizu.backbones.base import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Backbone,
    BackboneSpec,
    Layer,
    Triple,
    default_layers,
)
from kizu.backbones.cache import load_cached
from kizu.backbones.publishers import fetchable
from kizu.backbones.session import GraphSession
from kizu.backbones.tuned import find_graph, is_tuned, read_provenance
from kizu.core.errors import BackboneError, ConfigError
from kizu.core.hashing import hash_file, hash_value
from kizu.core.registry import look_up

if TYPE_CHECKING:
    import onnx

_PROBE_SIDE_PX = 224
"""Side of the image that finds the layers of a file: every stride and patch size in use divides it."""


_PROBED: dict[str, tuple[Layer, ...]] = {}
"""The layers of files that were run in this process, by hash: a fit asks for a file's facts, then for itself."""

_OLDEST_OPSET = 13
"""The embedder's own nodes are added in the file's opset, and need this one."""


def load_backbone(name_or_path: str) -> Backbone:
    """The backbone of that name in `BACKBONES`, the one that was added under it, the ONNX file of that path (it ends in
    .onnx), or what `kizu tune` made in the folder of that path.

    A file has one input (N, 3, H, W) float32, and its outputs of four axes (N, dim, h, w) are its layers, the one
    nearest to the input first. Its metadata may say `kizu.mean` and `kizu.std` (JSON lists of three numbers on the 0..1
    scale; ImageNet's otherwise) and `kizu.licence`.

    Raises `ConfigError` for an unknown name, `MissingExtraError` for weights that are not installed and
    `BackboneError` for a file or weights that cannot be used.
    """
    if name_or_path.endswith(".onnx"):
        return read_file(Path(name_or_path))
    if is_tuned(name_or_path):
        return _read_tuned(name_or_path)
    entry = _look_up(name_or_path)
    if entry is None:
        return load_added(name_or_path)
    spec = entry.spec(name_or_path)
    return Backbone(spec, load_cached(spec.name, spec.weights_sha256, lambda: entry.build(name_or_path)))


def load_spec(name_or_path: str) -> BackboneSpec:
    """The facts alone; of a name without its weights. Raises as `load_backbone`."""
    if name_or_path.endswith(".onnx"):
        return read_file(Path(name_or_path)).spec
    if is_tuned(name_or_path):
        return _read_tuned(name_or_path).spec
    entry = _look_up(name_or_path)
    return read_added(name_or_path).as_spec() if entry is None else entry.spec(name_or_path)


def _read_tuned(folder: str) -> Backbone:
    backbone = read_file(find_graph(folder))
    made = read_provenance(Path(folder))
    name = f"{made.base}, tuned on {made.placement} ({Path(folder).name})"
    return replace(backbone, spec=replace(backbone.spec, name=name))


def _look_up(name: str) -> Entry | None:
    """The entry of that name in `BACKBONES`; None for one that was added. Raises `ConfigError` for an unknown name."""
    if name in BACKBONES:
        return BACKBONES[name]
    if is_added(name):
        return None
    if name in fetchable():
        raise ConfigError(
            f"the backbone {name!r} is not on this machine",
            hint=f"kizu backbones fetch {name}, or kizu backbones add FILE --as {name}",
        )
    return look_up({**dict.fromkeys(added_names()), **BACKBONES}, name, noun="backbone")


def read_file(path: Path) -> Backbone:
    """The backbone in the ONNX file at `path`. Errors as for `load_backbone`."""
    model = _read(path)
    if len(model.graph.input) != 1:
        names = [value.name for value in model.graph.input]
        raise BackboneError(f"{path} must have one input, the image; it has {names}")
    notes = {entry.key: entry.value for entry in model.metadata_props}
    digest = _weights_hash(path)
    layers = _PROBED[digest] = _PROBED.get(digest) or _layers(model, path)
    spec = BackboneSpec(
        name=path.stem,
        layers=layers,
        default_layers=default_layers(layers),
        mean=_triple(notes, "kizu.mean", IMAGENET_MEAN, path),
        std=_triple(notes, "kizu.std", IMAGENET_STD, path),
        licence=notes.get("kizu.licence", "unknown"),
        source=str(path),
        weights_sha256=digest,
    )
    return Backbone(spec, model)


def _read(path: Path) -> onnx.ModelProto:
    """The model with its weights inside it, without local functions, and with nothing but images as input."""
    import onnx
    from google.protobuf.message import DecodeError
    from onnx import inliner

    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except OSError as error:
        raise BackboneError(f"cannot read {path}: {error.strerror or error}") from error
    except (DecodeError, onnx.checker.ValidationError, UnicodeDecodeError) as error:
        raise BackboneError(f"{path} is not a valid ONNX file: {error}") from error
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    if opset < _OLDEST_OPSET:
        raise BackboneError(
            f"{path} is written in opset {opset}", hint=f"export it again with opset {_OLDEST_OPSET} or later"
        )
    model = inliner.inline_local_functions(model)
    weights = {tensor.name for tensor in model.graph.initializer}
    images = [value for value in model.graph.input if value.name not in weights]  # old exporters list weights
    del model.graph.input[:]
    model.graph.input.extend(images)
    return model


def _weights_hash(path: Path) -> str:
    """The file's own hash; where it keeps weights in files beside it, the hash of all their hashes."""
    import onnx

    graph = onnx.load(path, load_external_data=False).graph
    notes = [note for tensor in graph.initializer for note in tensor.external_data]
    beside = sorted({note.value for note in notes if note.key == "location"})
    hashes = [hash_file(path), *(hash_file(path.parent / name) for name in beside)]
    return hash_value(hashes) if beside else hashes[0]


def _layers(model: onnx.ModelProto, path: Path) -> tuple[Layer, ...]:
    """Names, strides and dims of the outputs, by running one black image."""
    session = GraphSession(model)
    ((name, shape),) = session.inputs.items()
    if len(shape) != 4 or shape[1] not in (3, None):
        raise BackboneError(f"the input of {path} must be (N, 3, H, W), it is {shape}")
    height, width = (side or _PROBE_SIDE_PX for side in shape[2:])
    found = session.run({name: np.zeros((1, 3, height, width), np.float32)})
    layers = [
        Layer(output, stride=round(height / values.shape[2]), dim=values.shape[1])
        for output, values in found.items()
        if values.ndim == 4
    ]
    if not layers:
        raise BackboneError(
            f"{path} offers no feature map (N, D, h, w); its outputs are {sorted(found)}",
            hint="export the network with its intermediate feature maps as named outputs",
        )
    return tuple(layers)


def _triple(notes: dict[str, str], key: str, default: Triple, path: Path) -> Triple:
    if key not in notes:
        return default
    try:
        red, green, blue = (float(value) for value in json.loads(notes[key]))
    except (ValueError, TypeError) as error:
        raise BackboneError(f"{path}: {key} must be a list of three numbers, got {notes[key]!r}") from error
    return red, green, blue
