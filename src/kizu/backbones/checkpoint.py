"""Read the tensors of a torch checkpoint, of either format, without torch and without running anything from it.

The legacy format is five pickles in a row (magic number, protocol, system facts, the state dict with one persistent
id per storage, the list of storage keys), then for each key an int64 element count and the raw values. The other one is
a zip of `<name>/data.pkl`, the state dict, and `<name>/data/<key>`, the raw values, none of them compressed.
Unpickling may call only what a state dict needs; every other name is refused before it is imported.
"""

import io
import math
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from kizu.core.errors import BackboneError

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
BFLOAT16 = "<V2"
"""NumPy has no such numbers: two bytes, which `bfloat16_to_f32` reads."""
_STORAGES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": BFLOAT16,
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "|b1",
}
_FAILURES = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    struct.error,
    EOFError,
    AttributeError,
    IndexError,
    KeyError,
    NotImplementedError,
    TypeError,
    ValueError,
    OverflowError,
    MemoryError,
    RecursionError,
)
"""What the `pickle` and `zipfile` modules document, and what they raise for damaged input."""
_MOST_COPIES = 8
"""So many times as large as the file all tensors may be: tied weights share their values, and are copied."""


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


Checkpoint = dict[str, Any]
"""What the file holds by name: an array, another `Checkpoint`, or a plain value such as an epoch's number."""


def read_checkpoint(content: bytes, *, name: str) -> dict[str, NDArray[Any]]:
    """The state dict in `content`, a legacy file's bytes: parameter name -> array, in the file's order.

    `name` is what errors call the file. Raises `BackboneError` for another format, for damage, and for a
    pickle that asks for anything beyond tensors.
    """
    arrays = read_legacy(content, name=name)
    for key, value in arrays.items():
        if not isinstance(value, np.ndarray):
            raise _cannot_read(name, ValueError(f"{key!r} is not a tensor"))
    return arrays


def read_legacy(content: bytes, *, name: str) -> Checkpoint:
    """All that a legacy file's bytes hold. Errors as for `read_checkpoint`."""
    stream = io.BytesIO(content)
    try:
        if _load(stream) != _MAGIC or _load(stream) != _PROTOCOL:
            raise pickle.UnpicklingError("not a legacy torch checkpoint")
        if not _load(stream)["little_endian"]:
            raise pickle.UnpicklingError("written on a big-endian machine")
        unpickler = _TensorsOnly(stream)
        found = unpickler.load()
        storages = _legacy_storages(stream, content, _load(stream), unpickler.storages)
        return _Unfolding(lambda storage: storages[storage.key], _MOST_COPIES * len(content)).unfold(found)
    except _FAILURES as error:
        raise _cannot_read(name, error) from error


def read_zip(content: bytes, *, name: str) -> Checkpoint:
    """All that a zip's bytes hold. Errors as for `read_checkpoint`.

    What its parts are called is only compared, never opened as a path, and none of them may be larger than it says.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = {entry.filename: entry for entry in archive.infolist()}
            roots = [part.removesuffix("data.pkl") for part in parts if part.endswith("/data.pkl")]
            if len(roots) != 1 or len(parts) != len(archive.infolist()):
                raise ValueError("it is a zip of something else")
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in parts.values()):
                raise ValueError("its parts are compressed, which torch does not do")
            if f"{roots[0]}byteorder" in parts and archive.read(f"{roots[0]}byteorder") != b"little":
                raise ValueError("written on a big-endian machine")
            read: dict[str, NDArray[Any]] = {}

            def storage_of(storage: _StorageRef) -> NDArray[Any]:
                if storage.key not in read:
                    values = archive.read(parts[f"{roots[0]}data/{storage.key}"])
                    read[storage.key] = np.frombuffer(values, storage.dtype)
                flat = read[storage.key]
                if flat.size != storage.count or flat.dtype != np.dtype(storage.dtype):
                    raise EOFError(f"storage {storage.key} holds fewer or more than {storage.count} values")
                return flat

            found = _load(io.BytesIO(archive.read(f"{roots[0]}data.pkl")))
            return _Unfolding(storage_of, _MOST_COPIES * len(content)).unfold(found)
    except _FAILURES as error:
        raise _cannot_read(name, error) from error


def bfloat16_to_f32(values: NDArray[Any]) -> NDArray[np.float32]:
    """The first 16 bits of a float32 each, as these."""
    return (values.view("<u2").astype(np.uint32) << 16).view(np.float32)


def _cannot_read(name: str, error: Exception) -> BackboneError:
    told = f"it has no {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
    return BackboneError(
        f"{name} cannot be read as a torch checkpoint: {told}",
        hint="the file may be cut short or of another format: copy it again; of a checkpoint that holds more than"
        " tensors, save the state dict alone",
    )


class _TensorsOnly(pickle._Unpickler):
    """Knows an ordered dict, a tensor and its storages. What it hands out cannot be altered by the pickle.

    The one that is written in Python: the other makes room for as many remembered values as a damaged file says there
    are, and a file of 660 bytes took all memory. For the same reason it makes no bytearrays.
    """

    dispatch: ClassVar[dict[int, Callable[[pickle.Unpickler], None]]] = {
        code: load for code, load in pickle._Unpickler.dispatch.items() if code != pickle.BYTEARRAY8[0]
    }

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream)
        self.storages: dict[str, _StorageRef] = {}
        """Those that were met."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda *given: _tensor_reference(
                *given
            )  # a new one each time: a pickle may set attributes
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *_unused: tensor
        if module == "torch" and name in _STORAGES:
            return name
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not a tensor")

    def persistent_load(self, pid: Any) -> _StorageRef:
        tag, storage, key, _device, count, *view = pid
        if tag != "storage" or any(part is not None for part in view) or not isinstance(key, str):
            raise pickle.UnpicklingError(f"unknown persistent id {pid!r}")
        found = _StorageRef(key=key, dtype=_STORAGES[storage], count=count)
        if self.storages.setdefault(key, found) != found:
            raise pickle.UnpicklingError(f"storage {key} is said to be two things")
        return found


def _load(stream: io.BytesIO) -> Any:
    return _TensorsOnly(stream).load()


def _tensor_reference(
    storage: _StorageRef, offset: int, shape: Any, strides: Any, *_unused: Any
) -> _TensorRef:
    return _TensorRef(storage=storage, offset=offset, shape=tuple(shape), strides=tuple(strides))


@dataclass(slots=True)
class _Unfolding:
    """From references to arrays, so that a small file cannot become endless."""

    storage_of: Callable[[_StorageRef], NDArray[Any]]
    bytes_left: int
    met: set[int] = field(default_factory=set)
    """The parts that were gone through."""

    def unfold(self, found: Any) -> Checkpoint:
        """The same with an array in place of each tensor that has a name. A part that is there twice is refused: it
        could hold itself."""
        if not isinstance(found, Mapping):
            raise ValueError(f"it holds {type(found).__name__}, not tensors with names")
        if id(found) in self.met:
            raise ValueError("it holds one of its parts twice")
        self.met.add(id(found))
        return {str(key): self._value(value) for key, value in found.items()}

    def _value(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return self.unfold(value)
        if not isinstance(value, _TensorRef):
            return value
        array = _array(value, self.storage_of(value.storage))
        self.bytes_left -= array.nbytes
        if self.bytes_left < 0:
            raise ValueError(
                "its tensors are much larger than the file: they are all made of the same values"
            )
        return array


def _legacy_storages(
    stream: io.BytesIO, content: bytes, keys: list[str], described: Mapping[str, _StorageRef]
) -> dict[str, NDArray[Any]]:
    """The flat arrays behind the tensors, by storage key. Their sizes must agree with the state dict."""
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


def _array(reference: _TensorRef, flat: NDArray[Any]) -> NDArray[Any]:
    """A copy of the tensor; its strides (torch counts them in elements) must stay inside its storage."""
    steps = [(size - 1) * stride for size, stride in zip(reference.shape, reference.strides, strict=True)]
    if min((*reference.shape, *reference.strides, reference.offset), default=0) < 0:
        raise ValueError(f"a tensor of shape {reference.shape} has a negative stride or offset")
    if 0 not in reference.shape and reference.offset + sum(steps) >= flat.size:
        raise ValueError(f"a tensor of shape {reference.shape} reaches beyond its {flat.size} values")
    if math.prod(reference.shape) > flat.size:  # a stride of 0 could make terabytes of one value
        raise ValueError(f"a tensor of shape {reference.shape} is made of {flat.size} values")
    view = np.lib.stride_tricks.as_strided(
        flat[reference.offset :],
        reference.shape,
        tuple(stride * flat.itemsize for stride in reference.strides),
        writeable=False,
    )
    return view.copy()
