"""What every registered backbone must do."""

import math

import numpy as np
import pytest

from kizu.backbones import BACKBONES
from kizu.backbones.graph import Embedder, build_embedder
from kizu.backbones.session import GraphSession
from kizu.backbones.store import load_backbone
from kizu.core.errors import MissingExtraError
from kizu.core.hashing import hash_bytes
from kizu.core.work import Work

SIZES = [(64, 64), (65, 97), (33, 128)]


@pytest.fixture(scope="module", params=BACKBONES)
def backbone(request):
    try:
        return load_backbone(request.param)
    except MissingExtraError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def looked_at(backbone):
    """Several strides where there are several, else what is looked at when nobody chooses."""
    layers = tuple(layer for layer in backbone.spec.layers if layer.stride in (4, 8, 16))
    return layers or backbone.spec.choose(backbone.spec.default_layers)


@pytest.fixture(scope="module")
def model_bytes(backbone, looked_at):
    names = [layer.name for layer in looked_at]
    return build_embedder(backbone, layers=names, normalisation="native").SerializeToString()


@pytest.fixture(scope="module")
def embedder(model_bytes):
    return Embedder(model_bytes, Work(cores=2))


def images(hw, count=3):
    return np.random.default_rng(0).integers(0, 256, (count, *hw, 3), dtype=np.uint8)


@pytest.mark.parametrize("hw", SIZES)
def test_layers_have_the_strides_and_dims_of_the_spec(backbone, hw):
    found = GraphSession(backbone.model, Work(cores=2)).run({"pixels": np.zeros((2, 3, *hw), np.float32)})
    for layer in backbone.spec.layers:
        grid = tuple(math.ceil(side / layer.stride) for side in hw)
        assert found[layer.name].shape == (2, layer.dim, *grid)
        assert found[layer.name].dtype == np.float32


def test_layers_run_from_fine_to_coarse(backbone):
    strides = [layer.stride for layer in backbone.spec.layers]
    assert strides == sorted(strides)


def test_its_default_layers_are_layers_of_its_own_finest_first(backbone):
    names = backbone.spec.default_layers
    assert tuple(layer.name for layer in backbone.spec.choose(names)) == names


@pytest.mark.parametrize("hw", SIZES)
def test_embedding_has_the_finest_grid_and_all_dims(looked_at, embedder, hw):
    grid = tuple(math.ceil(side / looked_at[0].stride) for side in hw)
    dim = sum(layer.dim for layer in looked_at)
    embedding = embedder.embed(images(hw))
    assert embedding.shape == (3, *grid, dim)
    assert embedding.dtype == np.float32
    assert embedder.grid_hw(hw) == grid
    assert embedder.dim == dim


def test_an_embedding_does_not_depend_on_the_batch(embedder):
    batch = images((64, 64), 5)
    together = embedder.embed(batch)
    alone = np.concatenate([embedder.embed(batch[i : i + 1]) for i in range(5)])
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(embedder.embed(batch[::-1]), together[::-1])


def test_the_same_image_gives_the_same_embedding_in_a_new_session(embedder, model_bytes):
    batch = images((65, 97))
    first = embedder.embed(batch)
    np.testing.assert_array_equal(embedder.embed(batch), first)
    np.testing.assert_array_equal(Embedder(model_bytes, Work(cores=2)).embed(batch), first)


def test_the_number_of_threads_does_not_matter(embedder, model_bytes):
    batch = images((64, 64))
    one = Embedder(model_bytes, Work(cores=1)).embed(batch)
    np.testing.assert_allclose(one, embedder.embed(batch), rtol=1e-4, atol=1e-4)


def test_the_input_is_left_alone(embedder):
    batch = images((64, 64))
    before = batch.copy()
    embedder.embed(batch)
    np.testing.assert_array_equal(batch, before)
    batch.flags.writeable = False
    embedder.embed(batch)


def test_the_result_is_the_callers_to_change(embedder):
    batch = images((64, 64), 2)
    for part in (batch, batch[:1]):
        first = embedder.embed(part)
        kept = first.copy()
        second = embedder.embed(part)
        second[:] = 0
        np.testing.assert_array_equal(first, kept)


def test_different_images_give_different_embeddings(embedder):
    embedding = embedder.embed(images((64, 64)))
    assert np.abs(embedding[0] - embedding[1]).max() > 0.01


@pytest.mark.parametrize("hw", SIZES)
def test_openvino_agrees(embedder, model_bytes, hw):
    pytest.importorskip("openvino", reason="OpenVINO is not installed")
    ours = embedder.embed(images(hw))
    theirs = Embedder(model_bytes, Work(runtime="openvino", cores=2)).embed(images(hw))
    assert np.abs(ours - theirs).max() < 1e-3 * np.abs(ours).max()


def test_the_graph_is_drawn_the_same_each_time(backbone):
    name = backbone.spec.name
    first, second = (hash_bytes(load_backbone(name).model.SerializeToString()) for _ in range(2))
    assert first == second


def test_the_facts_are_filled_in(backbone):
    spec = backbone.spec
    assert spec.name in BACKBONES
    assert BACKBONES[spec.name].summary
    assert BACKBONES[spec.name].spec(spec.name) == spec
    assert len(spec.weights_sha256) == 64
    assert spec.licence
    assert spec.source
