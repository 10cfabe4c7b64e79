"""Run an ONNX graph in ONNX Runtime or OpenVINO. Both are imported only when a session is made."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from kizu.backbones.contained import ensure_contained
from kizu.core.errors import BackboneError, MissingExtraError
from kizu.core.provenance import usable_cores
from kizu.core.threads import cores, spread
from kizu.core.work import Device, Work

if TYPE_CHECKING:
    import onnx

Arrays = dict[str, NDArray[Any]]
Names = tuple[tuple[str, ...], tuple[str, ...]]
"""Of inputs and of outputs."""
Shape = tuple[int | None, ...]
"""None where a side is free."""


class OpenVinoIr(NamedTuple):
    """A graph in OpenVINO's own form: the bytes of its two files, and the names that it goes by."""

    xml: bytes
    weights: bytes
    names: Names


_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_ORT_FAILURES = (
    "EPFail",
    "Fail",
    "InvalidArgument",
    "InvalidGraph",
    "InvalidProtobuf",
    "NotImplemented",
    "RuntimeException",
)
_ONLY_ERRORS = 3
"""ONNX Runtime's log level."""


class GraphSession:
    """A graph ready to run: named arrays in, named arrays out. Safe to share between threads."""

    def __init__(self, model: bytes | onnx.ModelProto | OpenVinoIr, work: Work = Work()) -> None:
        """Raises `BackboneError` for a graph that the runtime refuses or that needs other files, and for a device it
        cannot use.

        `MissingExtraError` when OpenVINO is not installed. Threads are made for the cores that `work` may keep busy.
        """
        self._threads = work.cores or usable_cores()
        self._runtime, self._device = work.runtime, work.device
        self._content = model if isinstance(model, (bytes, OpenVinoIr)) else model.SerializeToString()
        if not isinstance(self._content, OpenVinoIr):
            ensure_contained(self._content)
        self._whole = self._open(runs_at_once=1)

    @property
    def inputs(self) -> dict[str, Shape]:
        """Name -> shape as the graph declares it."""
        return self._whole.inputs

    @property
    def outputs(self) -> dict[str, Shape]:
        """Name -> shape as the graph declares it."""
        return self._whole.outputs

    @property
    def dtypes(self) -> dict[str, str]:
        """Name of an input or an output -> what it is made of, as NumPy calls it: "uint8"."""
        return self._whole.dtypes

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        """Every output by name, of one call that all threads share (one thread within `one_core`).

        Raises `BackboneError` for feeds that the graph does not take.
        """
        if set(feeds) != set(self.inputs):
            raise BackboneError(f"the graph takes {sorted(self.inputs)}, not {sorted(feeds)}")
        engine = self._of_one_thread if cores() == 1 else self._whole
        return engine.run({name: np.ascontiguousarray(array) for name, array in feeds.items()})

    def run_each(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        """Like `run`, but each item of the first axis by itself, one per thread.

        All feeds have N >= 1 items, and so has each output; of one image like that of the next, or `BackboneError` is
        raised. The maps of one image fit in the cache and those
        of a batch do not: 8 images of 256 x 256 px in Lite0 take 5.2 ms each this way and 6.7 ms each as a
        batch on one thread, 3.0 and 3.7 ms on two. An item's result does not depend on its
        batch, and was the same to the last bit on 1 to 4 threads.
        """
        count = len(next(iter(feeds.values())))
        items = [{name: array[i : i + 1] for name, array in feeds.items()} for i in range(count)]
        first = self.run(items[0])
        for name, part in first.items():
            if part.shape[:1] != (1,):
                raise BackboneError(f"the graph gives {name} of shape {part.shape} for one image")
        if count == 1:
            return first
        results = {name: np.empty((count, *part.shape[1:]), part.dtype) for name, part in first.items()}
        engine = self._of_one_thread

        def place(i: int, parts: Arrays) -> None:
            for name, part in parts.items():
                if part.shape != first[name].shape:
                    raise BackboneError(f"the graph gives {name} of another shape for each image")
                results[name][i] = part[0]

        def run_one(i: int) -> None:
            place(i, engine.run({name: np.ascontiguousarray(part) for name, part in items[i].items()}))

        place(0, first)
        spread(run_one, range(1, count), workers=self._threads)
        return results

    @cached_property
    def _of_one_thread(self) -> _Opened:
        """For as many calls at once as there are threads, each on one of them."""
        return self._whole if self._threads == 1 else self._open(runs_at_once=self._threads)

    def _open(self, *, runs_at_once: int) -> _Opened:
        if self._runtime == "openvino":
            return _OpenVino(self._content, self._device, self._threads, runs_at_once)
        if isinstance(self._content, OpenVinoIr):
            raise BackboneError("ONNX Runtime cannot open an OpenVINO IR", hint="use the runtime openvino")
        return _OnnxRuntime(self._content, self._device, self._threads // runs_at_once)


class _Opened(Protocol):
    """A graph in one of the runtimes; `run` may be called from several threads."""

    inputs: dict[str, Shape]
    outputs: dict[str, Shape]
    dtypes: dict[str, str]

    def run(self, feeds: Arrays) -> Arrays: ...


class _OnnxRuntime:
    def __init__(self, content: bytes, device: Device, threads: int) -> None:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as errors

        provider = _PROVIDERS[device]
        if provider not in onnxruntime.get_available_providers():
            raise BackboneError(
                f"this ONNX Runtime cannot use {device!r}", hint="install onnxruntime-gpu, or use 'cpu'"
            )
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ONLY_ERRORS
        options.intra_op_num_threads = threads
        # Threads that spin between two steps of a call make it faster (2.8 against 3.9 ms). If they go on
        # after it they take the cores from NumPy (a product of 7 ms took 12 ms), and if they go on for long
        # where other programs want the cores, a call takes 14 ms instead of 7. So: briefly, only during it.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        options.add_session_config_entry("session.intra_op.spin_duration_us", "20")
        self._failures = tuple(getattr(errors, name) for name in _ORT_FAILURES)
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=[provider])
        except self._failures as error:
            raise BackboneError(f"ONNX Runtime refuses the graph: {error}") from error
        self.inputs = {port.name: _sides(port.shape) for port in self._session.get_inputs()}
        self.outputs = {port.name: _sides(port.shape) for port in self._session.get_outputs()}
        ports = (*self._session.get_inputs(), *self._session.get_outputs())
        self.dtypes = {
            port.name: _dtype(port.type.removeprefix("tensor(").removesuffix(")")) for port in ports
        }

    def run(self, feeds: Arrays) -> Arrays:
        try:
            results = self._session.run(None, feeds)
        except self._failures as error:
            raise BackboneError(f"ONNX Runtime cannot run the graph: {error}") from error
        return dict(zip(self.outputs, results, strict=True))


_FIRST_LOOK = Lock()
"""Python's: who waits for it lets others go on."""


class _OpenVino:
    def __init__(self, content: bytes | OpenVinoIr, device: Device, threads: int, runs_at_once: int) -> None:
        if device != "cpu":
            raise BackboneError(f"OpenVINO runs on the cpu only, not on {device!r}", hint="use 'cpu'")
        try:
            import openvino
        except ImportError as error:
            raise MissingExtraError(
                "OpenVINO is not installed", hint="pip install 'kizu[openvino]'"
            ) from error
        _meet_openvino()
        settings = {
            # Without this it computes in bf16 on processors that have it: features are then off by up to 0.8.
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": runs_at_once,
        }
        core = openvino.Core()
        try:
            if isinstance(content, OpenVinoIr):
                model = core.read_model(content.xml, content.weights)
            else:
                model = core.read_model(content)
            compiled = core.compile_model(model, "CPU", settings)
        except RuntimeError as error:
            raise BackboneError(f"OpenVINO refuses the graph: {error}") from error
        self._compiled = compiled
        self._idle: list[Any] = []
        # OpenVINO also knows each port by the names of its neighbours
        inputs, outputs = content.names if isinstance(content, OpenVinoIr) else _read_names(content)
        try:
            ports = {name: compiled.input(name) for name in inputs}
            made = {name: compiled.output(name) for name in outputs}
        except RuntimeError as error:
            raise BackboneError(f"the graph has other inputs or outputs than it should: {error}") from error
        self.inputs = {name: _sides(port.partial_shape) for name, port in ports.items()}
        self.outputs = {name: _sides(port.partial_shape) for name, port in made.items()}
        self.dtypes = {
            name: _dtype(port.element_type.get_type_name()) for name, port in (ports | made).items()
        }

    def run(self, feeds: Arrays) -> Arrays:
        try:
            request = self._idle.pop()  # a request serves one call at a time, and is dear to make
        except IndexError:
            request = self._compiled.create_infer_request()
        try:
            results = request.infer(feeds)
        except RuntimeError as error:
            raise BackboneError(f"OpenVINO cannot run the graph: {error}") from error
        finally:
            self._idle.append(request)
        return {name: results[name] for name in self.outputs}


def _meet_openvino() -> None:
    """Look at an array of OpenVINO's once, before threads do.

    The first look makes a table, under a lock of C++ that lets go of Python's and wants it back. Two threads that look
    for the first time at once wait for each other for ever: seen once in the inspection of a folder, in thousands.
    """
    from openvino import Tensor

    with _FIRST_LOOK:
        assert Tensor(np.zeros(1, np.float32)).data.size == 1


def _read_names(content: bytes) -> Names:
    """Names of the inputs and of the outputs of a serialised model."""
    import onnx

    graph = onnx.load_model_from_string(content).graph
    weights = {tensor.name for tensor in graph.initializer}
    return (
        tuple(port.name for port in graph.input if port.name not in weights),
        tuple(port.name for port in graph.output),
    )


def _sides(shape: Any) -> Shape:
    """Either runtime's shape in plain numbers."""
    fixed = (side.get_length() if getattr(side, "is_static", False) else side for side in shape)
    return tuple(side if isinstance(side, int) else None for side in fixed)


def _dtype(name: str) -> str:
    """Either runtime's word for what numbers are as NumPy's; another stays as it is."""
    return {"u8": "uint8", "f32": "float32", "float": "float32"}.get(name, name)
