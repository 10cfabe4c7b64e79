"""Read the tensors of a legacy (non-zip) torch checkpoint without torch and without running anything from it.

The format is five pickles in a row (magic number, protocol, system facts, the state dict with one persistent
id per storage, the list of storage keys), then for each key an int64 element count and the raw values.
Unpickling may call only what a state dict needs; every other name is refused before it is imported.
"""

import io
import pickle
import struct
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kizu.core.errors import BackboneError

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_STORAGES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "|b1",
}
_UNPICKLING_FAILURES = (
    pickle.UnpicklingError,
    EOFError,
    AttributeError,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
    OverflowError,
    MemoryError,
    RecursionError,
)
"""What the `pickle` module documents, and what it raises for damaged input."""


@dataclass(frozen=True, slots=True)
class _StorageRef:
    key: str
    dtype: str
    count: int


@dataclass(frozen=True, slots=True)
class _TensorRef:
    storage: _StorageRef
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_checkpoint(content: bytes, *, name: str) -> dict[str, NDArray[Any]]:
    """The state dict in `content`, a file's bytes: parameter name -> array, in the file's order.

    `name` is what errors call the file. Raises `BackboneError` for another format, for damage, and for a
    pickle that asks for anything beyond tensors.
    """
    stream = io.BytesIO(content)
    try:
        if _load(stream) != _MAGIC or _load(stream) != _PROTOCOL:
            raise pickle.UnpicklingError("not a legacy torch checkpoint")
        if not _load(stream)["little_endian"]:
            raise pickle.UnpicklingError("written on a big-endian machine")
        references = dict(_load(stream))
        storages = _read_storages(stream, content, _load(stream), references)
        return {key: _array(reference, storages) for key, reference in references.items()}
    except _UNPICKLING_FAILURES as error:
        raise BackboneError(
            f"{name} cannot be read as a torch checkpoint: {error or type(error).__name__}",
            hint="the file may be cut short or of another format; install or copy it again",
        ) from error


class _TensorsOnly(pickle.Unpickler):
    """Knows an ordered dict, a tensor and its storages. What it hands out cannot be altered by the pickle."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor_reference
        if module == "torch" and name in _STORAGES:
            return name
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not a tensor")

    def persistent_load(self, pid: Any) -> _StorageRef:
        tag, storage, key, _device, count, view = pid
        if tag != "storage" or view is not None or not isinstance(key, str):
            raise pickle.UnpicklingError(f"unknown persistent id {pid!r}")
        return _StorageRef(key=key, dtype=_STORAGES[storage], count=count)


def _load(stream: io.BytesIO) -> Any:
    return _TensorsOnly(stream).load()


def _tensor_reference(
    storage: _StorageRef, offset: int, shape: Any, strides: Any, *_unused: Any
) -> _TensorRef:
    return _TensorRef(storage=storage, offset=offset, shape=tuple(shape), strides=tuple(strides))


def _read_storages(
    stream: io.BytesIO, content: bytes, keys: list[str], references: dict[str, Any]
) -> dict[str, NDArray[Any]]:
    """The flat arrays behind the tensors, by storage key. Their sizes must agree with the state dict."""
    for key, reference in references.items():
        if not isinstance(reference, _TensorRef):
            raise pickle.UnpicklingError(f"{key!r} is not a tensor")
    described = {reference.storage.key: reference.storage for reference in references.values()}
    storages = {}
    position = stream.tell()
    for key in keys:
        storage = described[key]
        if len(content) < position + 8:
            raise EOFError(f"it ends before storage {key}")
        (count,) = struct.unpack_from("<q", content, position)
        position += 8
        size = storage.count * np.dtype(storage.dtype).itemsize
        if count != storage.count or len(content) < position + size:
            raise EOFError(f"storage {key} holds fewer or more than {storage.count} values")
        storages[key] = np.frombuffer(content, storage.dtype, count=count, offset=position)
        position += size
    return storages


def _array(reference: _TensorRef, storages: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """A copy of the tensor; its strides (torch counts them in elements) must stay inside its storage."""
    flat = storages[reference.storage.key]
    steps = [(size - 1) * stride for size, stride in zip(reference.shape, reference.strides, strict=True)]
    if min((*reference.shape, *reference.strides, reference.offset), default=0) < 0:
        raise ValueError(f"a tensor of shape {reference.shape} has a negative stride or offset")
    if 0 not in reference.shape and reference.offset + sum(steps) >= flat.size:
        raise ValueError(f"a tensor of shape {reference.shape} reaches beyond its {flat.size} values")
    view = np.lib.stride_tricks.as_strided(
        flat[reference.offset :],
        reference.shape,
        tuple(stride * flat.itemsize for stride in reference.strides),
        writeable=False,
    )
    return view.copy()
