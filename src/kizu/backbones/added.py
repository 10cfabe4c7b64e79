"""Backbones that the user has added: found by name like those that come with Kizu, and kept until they are removed.

<name>/graph.onnx    the network, self-contained
<name>/spec.json     what is known of it, with the graph's hash and its own
fetched.json         the hash that each address gave when something was first fetched from it
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from kizu.backbones import BACKBONES
from kizu.backbones.base import Backbone, BackboneSpec, Layer, Triple, default_layers
from kizu.core.config import Stored
from kizu.core.errors import BackboneError, ConfigError, OutputError
from kizu.core.files import new_folder, read_json, shape_as, write_bytes, write_json
from kizu.core.hashing import hash_bytes, hash_value
from kizu.core.locks import locked, locked_name
from kizu.core.parts import folder_part
from kizu.core.provenance import package_versions, utc_now

if TYPE_CHECKING:
    import onnx

FOLDER_VARIABLE = "KIZU_BACKBONES"
GRAPH = "graph.onnx"
SPEC = "spec.json"
FETCHED = "fetched.json"
FILE = "onnx"
"""The architecture of a backbone that was added as a graph."""
LARGEST_GRAPH = 2**31 - 1
"""Bytes of one ONNX file without files beside it: protobuf's limit."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_AGAIN = "remove it with kizu backbones remove {name}, and add it again"


class AddedLayer(Stored):
    """A layer as `spec.json` has it."""

    name: str
    stride: int
    dim: int


class AddedSpec(Stored):
    """`spec.json`."""

    format: Literal[1] = 1
    name: str
    architecture: str
    """Of `kizu.backbones.architectures`, or `FILE`."""
    licence: str
    source: str
    weights_sha256: str
    """Of the file that was added."""
    graph_sha256: str
    layers: tuple[AddedLayer, ...]
    mean: Triple
    std: Triple
    added_at: str = Field(default_factory=utc_now)
    versions: dict[str, str] = Field(default_factory=package_versions)

    def as_spec(self) -> BackboneSpec:
        """The facts as every backbone has them."""
        layers = tuple(Layer(layer.name, layer.stride, layer.dim) for layer in self.layers)
        return BackboneSpec(
            name=self.name,
            layers=layers,
            default_layers=default_layers(layers),
            mean=self.mean,
            std=self.std,
            licence=self.licence,
            source=self.source,
            weights_sha256=self.weights_sha256,
        )


def backbones_folder() -> Path:
    """Where they are kept; KIZU_BACKBONES moves it."""
    from platformdirs import user_data_path

    given = os.environ.get(FOLDER_VARIABLE)
    return Path(given) if given else user_data_path("kizu") / "backbones"


def added_names() -> list[str]:
    """The names of those that are there, sorted."""
    try:
        return sorted(
            path.parent.name for path in backbones_folder().glob(f"*/{SPEC}") if _is_name(path.parent.name)
        )
    except OSError as error:
        raise BackboneError(f"cannot look into {backbones_folder()}: {error.strerror}") from error


def is_added(name: str) -> bool:
    """Whether a backbone of that name was added."""
    return _is_name(name) and (backbones_folder() / name / SPEC).is_file()


def ensure_free(name: str) -> None:
    """Raises `ConfigError` for what can be no name, and for a name that is taken."""
    if not _is_name(name) or name.endswith(".onnx"):
        raise ConfigError(
            f"{name!r} cannot be the name of a backbone",
            hint="use lower-case letters, digits, '.', '_' and '-', 64 at most, and no .onnx at the end",
        )
    if name in BACKBONES:
        raise ConfigError(
            f"the name {name!r} is taken by a backbone of Kizu's own", hint="choose another name"
        )
    if (backbones_folder() / name).exists():
        raise ConfigError(f"the name {name!r} is taken", hint=_taken(name))


def keep(model: onnx.ModelProto, spec: BackboneSpec, architecture: str) -> AddedSpec:
    """Keep a backbone under its name, whole or not at all.

    Raises `ConfigError` for a name that is taken or can be none, `BackboneError` for a graph that is too large for one
    file, `OutputError` where the folder cannot be written or another command is adding that name.
    """
    ensure_free(spec.name)
    if model.ByteSize() > LARGEST_GRAPH:
        raise BackboneError(
            f"the graph of {spec.name} has {model.ByteSize() / 2**30:.1f} GB; one file holds 2 GB at most",
            hint="use a smaller network of its family",
        )
    content = model.SerializeToString()
    added = AddedSpec(
        name=spec.name,
        architecture=architecture,
        licence=spec.licence,
        source=spec.source,
        weights_sha256=spec.weights_sha256,
        graph_sha256=hash_bytes(content),
        layers=tuple(AddedLayer(name=x.name, stride=x.stride, dim=x.dim) for x in spec.layers),
        mean=spec.mean,
        std=spec.std,
    )
    body = added.model_dump(mode="json")
    with new_folder(backbones_folder() / spec.name, hint=_taken(spec.name)) as folder:
        write_bytes(folder / GRAPH, content)
        write_json(folder / SPEC, {**body, "sha256": hash_value(body)})
    return added


def read_added(name: str) -> AddedSpec:
    """What is known of the backbone `name`, without its graph. Raises `BackboneError` when that was changed."""
    path = backbones_folder() / name / SPEC
    hint = _AGAIN.format(name=name)
    body = read_json(path, hint=hint, raises=BackboneError)
    digest = body.pop("sha256", None)
    if digest != hash_value(body):
        raise BackboneError(f"{path} has changed since the backbone was added", hint=hint)
    found = shape_as(body, AddedSpec, str(path), hint=hint, raises=BackboneError)
    if found.name != name:
        raise BackboneError(f"{path} is of the backbone {found.name!r}", hint=hint)
    return found


def load_added(name: str) -> Backbone:
    """The backbone `name`. Raises `BackboneError` when one of its files is missing or was changed."""
    import onnx

    spec = read_added(name)
    path = backbones_folder() / name / GRAPH
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BackboneError(
            f"cannot read {path}: {error.strerror or error}", hint=_AGAIN.format(name=name)
        ) from error
    if hash_bytes(content) != spec.graph_sha256:
        raise BackboneError(f"{path} has changed since the backbone was added", hint=_AGAIN.format(name=name))
    return Backbone(spec.as_spec(), onnx.load_model_from_string(content))


def remove_added(name: str) -> None:
    """Remove the backbone `name`; bundles that were made with it hold their own graph and go on working.

    Raises `ConfigError` when it is none that was added, `OutputError` where it cannot be removed.
    """
    path = backbones_folder() / name
    if not _is_name(name) or not path.is_dir():
        own = (
            "it comes with kizu" if name in BACKBONES else f"there are: {', '.join(added_names()) or 'none'}"
        )
        raise ConfigError(f"no backbone {name!r} was added", hint=own)
    with locked_name(path):
        gone = folder_part(path)
        try:
            path.replace(gone)  # in one step; what a kill leaves of it is swept by who builds here next
            shutil.rmtree(gone)
        except OSError as error:
            raise OutputError(f"cannot remove {path}: {error.strerror or error}") from error


def fetched_hash(address: str) -> str | None:
    """The SHA-256 of what the address gave the first time; None: nothing was fetched from there."""
    found = _read_fetched().get(address)
    return None if found is None else str(found)


def note_fetched(address: str, sha256: str) -> None:
    """Remember what the address gave. Raises `OutputError`."""
    with locked(backbones_folder()):
        write_json(backbones_folder() / FETCHED, {**_read_fetched(), address: sha256})


def _read_fetched() -> dict[str, Any]:
    path = backbones_folder() / FETCHED
    if not path.exists():
        return {}
    return read_json(path, hint="remove it to trust what comes next", raises=BackboneError)


def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def _taken(name: str) -> str:
    return f"choose another name, or free this one with kizu backbones remove {name}"
