"""The embedder: one graph from image to patch embedding."""

import json

import numpy as np
import pytest
from onnx import TensorProto, helper

from kizu.backbones.base import Backbone, BackboneSpec, Layer
from kizu.backbones.graph import Embedder, build_embedder
from kizu.backbones.session import GraphSession
from kizu.backbones.store import load_backbone
from kizu.core.errors import BackboneError, ConfigError, ScoreError
from kizu.core.work import Work

ONE = Work(cores=1)
LAYERS = ("blocks.0", "blocks.1", "blocks.2")


@pytest.fixture(scope="module")
def backbone():
    return load_backbone("tiny")


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (2, 36, 50, 3), dtype=np.uint8)


def embed(backbone, images, **settings):
    settings = {"layers": LAYERS, "normalisation": "native"} | settings
    return Embedder(build_embedder(backbone, **settings).SerializeToString(), ONE).embed(images)


def features(backbone, images, mean, std):
    """Each layer (N, dim, h, w) of images normalised in NumPy."""
    pixels = (images / 255.0 - mean) / std
    return GraphSession(backbone.model, ONE).run({"pixels": pixels.transpose(0, 3, 1, 2).astype(np.float32)})


def patch_mean(x, k):
    """The mean over k x k patches, zeros beyond the border counted, one position at a time."""
    padded = np.pad(x, [(0, 0), (0, 0), (k // 2, k // 2), (k // 2, k // 2)])
    out = np.empty_like(x)
    for i, j in np.ndindex(*x.shape[2:]):
        out[:, :, i, j] = padded[:, :, i : i + k, j : j + k].mean(axis=(2, 3))
    return out


def resized(x, hw):
    """Bilinear with half-pixel centres and clamped borders, one position at a time."""
    out = np.empty((*x.shape[:2], *hw))
    for i, j in np.ndindex(*hw):
        y = np.clip((i + 0.5) * x.shape[2] / hw[0] - 0.5, 0, x.shape[2] - 1)
        z = np.clip((j + 0.5) * x.shape[3] / hw[1] - 0.5, 0, x.shape[3] - 1)
        t, l = int(y), int(z)  # noqa: E741
        b, r = min(t + 1, x.shape[2] - 1), min(l + 1, x.shape[3] - 1)
        top = x[:, :, t, l] * (1 - z + l) + x[:, :, t, r] * (z - l)
        bottom = x[:, :, b, l] * (1 - z + l) + x[:, :, b, r] * (z - l)
        out[:, :, i, j] = top * (1 - y + t) + bottom * (y - t)
    return out


@pytest.mark.parametrize("patch_size", [1, 3, 5])
@pytest.mark.parametrize(
    ("normalisation", "mean", "std"),
    [
        ("native", [0.5] * 3, [0.5] * 3),
        ("half", [0.5] * 3, [0.5] * 3),
        ("imagenet", [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ],
)
def test_embedding_is_normalise_features_pool_resize_join(
    backbone, images, patch_size, normalisation, mean, std
):
    maps = features(backbone, images, mean, std)
    pooled = [patch_mean(maps[name], patch_size) for name in LAYERS]
    grid = pooled[0].shape[2:]
    expected = np.concatenate([pooled[0], *(resized(x, grid) for x in pooled[1:])], axis=1)
    found = embed(backbone, images, patch_size=patch_size, normalisation=normalisation)
    np.testing.assert_allclose(found, expected.transpose(0, 2, 3, 1), atol=2e-5)


def test_layers_are_joined_finest_first_whatever_their_order(backbone, images):
    expected = embed(backbone, images)
    np.testing.assert_array_equal(embed(backbone, images, layers=LAYERS[::-1]), expected)
    alone = embed(backbone, images, layers=["blocks.0"])
    np.testing.assert_array_equal(alone, expected[..., :12])


@pytest.mark.parametrize(
    "channels", [[0], [51], [11, 12], [12, 13, 27, 28], [28, 51], list(range(0, 52, 3)), list(range(52))]
)
def test_chosen_channels_are_those_of_the_whole_embedding(backbone, images, channels):
    found = embed(backbone, images, channels=np.array(channels))
    np.testing.assert_allclose(found, embed(backbone, images)[..., channels], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("channels", [[], [-1, 3], [3, 52], [3, 3], [4, 3], [[1, 2]]])
def test_channels_that_are_not_strictly_increasing_are_refused(backbone, channels):
    with pytest.raises(ConfigError, match="strictly increasing"):
        embed(backbone, None, channels=np.array(channels))


@pytest.mark.parametrize("layers", [(), ("blocks.9",), ("blocks.0", "blocks.0")])
def test_layers_that_cannot_be_chosen_are_refused_with_a_list(backbone, layers):
    with pytest.raises(ConfigError, match=r"blocks\.0, blocks\.1, blocks\.2"):
        embed(backbone, None, layers=layers)


@pytest.mark.parametrize("patch_size", [0, -1, 2, 4])
def test_an_even_patch_size_is_refused(backbone, patch_size):
    with pytest.raises(ConfigError, match="patch_size"):
        embed(backbone, None, patch_size=patch_size)


def test_an_unknown_normalisation_is_refused(backbone):
    with pytest.raises(ConfigError, match="imagenet"):
        embed(backbone, None, normalisation="imagnet")


def test_what_no_chosen_layer_needs_is_left_out(backbone):
    shallow, deep = (
        build_embedder(backbone, layers=[name], normalisation="native") for name in ("blocks.0", "blocks.2")
    )
    assert [node.op_type for node in shallow.graph.node].count("Conv") == 2
    assert [node.op_type for node in deep.graph.node].count("Conv") == 4
    assert shallow.ByteSize() < deep.ByteSize()


def test_the_model_says_where_it_comes_from(backbone):
    model = build_embedder(backbone, layers=["blocks.1", "blocks.0"], normalisation="half", patch_size=5)
    notes = {entry.key: entry.value for entry in model.metadata_props}
    assert notes["kizu.backbone"] == "tiny"
    assert json.loads(notes["kizu.layers"]) == ["blocks.0", "blocks.1"]
    assert notes["kizu.normalisation"] == "half"
    assert notes["kizu.patch_size"] == "5"
    assert notes["kizu.licence"] == "MIT"
    assert notes["kizu.weights_sha256"] == backbone.spec.weights_sha256


def test_the_same_settings_give_the_same_bytes(backbone):
    first, second = (
        build_embedder(load_backbone("tiny"), layers=LAYERS, normalisation="native").SerializeToString()
        for _ in range(2)
    )
    assert first == second


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 32, 32, 3), np.float32),
        np.zeros((32, 32, 3), np.uint8),
        np.zeros((1, 3, 32, 32), np.uint8),
        np.zeros((0, 32, 32, 3), np.uint8),
        np.zeros((1, 0, 32, 3), np.uint8),
    ],
)
def test_arrays_that_are_not_images_are_refused(backbone, images):
    with pytest.raises(ScoreError, match="must be"):
        embed(backbone, images)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_features_that_are_not_finite_are_refused(backbone, images, value):
    broken = type(backbone.model)()
    broken.CopyFrom(backbone.model)
    weight = next(tensor for tensor in broken.graph.initializer if list(tensor.dims) == [12, 8, 3, 3])
    values = np.frombuffer(weight.raw_data, np.float32).copy()
    values[0] = value
    weight.raw_data = values.tobytes()
    with pytest.raises(ScoreError, match="not finite"):
        embed(Backbone(backbone.spec, broken), images, layers=["blocks.0"])


def test_large_finite_features_are_accepted(images):
    value = helper.make_tensor_value_info
    nodes = [helper.make_node("Mul", ["image", "huge"], ["embedding"])]
    constants = [helper.make_tensor("huge", TensorProto.FLOAT, [], [1e30])]
    graph = helper.make_graph(
        nodes,
        "g",
        [value("image", 1, ["N", 3, "H", "W"])],
        [value("embedding", 1, ["N", 3, "H", "W"])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    spec = BackboneSpec(
        "huge", (Layer("embedding", 1, 3),), ("embedding",), (0.5,) * 3, (0.5,) * 3, "MIT", "test", ""
    )
    found = embed(Backbone(spec, model), images, layers=["embedding"], patch_size=1)
    assert np.isfinite(found).all()
    assert found.max() > 9e29


def test_a_graph_that_is_no_embedder_is_refused(backbone):
    with pytest.raises(BackboneError, match="not an embedder"):
        Embedder(backbone.model.SerializeToString(), ONE)


@pytest.fixture(scope="module")
def blocks():
    """Three layers of one size."""
    names = [f"blocks.{number}" for number in range(3)]
    scaled = [helper.make_tensor(f"by.{n}", TensorProto.FLOAT, [1], [n + 1.0]) for n in range(3)]
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 3, "H", "W"])
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3, "h", "w"]) for name in names]
    nodes = [helper.make_node("Mul", ["pixels", f"by.{n}"], [name]) for n, name in enumerate(names)]
    graph = helper.make_graph(nodes, "blocks", [pixels], ports, scaled)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    layers = tuple(Layer(name, 1, 3) for name in names)
    spec = BackboneSpec("blocks", layers, ("blocks.1",), (0.2,) * 3, (0.7,) * 3, "MIT", "a test", "0" * 64)
    return Backbone(spec, model)


@pytest.mark.parametrize("patch_size", [1, 3])
@pytest.mark.parametrize("chosen", [["blocks.0", "blocks.2"], ["blocks.0", "blocks.1", "blocks.2"]])
def test_a_mean_of_layers_is_the_mean_of_what_they_give_side_by_side(blocks, images, patch_size, chosen):
    found = embed(blocks, images, layers=chosen, patch_size=patch_size, combine="mean")
    beside = embed(blocks, images, layers=chosen, patch_size=patch_size)
    assert found.shape[3] == 3
    expected = np.mean(np.split(beside, len(chosen), axis=3), axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    some = embed(
        blocks, images, layers=chosen, patch_size=patch_size, combine="mean", channels=np.array([0, 2])
    )
    np.testing.assert_allclose(some, found[..., [0, 2]], rtol=1e-6)


def test_the_mean_of_one_layer_is_itself(blocks, images):
    found = embed(blocks, images, layers=["blocks.2"], combine="mean")
    np.testing.assert_array_equal(found, embed(blocks, images, layers=["blocks.2"]))


def test_layers_of_several_sizes_have_no_mean(backbone):
    with pytest.raises(ConfigError, match=r"no mean of layers of several sizes: blocks\.0 \(1/4, 12\)"):
        embed(backbone, None, combine="mean")
