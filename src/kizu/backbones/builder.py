"""Draw an ONNX graph in Python: a node is a call, a value is its name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnx

OPSET = 17
IR_VERSION = 8
"""The oldest file format that carries opset 17, so that every runtime of the last years opens it."""

Shape = tuple[str | int, ...]
"""A name for a free side, a number for a fixed one."""


class GraphBuilder:
    """Collects nodes and constants in the order of the calls, then makes the model."""

    def __init__(self, prefix: str) -> None:
        """`prefix` begins every name made here, so that graphs drawn apart can be joined."""
        self.prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, values: NDArray[Any]) -> str:
        """Keep `values` in the graph; return its name."""
        from onnx import numpy_helper

        name = f"{self.prefix}/constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, order="C"), name))
        return name

    def node(self, operator: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """Add a node with one output; return the output's name (`name`, or one made here)."""
        from onnx import helper

        output = name or f"{self.prefix}/{operator.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def several(self, operator: str, *inputs: str, count: int, **attributes: Any) -> list[str]:
        """Add a node with `count` outputs; return their names."""
        from onnx import helper

        stem = f"{self.prefix}/{operator.lower()}{len(self.nodes)}"
        outputs = [f"{stem}_{index}" for index in range(count)]
        self.nodes.append(helper.make_node(operator, inputs, outputs, name=stem, **attributes))
        return outputs

    def conv(
        self,
        x: str,
        weight: NDArray[Any],
        bias: NDArray[Any],
        *,
        stride: int = 1,
        padding: int | None = None,
        name: str | None = None,
    ) -> str:
        """Convolve `x`.

        `weight`: (out, in / groups, k, k), depthwise when its second axis is 1; `bias`: (out,). As float32.
        `padding`: zeros beyond each border, as torch pads. None: TensorFlow's "same", whose amount depends on the size
        of the input.
        """
        padded = {"auto_pad": "SAME_UPPER"} if padding is None else {"pads": [padding] * 4}
        return self.node(
            "Conv",
            x,
            self.constant(weight.astype(np.float32)),
            self.constant(bias.astype(np.float32)),
            name=name,
            kernel_shape=weight.shape[2:],
            strides=[stride, stride],
            group=weight.shape[0] if weight.shape[1] == 1 else 1,
            **padded,
        )

    def relu6(self, x: str) -> str:
        """min(max(x, 0), 6)"""
        low, high = (self.constant(np.array(limit, np.float32)) for limit in (0, 6))
        return self.node("Clip", x, low, high)

    def splice(self, model: onnx.ModelProto, outputs: Sequence[str], *, prefix: str) -> None:
        """Add the part of `model` that `outputs` depend on, every name of it behind `prefix`.

        The caller draws what feeds it: a value called `prefix` + the name of the model's input.
        """
        graph = type(model.graph)()
        graph.CopyFrom(model.graph)
        _rename(graph, prefix)
        needed = {prefix + name for name in outputs}
        nodes = []
        for node in reversed(graph.node):
            if needed.intersection(node.output):
                nodes.append(node)
                needed.update(_values_read(node))
        self.nodes.extend(reversed(nodes))
        self.constants.extend(tensor for tensor in graph.initializer if tensor.name in needed)

    def model(
        self,
        inputs: Mapping[str, tuple[type[np.generic], Shape]],
        outputs: Mapping[str, tuple[type[np.generic], Shape]],
        *,
        like: onnx.ModelProto | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> onnx.ModelProto:
        """Close the graph over the named inputs and outputs, each with its type and shape.

        `like`: a model that was spliced in and whose versions must therefore be kept.
        """
        from onnx import helper

        def described(values: Mapping[str, tuple[type[np.generic], Shape]]) -> list[onnx.ValueInfoProto]:
            return [
                helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(kind)), shape)
                for name, (kind, shape) in values.items()
            ]

        graph = helper.make_graph(
            self.nodes, self.prefix, described(inputs), described(outputs), initializer=self.constants
        )
        opsets = like.opset_import if like else [helper.make_opsetid("", OPSET)]
        ir_version = max(IR_VERSION, like.ir_version if like else 0)
        model = helper.make_model(graph, opset_imports=opsets, ir_version=ir_version, producer_name="kizu")
        helper.set_model_props(model, dict(metadata or {}))
        return model


def _rename(graph: onnx.GraphProto, prefix: str) -> None:
    """Put `prefix` before every name of `graph` and of the graphs inside its nodes, in place.

    `onnx.compose.add_prefix` misses the constants of a graph that are used only inside a branch.
    """
    for node in graph.node:
        node.name = prefix + node.name if node.name else ""
        for names in (node.input, node.output):
            names[:] = [prefix + name if name else "" for name in names]  # "": an optional input left out
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _rename(attribute.g, prefix)
    for value in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
        value.name = prefix + value.name


def _values_read(node: onnx.NodeProto) -> Iterator[str]:
    """The inputs of a node, and what the graphs inside it (branches, loops) may take from around them."""
    yield from node.input
    for attribute in node.attribute:
        for inner in attribute.g.node:
            yield from _values_read(inner)
