"""A graph holds all of its weights: a runtime would read other files that it names from wherever the process stands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from kizu.core.errors import BackboneError

if TYPE_CHECKING:
    import onnx

_LOCATION = b"location"
"""No tensor lies elsewhere without this word."""


def ensure_contained(content: bytes) -> None:
    """Raises `BackboneError` for a serialised model that keeps weights in other files; of what is no model nothing."""
    if _LOCATION not in content:
        return
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_model_from_string(content)
    except (DecodeError, ValueError, RuntimeError):
        return  # the runtime says better what is wrong with it
    for tensor in kept_elsewhere(model):
        raise BackboneError(
            f"the graph keeps {tensor.name or 'a constant'} in another file",
            hint="it must hold all of itself",
        )


def kept_elsewhere(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """The tensors whose values are in other files."""
    graphs = [*graphs_in(model.graph.node), model.graph]
    for function in model.functions:
        graphs += graphs_in(function.node)
    nodes = [
        *(node for graph in graphs for node in graph.node),
        *(n for f in model.functions for n in f.node),
    ]
    for tensor in (*_weights(graphs), *_constants(nodes)):
        if tensor.external_data or tensor.data_location == tensor.EXTERNAL:
            yield tensor


def graphs_in(nodes: Iterator[onnx.NodeProto]) -> list[onnx.GraphProto]:
    """The graphs inside nodes (branches, loops), and inside theirs."""
    found: list[onnx.GraphProto] = []
    waiting = list(nodes)
    while waiting:
        for attribute in waiting.pop().attribute:
            inner = [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]
            found += inner
            waiting += [node for graph in inner for node in graph.node]
    return found


def _weights(graphs: list[onnx.GraphProto]) -> Iterator[onnx.TensorProto]:
    for graph in graphs:
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)


def _constants(nodes: list[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            yield from attribute.tensors
            if attribute.HasField("t"):
                yield attribute.t
            sparse = [*attribute.sparse_tensors]
            if attribute.HasField("sparse_tensor"):
                sparse.append(attribute.sparse_tensor)
            for tensor in sparse:
                yield from (tensor.values, tensor.indices)
