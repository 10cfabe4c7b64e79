"""Other forms of an exported graph: weights stored in half precision, a network in 8 bits, an OpenVINO IR.

Each is another model. Whether it decides as the first one did is for the caller to prove (`lab.parity`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kizu.backbones.graph import IMAGE
from kizu.bundles.exported import PRECISION
from kizu.core.errors import ConfigError, MissingExtraError
from kizu.core.files import scratch_folder
from kizu.core.types import U8

if TYPE_CHECKING:
    import onnx

FLOAT = 1
"""`onnx.TensorProto.FLOAT`, without importing onnx."""
SMALLEST = 256
"""Constants of fewer values stay as they are: they cost nothing, and shapes and scales are among them."""
_NETWORK = "embedder/backbone/"
"""Begins the names of the network's nodes."""


def to_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with its large float constants stored as float16 and made float32 again when it is opened.

    Half the size on disk; it computes, and takes memory, as before. Raises `ConfigError` for a constant beyond what
    float16 holds.
    """
    from onnx import helper, numpy_helper

    halved = type(model)()
    halved.CopyFrom(model)
    graph = halved.graph
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        if values.size < SMALLEST:
            continue
        if np.abs(values).max() > np.finfo(np.float16).max:
            raise ConfigError(f"{tensor.name} holds values beyond half precision", hint="export as f32")
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}/half"))
        casts.append(helper.make_node("Cast", [f"{name}/half"], [name], name=f"{name}/cast", to=FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return _annotate(halved, model, "f16")


def to_int8(model: onnx.ModelProto, images: Iterator[U8]) -> onnx.ModelProto:
    """The same graph with the network's convolutions in 8 bits, their ranges taken from good `images` (N, H, W, 3).

    Static, per channel, as pairs of QuantizeLinear and DequantizeLinear; distances stay in float32.
    """
    import onnx
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, U8] | None:
            batch = next(images, None)
            return None if batch is None else {IMAGE: batch}

    convolutions = [
        node.name for node in model.graph.node if node.op_type == "Conv" and node.name.startswith(_NETWORK)
    ]
    before = logging.root.level
    with scratch_folder() as scratch:
        source, target = Path(scratch, "f32.onnx"), Path(scratch, "int8.onnx")
        onnx.save_model(model, source)
        logging.root.setLevel(logging.ERROR)  # it warns that it was not preprocessed
        try:
            quantization.quantize_static(
                source,
                target,
                Reader(),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=["Conv"],
                nodes_to_quantize=convolutions,
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QUInt8,  # signed ones overflow on processors without VNNI
            )
        finally:
            logging.root.setLevel(before)
        made = onnx.load_model(target)
    return _annotate(made, model, "int8")


def save_ir(model: onnx.ModelProto, path: Path, *, half: bool) -> None:
    """Write `path` (.xml) and its .bin beside it. Raises `MissingExtraError` without OpenVINO."""
    try:
        import openvino
    except ImportError as error:
        raise MissingExtraError("OpenVINO is not installed", hint="pip install 'kizu[openvino]'") from error
    converted = openvino.Core().read_model(model.SerializeToString())
    openvino.save_model(converted, str(path), compress_to_fp16=half)


def _annotate(made: onnx.ModelProto, before: onnx.ModelProto, precision: str) -> onnx.ModelProto:
    """`made` with the metadata of `before`, and what became of it."""
    from onnx import helper

    helper.set_model_props(made, {p.key: p.value for p in before.metadata_props} | {PRECISION: precision})
    return made
