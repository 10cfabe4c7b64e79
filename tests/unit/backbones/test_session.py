"""Running graphs."""

from typing import Any

import numpy as np
import pytest

from kizu.backbones.builder import GraphBuilder
from kizu.backbones.session import GraphSession
from kizu.backbones.store import load_backbone
from kizu.core.errors import BackboneError, ConfigError
from kizu.core.work import Work

FREE = (np.float32, ("N", 3))


@pytest.fixture(scope="module")
def model():
    graph = GraphBuilder("g")
    graph.node("Neg", "x", name="minus")
    graph.node("Softmax", "x", axis=-1, name="soft")
    return graph.model({"x": FREE}, {"minus": FREE, "soft": FREE})


def test_outputs_come_by_name(model):
    session = GraphSession(model.SerializeToString(), Work(cores=1))
    assert session.inputs == {"x": (None, 3)}
    assert session.outputs == {"minus": (None, 3), "soft": (None, 3)}
    x = np.float32([[1, 2, 3]])
    found = session.run({"x": x})
    np.testing.assert_array_equal(found["minus"], -x)
    np.testing.assert_allclose(found["soft"].sum(), 1, rtol=1e-6)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_run_each_keeps_the_order(model, threads, count):
    x = np.arange(3 * count, dtype=np.float32).reshape(count, 3)
    found = GraphSession(model, Work(cores=threads)).run_each({"x": x})
    np.testing.assert_array_equal(found["minus"], -x)


def test_an_array_that_is_not_contiguous_is_taken(model):
    x = np.arange(12, dtype=np.float32).reshape(3, 4).T[:, ::-1]
    session = GraphSession(model, Work(cores=2))
    np.testing.assert_array_equal(session.run({"x": x})["minus"], -x)
    np.testing.assert_array_equal(session.run_each({"x": x})["minus"], -x)


@pytest.mark.parametrize(
    "feeds",
    [
        {},
        {"y": np.zeros((1, 3), np.float32)},
        {"x": np.zeros((1, 3), np.float32), "y": np.zeros((1, 3), np.float32)},
        {"x": np.zeros((1, 3), np.float64)},
        {"x": np.zeros((1, 4), np.float32)},
        {"x": np.zeros(3, np.float32)},
    ],
)
def test_wrong_feeds_are_refused(model, feeds):
    with pytest.raises(BackboneError):
        GraphSession(model, Work(cores=1)).run(feeds)


@pytest.mark.parametrize("content", [b"", b"not a graph", b"\x08\x08"])
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_damaged_graph_is_refused(content, runtime):
    if runtime == "openvino":
        pytest.importorskip("openvino")
    with pytest.raises(BackboneError):
        GraphSession(content, Work(runtime=runtime))


def test_zero_cores_are_refused(model):
    with pytest.raises(ConfigError, match="cores must be at least 1"):
        GraphSession(model, Work(cores=0))


def test_a_device_that_is_not_there_is_refused(model):
    onnxruntime = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this machine has CUDA")
    with pytest.raises(BackboneError, match="cuda"):
        GraphSession(model, Work(device="cuda"))


def test_openvino_agrees(model):
    pytest.importorskip("openvino")
    x = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    sessions = [GraphSession(model, Work(runtime=r, cores=2)) for r in ("onnxruntime", "openvino")]
    for name in ("minus", "soft"):
        ours, theirs = (session.run_each({"x": x})[name] for session in sessions)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    assert sessions[0].inputs == sessions[1].inputs
    assert sessions[0].outputs == sessions[1].outputs


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_ports_keep_their_names_when_the_runtime_removes_what_is_behind_them(runtime):
    pytest.importorskip(runtime)
    graph = GraphBuilder("g")
    graph.node("Identity", "a", name="b")
    graph.node("Neg", "b", name="c")
    graph.node("Identity", "c", name="d")
    graph.node("Abs", "z", name="e")
    model = graph.model({"z": FREE, "a": FREE}, {"d": FREE, "e": FREE})
    session = GraphSession(model, Work(runtime=runtime, cores=1))
    assert list(session.inputs) == ["z", "a"]
    assert list(session.outputs) == ["d", "e"]
    x = np.float32([[1, 2, 3]])
    found = session.run({"a": x, "z": -2 * x})
    np.testing.assert_array_equal(found["d"], -x)
    np.testing.assert_array_equal(found["e"], 2 * x)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_later_call_leaves_earlier_results_alone(model, runtime):
    pytest.importorskip(runtime)
    session = GraphSession(model, Work(runtime=runtime, cores=1))
    x = np.float32([[1, 2, 3]])
    first = session.run({"x": x})["minus"]
    session.run({"x": 5 * x})
    np.testing.assert_array_equal(first, -x)


def test_openvino_is_refused_off_the_cpu(model):
    pytest.importorskip("openvino")
    with pytest.raises(BackboneError, match="cpu only"):
        GraphSession(model, Work(runtime="openvino", device="cuda"))


def test_openvino_is_met_by_one_thread_before_others_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first look at an array makes a table, and two first looks at once wait for each other for ever."""
    openvino = pytest.importorskip("openvino", reason="openvino is not installed")
    met: list[str] = []
    real = openvino.Tensor

    def tensor(array: Any) -> Any:
        met.append("looked")
        return real(array)

    def core() -> Any:
        met.append("opened")
        raise RuntimeError("far enough")

    monkeypatch.setattr(openvino, "Tensor", tensor)
    monkeypatch.setattr(openvino, "Core", core)
    with pytest.raises(RuntimeError, match="far enough"):
        GraphSession(load_backbone("tiny").model.SerializeToString(), Work("openvino"))
    assert met == ["looked", "opened"]
