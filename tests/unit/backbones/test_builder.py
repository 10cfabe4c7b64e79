"""Drawing graphs."""

import numpy as np
import onnx
import pytest
from onnx import helper

from kizu.backbones.builder import GraphBuilder
from kizu.backbones.session import GraphSession
from kizu.core.work import Work

ONE = Work(cores=1)
FREE = (np.float32, ("N", 3, "H", "W"))


def same_convolution(x, weight, bias, stride):
    """TensorFlow's definition, one output at a time. x: (D, H, W), weight: (out, D, k, k)."""
    k = weight.shape[-1]
    out = [-(-side // stride) for side in x.shape[1:]]
    pads = [max((o - 1) * stride + k - side, 0) for o, side in zip(out, x.shape[1:], strict=True)]
    padded = np.pad(x, [(0, 0)] + [(pad // 2, pad - pad // 2) for pad in pads])
    result = np.empty((len(weight), *out))
    for index in np.ndindex(*result.shape):
        d, i, j = index
        patch = padded[:, i * stride : i * stride + k, j * stride : j * stride + k]
        result[index] = (patch * weight[d]).sum() + bias[d]
    return result


@pytest.mark.parametrize("hw", [(8, 8), (7, 10), (5, 3)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("k", [3, 5])
def test_convolution_pads_as_tensorflow_does(hw, stride, k):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, *hw)).astype(np.float32)
    weight, bias = rng.standard_normal((4, 3, k, k)), rng.standard_normal(4)
    graph = GraphBuilder("g")
    graph.conv("x", weight, bias, stride=stride, name="y")
    session = GraphSession(graph.model({"x": FREE}, {"y": (np.float32, ("N", 4, "h", "w"))}), ONE)
    np.testing.assert_allclose(
        session.run({"x": x[None]})["y"][0], same_convolution(x, weight, bias, stride), atol=1e-4
    )


def test_one_channel_kernels_make_a_depthwise_convolution():
    x = np.arange(12, dtype=np.float32).reshape(1, 3, 2, 2)
    graph = GraphBuilder("g")
    graph.conv("x", np.array([1.0, 10, 100]).reshape(3, 1, 1, 1), np.zeros(3), name="y")
    session = GraphSession(graph.model({"x": FREE}, {"y": FREE}), ONE)
    np.testing.assert_array_equal(session.run({"x": x})["y"], x * [[[[1]], [[10]], [[100]]]])


def doubled_or_not():
    """y = x * 2 if mean(x) > 0 else x, the factor being used only inside a branch; and an unused z."""
    value = helper.make_tensor_value_info
    branches = {
        "then_branch": helper.make_graph(
            [helper.make_node("Mul", ["x", "two"], ["a"])], "then", [], [value("a", 1, None)]
        ),
        "else_branch": helper.make_graph(
            [helper.make_node("Identity", ["x"], ["b"])], "else", [], [value("b", 1, None)]
        ),
    }
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=0),
        helper.make_node("Greater", ["mean", "zero"], ["positive"]),
        helper.make_node("If", ["positive"], ["y"], **branches),
        helper.make_node("Add", ["x", "one"], ["z"]),
    ]
    constants = [
        onnx.numpy_helper.from_array(np.array(number, np.float32), name)
        for name, number in (("zero", 0), ("one", 1), ("two", 2))
    ]
    outputs = [value("y", 1, ["N"]), value("z", 1, ["N"])]
    graph = helper.make_graph(nodes, "g", [value("x", 1, ["N"])], outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_splice_takes_what_an_output_needs_branches_included_and_nothing_else():
    model = doubled_or_not()
    before = model.SerializeToString(deterministic=True)
    graph = GraphBuilder("g")
    graph.node("Neg", "x", name="in/x")
    graph.splice(model, ["y"], prefix="in/")
    graph.node("Neg", "in/y", name="y")
    side = (np.float32, ("N",))
    joined = graph.model({"x": side}, {"y": side}, like=model)
    assert {tensor.name for tensor in joined.graph.initializer} == {"in/zero", "in/two"}
    assert "Add" not in {node.op_type for node in joined.graph.node}
    session = GraphSession(joined, ONE)
    for x, expected in (([-1, -2], [-2, -4]), ([1, 2], [1, 2])):
        np.testing.assert_array_equal(session.run({"x": np.float32(x)})["y"], expected)
    assert model.SerializeToString(deterministic=True) == before


def test_metadata_is_kept_in_the_model():
    graph = GraphBuilder("g")
    graph.node("Neg", "x", name="y")
    model = graph.model({"x": FREE}, {"y": FREE}, metadata={"kizu.a": "b"})
    assert [(entry.key, entry.value) for entry in model.metadata_props] == [("kizu.a", "b")]
