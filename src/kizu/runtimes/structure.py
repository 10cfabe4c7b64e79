"""What an exported graph may be made of: looked at before any runtime sees it.

A runtime that opens a graph obeys it: it reads files that the graph names, and computes constant parts at once, however
long that takes. So a file holds all its weights itself, and nothing in it repeats without end, is drawn at random, or
is larger than a picture's way through a network could need.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from kizu.backbones.contained import graphs_in, kept_elsewhere
from kizu.core.errors import BundleError

if TYPE_CHECKING:
    import onnx

MAX_NODES = 50_000
MAX_VALUE_BYTES = 2 << 30
"""One value of one picture."""
SMALL = 4096
"""Constants of at most so many values may say how large others become."""
REFUSED = {
    **dict.fromkeys(("Loop", "Scan", "SequenceMap"), "it may never end"),
    **dict.fromkeys(
        (
            "RandomNormal",
            "RandomUniform",
            "RandomNormalLike",
            "RandomUniformLike",
            "Multinomial",
            "Bernoulli",
        ),
        "one picture would get several scores",
    ),
}
"""Operators of ONNX itself; all others end, and give the same for the same."""
REFUSED_IN_IR = ("Loop", "TensorIterator", "RandomUniform", "Multinomial", "ReadValue", "Assign")
"""The same in OpenVINO's words; the last two would let one picture decide on the next."""
CONTRIBUTED = "com.microsoft"
_CONTRIBUTED_PREFIXES = (
    "QLinear",
    "Fused",
    "Gelu",
    "FastGelu",
    "BiasGelu",
    "QuickGelu",
    "QGemm",
    "SkipLayer",
)
"""What ONNX Runtime's own tools write into a network that they quantise or optimise."""
_HINT = "use a file that kizu export wrote; a network that needs this can be run from its bundle"


def ensure_plain(model: onnx.ModelProto, *, where: str) -> None:
    """Raises `BundleError` naming `where` and what a graph may not hold."""
    if model.functions or model.training_info:
        raise BundleError(f"{where} holds functions or training steps, which kizu does not write", hint=_HINT)
    for tensor in kept_elsewhere(model):
        raise BundleError(
            f"{where} keeps {tensor.name or 'a constant'} in another file",
            hint="a model for the line holds all of itself: export it again",
        )
    graphs = [model.graph, *graphs_in(model.graph.node)]
    if any(graph.sparse_initializer for graph in graphs):
        raise BundleError(f"{where} holds sparse weights, which kizu does not write", hint=_HINT)
    nodes = [node for graph in graphs for node in graph.node]
    if len(nodes) > MAX_NODES:
        raise BundleError(f"{where} has {len(nodes)} nodes, more than {MAX_NODES}", hint=_HINT)
    for node in nodes:
        _ensure_known(node, where)
    _ensure_moderate(model, where)


def ensure_plain_ir(xml: bytes, *, where: str) -> None:
    """The same for the graph of an OpenVINO IR."""
    if b"<!" in xml.replace(b"<!--", b""):
        raise BundleError(f"{where} holds declarations, which OpenVINO does not write", hint=_HINT)
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError as error:
        raise BundleError(f"{where} is not an OpenVINO IR: {error}", hint=_HINT) from error
    for layer in root.iter("layer"):
        if layer.get("type") in REFUSED_IN_IR:
            raise BundleError(f"{where} holds the operator {layer.get('type')}", hint=_HINT)


def _ensure_known(node: onnx.NodeProto, where: str) -> None:
    reason = REFUSED.get(node.op_type)
    if reason is None and node.domain not in ("", "ai.onnx"):
        if node.domain == CONTRIBUTED and node.op_type.startswith(_CONTRIBUTED_PREFIXES):
            return
        reason = f"it is of {node.domain}, not of ONNX"
    if reason is not None:
        raise BundleError(f"{where} holds the operator {node.op_type}: {reason}", hint=_HINT)


def _ensure_moderate(model: onnx.ModelProto, where: str) -> None:
    """As far as sizes can be told without running: those that depend on what is computed stay unknown."""
    import onnx

    try:
        inferred = onnx.shape_inference.infer_shapes(_skeleton(model), data_prop=True)
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError) as error:
        raise BundleError(
            f"{where} is not a graph that fits together: {_first_line(error)}", hint=_HINT
        ) from error
    for value in (*inferred.graph.value_info, *inferred.graph.output):
        kind = value.type.tensor_type
        size = math.prod(side.dim_value if side.HasField("dim_value") else 1 for side in kind.shape.dim)
        size *= _item_bytes(kind.elem_type)
        if size > MAX_VALUE_BYTES:
            raise BundleError(
                f"{where} makes a value of {size >> 20} MB ({value.name}) of one picture", hint=_HINT
            )


def _skeleton(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its weights as inputs, but for small ones; of one picture."""
    import onnx

    bones = onnx.ModelProto(ir_version=model.ir_version)
    bones.opset_import.extend(model.opset_import)
    graph = model.graph
    bones.graph.name = graph.name or "graph"
    bones.graph.node.extend(graph.node)
    bones.graph.input.extend(graph.input)
    bones.graph.output.extend(graph.output)
    for port in bones.graph.input:
        if port.type.tensor_type.shape.dim:
            port.type.tensor_type.shape.dim[0].dim_value = 1
    inputs = {port.name for port in graph.input}
    for tensor in graph.initializer:
        if math.prod(tensor.dims) <= SMALL:
            bones.graph.initializer.append(tensor)
        elif tensor.name not in inputs:
            bones.graph.input.append(
                onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            )
    for port in bones.graph.output:  # as computed, not as told
        port.type.tensor_type.ClearField("shape")
    return bones


def _item_bytes(kind: int) -> int:
    import onnx

    try:
        return int(onnx.helper.tensor_dtype_to_np_dtype(kind).itemsize)
    except KeyError:  # unknown, or none: the runtime will say so
        return 1


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
