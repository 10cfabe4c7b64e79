"""Run an ONNX graph in ONNX Runtime or OpenVINO. Both are imported only when a session is made."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from kizu.core.errors import BackboneError, ConfigError, MissingExtraError
from kizu.core.provenance import usable_cores

if TYPE_CHECKING:
    import onnx

Runtime = Literal["onnxruntime", "openvino"]
Provider = Literal["cpu", "cuda"]
Arrays = dict[str, NDArray[Any]]
Shape = tuple[int | None, ...]
"""None where a side is free."""

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_ONLY_ERRORS = 3
"""ONNX Runtime's log level."""


class GraphSession:
    """A graph ready to run: named arrays in, named arrays out. Safe to share between threads."""

    def __init__(
        self,
        model: bytes | onnx.ModelProto,
        *,
        threads: int | None = None,
        provider: Provider = "cpu",
        runtime: Runtime = "onnxruntime",
    ) -> None:
        """`threads`: how many cores it may keep busy; None is every core this process may use.

        Raises `BackboneError` for a graph the runtime refuses and for a provider that is not there,
        `MissingExtraError` when OpenVINO is not installed.
        """
        self.threads = usable_cores() if threads is None else threads
        if self.threads < 1:
            raise ConfigError(f"threads must be at least 1, got {threads}")
        if runtime == "openvino" and provider != "cpu":
            raise ConfigError(f"openvino runs on the cpu here, not on {provider!r}")
        self._content = model if isinstance(model, bytes) else model.SerializeToString()
        self._provider = provider
        self._runtime = runtime
        self._whole = self._engine(runs_at_once=1)

    @property
    def inputs(self) -> dict[str, Shape]:
        """Name -> shape as the graph declares it."""
        return self._whole.inputs

    @property
    def outputs(self) -> dict[str, Shape]:
        """Name -> shape as the graph declares it."""
        return self._whole.outputs

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        """Every output by name, of one call that all threads share. Raises `BackboneError` for feeds that the graph
        does not take."""
        if set(feeds) != set(self.inputs):
            raise BackboneError(f"the graph takes {sorted(self.inputs)}, not {sorted(feeds)}")
        return self._whole.run({name: np.ascontiguousarray(array) for name, array in feeds.items()})

    def run_each(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        """Like `run`, but each item of the first axis by itself, one per thread. All feeds have N >= 1 items, and so
        has each output.

        A small network's maps of one image fit in the cache and those of a batch do not: 8 images of 256 x 256 px
        in Lite0 take 2.9 ms each this way and 4.4 ms each as a batch (2 threads). An item's result cannot
        depend on its batch.
        """
        count = len(next(iter(feeds.values())))
        items = [{name: array[i : i + 1] for name, array in feeds.items()} for i in range(count)]
        first = self.run(items[0])
        if count == 1:
            return first
        results = {name: np.empty((count, *part.shape[1:]), part.dtype) for name, part in first.items()}
        engine = self._whole if self.threads == 1 else self._split

        def place(i: int, parts: Arrays) -> None:
            for name, part in parts.items():
                results[name][i] = part[0]

        def run_one(i: int) -> None:
            place(i, engine.run({name: np.ascontiguousarray(part) for name, part in items[i].items()}))

        place(0, first)
        with ThreadPoolExecutor(self.threads) as pool:
            list(pool.map(run_one, range(1, count)))
        return results

    @cached_property
    def _split(self) -> _Engine:
        """For as many calls at once as there are threads, each on one of them."""
        return self._engine(runs_at_once=self.threads)

    def _engine(self, *, runs_at_once: int) -> _Engine:
        if self._runtime == "openvino":
            return _OpenVino(self._content, threads=self.threads, runs_at_once=runs_at_once)
        return _OnnxRuntime(self._content, threads=self.threads // runs_at_once, provider=self._provider)


class _Engine(Protocol):
    """A graph in one of the runtimes; `run` may be called from several threads."""

    inputs: dict[str, Shape]
    outputs: dict[str, Shape]

    def run(self, feeds: Arrays) -> Arrays: ...


class _OnnxRuntime:
    def __init__(self, content: bytes, *, threads: int, provider: Provider) -> None:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as errors

        if _PROVIDERS[provider] not in onnxruntime.get_available_providers():
            raise BackboneError(
                f"this ONNX Runtime cannot use {provider!r}", hint="install onnxruntime-gpu, or use 'cpu'"
            )
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ONLY_ERRORS
        options.intra_op_num_threads = threads
        # Spinning threads make a call faster (2.8 against 3.9 ms), but when they go on after it they take the cores
        # from NumPy: a product of 7 ms took 12 ms. Stopped at the end of each call, they cost nothing and gain all.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self._failures = (
            errors.Fail,
            errors.InvalidArgument,
            errors.InvalidGraph,
            errors.InvalidProtobuf,
            errors.NotImplemented,
            errors.RuntimeException,
        )
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=[_PROVIDERS[provider]])
        except self._failures as error:
            raise BackboneError(f"ONNX Runtime refuses the graph: {error}") from error
        self.inputs = {port.name: _sides(port.shape) for port in self._session.get_inputs()}
        self.outputs = {port.name: _sides(port.shape) for port in self._session.get_outputs()}

    def run(self, feeds: Arrays) -> Arrays:
        try:
            results = self._session.run(None, feeds)
        except self._failures as error:
            raise BackboneError(f"ONNX Runtime cannot run the graph: {error}") from error
        return dict(zip(self.outputs, results, strict=True))


class _OpenVino:
    def __init__(self, content: bytes, *, threads: int, runs_at_once: int) -> None:
        try:
            import openvino
        except ImportError as error:
            raise MissingExtraError(
                "OpenVINO is not installed", hint="pip install 'kizu[openvino]'"
            ) from error
        settings = {
            # Without this it computes in bf16 on processors that have it: features are then off by up to 0.8.
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": runs_at_once,
        }
        core = openvino.Core()
        try:
            self._compiled = core.compile_model(core.read_model(content), "CPU", settings)
        except RuntimeError as error:
            raise BackboneError(f"OpenVINO refuses the graph: {error}") from error
        self._requests = threading.local()
        self.inputs = {port.any_name: _sides(port.partial_shape) for port in self._compiled.inputs}
        self.outputs = {port.any_name: _sides(port.partial_shape) for port in self._compiled.outputs}

    def run(self, feeds: Arrays) -> Arrays:
        if not hasattr(self._requests, "mine"):
            self._requests.mine = self._compiled.create_infer_request()
        try:
            results = self._requests.mine.infer(feeds)
        except RuntimeError as error:
            raise BackboneError(f"OpenVINO cannot run the graph: {error}") from error
        return dict(zip(self.outputs, results.values(), strict=True))


def _sides(shape: Any) -> Shape:
    """Either runtime's shape in plain numbers."""
    sides = (side if not hasattr(side, "is_static") else _static(side) for side in shape)
    return tuple(side if isinstance(side, int) else None for side in sides)


def _static(side: Any) -> int | None:
    return side.get_length() if side.is_static else None
