"""A state dict on disk, whatever wrote it: torch's two formats and safetensors, told apart by what is in the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kizu.backbones.checkpoint import BFLOAT16, Checkpoint, bfloat16_to_f32, read_legacy, read_zip
from kizu.core.errors import BackboneError

Format = Literal["zip", "legacy", "safetensors", "onnx"]

NESTED = ("state_dict", "model", "teacher", "model_state_dict", "params")
"""Under which of its names a checkpoint keeps the network, the first one that is there; `teacher`: DINO's."""
PREFIXES = ("module.", "backbone.", "model.")
"""What wrappers put before all names."""

_LEGACY_START = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""Torch's magic number as a pickle has it, after two bytes that tell the protocol."""
_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": BFLOAT16,
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "<i1",
    "U8": "<u1",
    "BOOL": "|b1",
}
_NO_WEIGHTS = {
    b"<": "a web page: the download failed, or asked for a login",
    b"version https://git-lfs": "a pointer to a file in Git LFS, not the file: run git lfs pull",
}
"""How files begin that are often taken for weights, and what they are."""


def read_weights(path: Path, *, on_note: Callable[[str], None] | None = None) -> dict[str, NDArray[Any]]:
    """The tensors in the file by name; numbers of 16 bits as float32. Nothing in the file is run.

    The format is told by the content. A network that lies under one of `NESTED` is taken out, and prefixes that all
    names share are taken off; `on_note` is told of either. Raises `BackboneError` naming the file when it cannot be
    read, is cut short, or holds no tensors.
    """
    content = _read(path)
    kind = format_of(content)
    if kind == "onnx":
        raise BackboneError(
            f"{path} holds no tensors that are known here{_explain(content)}",
            hint="give a .pth or .safetensors file with a state dict",
        )
    if kind == "safetensors":
        found: Checkpoint = _read_safetensors(content, path)
    else:
        found = (read_zip if kind == "zip" else read_legacy)(content, name=str(path))
    notes: list[str] = []
    tensors = _without_prefixes(_network_in(found, path, notes), notes)
    for note in notes if on_note else ():
        on_note(f"{path}: {note}")  # type: ignore[misc]
    return {name: _widen(values) for name, values in tensors.items()}


def format_of(content: bytes) -> Format:
    """How the bytes of a file are laid out, by how they begin; "onnx" for whatever has no such mark."""
    if content.startswith(b"PK\x03\x04"):
        return "zip"
    if content[:1] == b"\x80" and content[2:].startswith(_LEGACY_START):
        return "legacy"
    if content[8:9] == b"{":  # after the length of the header
        return "safetensors"
    return "onnx"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BackboneError(f"cannot read {path}: {error.strerror or error}") from error


def _explain(content: bytes) -> str:
    start = content.lstrip()
    for mark, told in _NO_WEIGHTS.items():
        if start.startswith(mark):
            return f": it is {told}"
    return ": it is empty" if not content else ""


def _read_safetensors(content: bytes, path: Path) -> Checkpoint:
    """Their library checks the header: its length, that tensors lie side by side, and that none reaches beyond."""
    import safetensors

    parse: Callable[[bytes], list[tuple[str, dict[str, Any]]]] = safetensors.deserialize
    try:
        entries = parse(content)
    except safetensors.SafetensorError as error:
        raise BackboneError(
            f"{path} cannot be read as safetensors: {error}",
            hint="the file may be cut short or of another format: copy it again",
        ) from error
    made: Checkpoint = {}
    for name, told in sorted(entries, key=lambda entry: entry[0]):  # they come in any order
        if told["dtype"] not in _DTYPES:
            raise BackboneError(
                f"{path}: the tensor {name!r} is of {told['dtype']}", hint="save it as 32-bit floats"
            )
        made[name] = np.frombuffer(told["data"], _DTYPES[told["dtype"]]).reshape(told["shape"])
    return made


def _network_in(found: Checkpoint, path: Path, notes: list[str]) -> dict[str, NDArray[Any]]:
    """The innermost part with tensors that is reached by `NESTED`, without what is no tensor."""
    key = next((key for key in NESTED if isinstance(found.get(key), Mapping)), None)
    if key is not None:
        notes.append(f"the network is what it holds as {key!r}; the rest is left out")
        return _network_in(found[key], path, notes)
    tensors = {name: value for name, value in found.items() if isinstance(value, np.ndarray)}
    if not tensors:
        raise BackboneError(
            f"{path} holds no tensors by name, but {', '.join(map(repr, found)) or 'nothing'}",
            hint="save the state dict alone",
        )
    left = [name for name in found if name not in tensors]
    if left:
        notes.append(f"left out, being no tensors: {', '.join(left)}")
    return tensors


def _without_prefixes(tensors: dict[str, NDArray[Any]], notes: list[str]) -> dict[str, NDArray[Any]]:
    """What wrappers put before the names is taken off; of a network with a head beside its backbone, the backbone."""
    for prefix in PREFIXES:
        inside = {
            name.removeprefix(prefix): values for name, values in tensors.items() if name.startswith(prefix)
        }
        if not inside:
            continue
        outside = [name for name in tensors if not name.startswith(prefix)]
        if outside and prefix != "backbone.":
            continue
        told = f"the prefix {prefix!r} was taken off the names"
        notes.append(told + (f"; left out, being outside it: {', '.join(outside[:3])}" if outside else ""))
        return _without_prefixes(inside, notes)
    return tensors


def _widen(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype == np.dtype(BFLOAT16):
        return bfloat16_to_f32(values)
    return values.astype(np.float32) if values.dtype == np.float16 else values
