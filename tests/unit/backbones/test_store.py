"""Finding a backbone by name or path."""

import hashlib

import numpy as np
import onnx
import pytest

from kizu.backbones.base import IMAGENET_MEAN, Layer
from kizu.backbones.graph import Embedder, build_embedder
from kizu.backbones.session import GraphSession
from kizu.backbones.store import load_backbone, load_spec
from kizu.core.errors import BackboneError, ConfigError
from kizu.core.work import Work


@pytest.fixture
def model():
    return load_backbone("tiny").model


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.onnx"


def test_an_unknown_name_says_what_was_meant():
    with pytest.raises(ConfigError, match="did you mean 'efficientnet_lite0'"):
        load_backbone("efficientnet_lit0")


def test_a_file_is_the_backbone_it_was_saved_from(model, path):
    onnx.helper.set_model_props(
        model, {"kizu.mean": "[0.5, 0.5, 0.5]", "kizu.std": "[0.5, 0.5, 0.5]", "kizu.licence": "MIT"}
    )
    onnx.save(model, path)
    loaded, original = load_backbone(str(path)), load_backbone("tiny")
    assert loaded.spec.layers == original.spec.layers
    assert (loaded.spec.mean, loaded.spec.std) == (original.spec.mean, original.spec.std)
    assert loaded.spec.licence == "MIT"
    assert loaded.spec.name == "net"
    assert loaded.spec.source == str(path)
    assert loaded.spec.weights_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    images = np.random.default_rng(0).integers(0, 256, (2, 40, 32, 3), dtype=np.uint8)
    first, second = (
        Embedder(
            build_embedder(b, layers=["blocks.0", "blocks.2"], normalisation="native").SerializeToString(),
            Work(cores=1),
        ).embed(images)
        for b in (loaded, original)
    )
    np.testing.assert_array_equal(first, second)


def test_a_file_that_says_nothing_of_its_scaling_gets_that_of_imagenet(model, path):
    onnx.save(model, path)
    spec = load_backbone(str(path)).spec
    assert spec.mean == IMAGENET_MEAN
    assert spec.licence == "unknown"


def test_weights_beside_the_file_are_found_and_hashed(model, path):
    onnx.save(model, path, save_as_external_data=True, location="net.data", size_threshold=0)
    first = load_backbone(str(path)).spec
    assert first.layers == load_backbone("tiny").spec.layers
    beside = path.with_name("net.data")
    content = bytearray(beside.read_bytes())
    content[0] ^= 1
    beside.write_bytes(content)
    assert load_backbone(str(path)).spec.weights_sha256 != first.weights_sha256
    beside.unlink()
    with pytest.raises(BackboneError, match=r"net\.(onnx|data)"):
        load_backbone(str(path))


def test_any_input_name_and_fixed_sides_will_do(model, path):
    for node in model.graph.node:
        node.input[:] = ["image" if name == "pixels" else name for name in node.input]
    model.graph.input[0].name = "image"
    for axis, side in ((0, 1), (2, 64), (3, 48)):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = side
    onnx.save(model, path)
    backbone = load_backbone(str(path))
    assert backbone.spec.layers[0] == Layer("blocks.0", 4, 12)
    embedder = Embedder(
        build_embedder(backbone, layers=["blocks.0"], normalisation="native").SerializeToString()
    )
    assert embedder.embed(np.zeros((3, 64, 48, 3), np.uint8)).shape == (3, 16, 12, 12)


def test_weights_listed_as_inputs_are_not_taken_for_images(model, path):
    for tensor in model.graph.initializer:
        model.graph.input.append(
            onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
        )
    onnx.save(model, path)
    assert load_backbone(str(path)).spec.layers == load_backbone("tiny").spec.layers


def test_a_file_that_is_not_there_is_named(path):
    with pytest.raises(BackboneError, match=r"net\.onnx"):
        load_backbone(str(path))


@pytest.mark.parametrize("content", [b"", b"not onnx at all", b"\xff" * 100])
def test_a_file_that_is_not_onnx_is_named(path, content):
    path.write_bytes(content)
    with pytest.raises(BackboneError, match=r"net\.onnx"):
        load_backbone(str(path))


def test_a_truncated_file_is_named(model, path):
    path.write_bytes(model.SerializeToString()[:-100])
    with pytest.raises(BackboneError, match=r"net\.onnx"):
        load_backbone(str(path))


def test_an_old_opset_is_refused_with_a_hint(model, path):
    model.opset_import[0].version = 9
    onnx.save(model, path)
    with pytest.raises(BackboneError):
        load_backbone(str(path))


def test_a_file_without_feature_maps_is_refused(path):
    value = onnx.helper.make_tensor_value_info
    nodes = [onnx.helper.make_node("ReduceMean", ["x"], ["logits"], axes=[2, 3], keepdims=0)]
    graph = onnx.helper.make_graph(
        nodes, "g", [value("x", 1, ["N", 3, "H", "W"])], [value("logits", 1, ["N", 3])]
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    with pytest.raises(BackboneError, match="no feature map"):
        load_backbone(str(path))


@pytest.mark.parametrize("mean", ["[0.5, 0.5]", "0.5", "{", "[1, 2, null]", '["a", 1, 2]'])
def test_a_mean_that_is_not_three_numbers_is_refused(model, path, mean):
    onnx.helper.set_model_props(model, {"kizu.mean": mean})
    onnx.save(model, path)
    with pytest.raises(BackboneError, match=r"kizu\.mean"):
        load_backbone(str(path))


def test_a_file_that_is_cut_or_has_a_name_that_is_no_text_is_refused_by_name(model, path):
    whole = model.SerializeToString()
    for broken in (
        b"",
        whole[:10],
        whole[: len(whole) // 2],
        whole[:-1],
        whole.replace(b"Conv", b"Con\xaf"),
    ):
        path.write_bytes(broken)
        with pytest.raises(BackboneError, match=r"net\.onnx"):
            load_backbone(str(path))


def test_a_file_is_run_once_for_its_facts_and_itself_and_again_when_it_is_another(model, path, monkeypatch):
    runs = []
    monkeypatch.setattr("kizu.backbones.store._PROBED", {})
    monkeypatch.setattr(
        "kizu.backbones.store.GraphSession", lambda *given: runs.append(1) or GraphSession(*given)
    )
    onnx.save(model, path)
    assert load_spec(str(path)).layers == load_backbone(str(path)).spec.layers
    assert len(runs) == 1
    del model.graph.output[0]
    onnx.save(model, path)
    assert len(load_spec(str(path)).layers) == 2
    assert len(runs) == 2
