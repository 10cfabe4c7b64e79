"""Run an ONNX graph in ONNX Runtime or OpenVINO. Both are imported only when a session is made."""

from __future__ import annotations

from collections.abc import Mapping
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

_ONLY_ERRORS = 3
"""ONNX Runtime's log level."""


class GraphSession:
    """A graph ready to run: named arrays in, named arrays out."""

    def __init__(
        self,
        model: bytes | onnx.ModelProto,
        *,
        threads: int | None = None,
        provider: Provider = "cpu",
        runtime: Runtime = "onnxruntime",
    ) -> None:
        """`threads`: how many compute one call; None is every core this process may use.

        Raises `BackboneError` for a graph the runtime refuses and for a provider this machine has not,
        `MissingExtraError` when OpenVINO is not installed.
        """
        content = model if isinstance(model, bytes) else model.SerializeToString()
        count = usable_cores() if threads is None else threads
        if count < 1:
            raise ConfigError(f"threads must be at least 1, got {threads}")
        if runtime == "openvino":
            if provider != "cpu":
                raise BackboneError(f"OpenVINO runs on the cpu here, not on {provider!r}")
            self._engine: _Engine = _OpenVino(content, count)
        else:
            self._engine = _OnnxRuntime(content, count, provider)

    @property
    def input_names(self) -> tuple[str, ...]:
        return self._engine.input_names

    @property
    def output_shapes(self) -> dict[str, tuple[int | None, ...]]:
        """Name -> shape as the graph declares it; None where a side is free."""
        return self._engine.output_shapes

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        """Every output of the graph by name. Raises `BackboneError` for feeds the graph does not take."""
        if set(feeds) != set(self.input_names):
            raise BackboneError(
                f"the graph takes {sorted(self.input_names)}, not {sorted(feeds)}",
            )
        return self._engine.run({name: np.ascontiguousarray(array) for name, array in feeds.items()})


class _Engine(Protocol):
    @property
    def input_names(self) -> tuple[str, ...]: ...
    @property
    def output_shapes(self) -> dict[str, tuple[int | None, ...]]: ...
    def run(self, feeds: Arrays) -> Arrays: ...


class _OnnxRuntime:
    def __init__(self, content: bytes, threads: int, provider: Provider) -> None:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as state

        wanted = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}[provider]
        if wanted not in onnxruntime.get_available_providers():
            raise BackboneError(
                f"this ONNX Runtime has no {wanted}", hint="install onnxruntime-gpu, or use the cpu"
            )
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ONLY_ERRORS
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self._failures = tuple(
            getattr(state, name)
            for name in ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented", "RuntimeException")
        )
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=[wanted])
        except self._failures as error:
            raise BackboneError(f"ONNX Runtime refuses the graph: {error}") from error
        self.input_names = tuple(value.name for value in self._session.get_inputs())
        self.output_shapes = {
            value.name: tuple(side if isinstance(side, int) else None for side in value.shape)
            for value in self._session.get_outputs()
        }

    def run(self, feeds: Arrays) -> Arrays:
        try:
            results = self._session.run(None, feeds)
        except self._failures as error:
            raise BackboneError(f"ONNX Runtime cannot run the graph: {error}") from error
        return dict(zip(self.output_shapes, results, strict=True))


class _OpenVino:
    def __init__(self, content: bytes, threads: int) -> None:
        try:
            import openvino
        except ImportError as error:
            raise MissingExtraError("OpenVINO is not installed", hint="pip install 'kizu[openvino]'") from error
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
        }
        core = openvino.Core()
        try:
            compiled = core.compile_model(core.read_model(content), "CPU", settings)
        except RuntimeError as error:
            raise BackboneError(f"OpenVINO refuses the graph: {error}") from error
        self._request = compiled.create_infer_request()
        self.input_names = tuple(port.any_name for port in compiled.inputs)
        self.output_shapes = {
            port.any_name: tuple(
                side.get_length() if side.is_static else None for side in port.partial_shape
            )
            for port in compiled.outputs
        }

    def run(self, feeds: Arrays) -> Arrays:
        try:
            results = self._request.infer(feeds)
        except RuntimeError as error:
            raise BackboneError(f"OpenVINO cannot run the graph: {error}") from error
        return {name: np.array(values) for name, values in zip(self.output_shapes, results.values(), strict=True)}
