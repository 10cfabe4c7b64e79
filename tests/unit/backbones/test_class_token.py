"""The class token and where it looks."""

import numpy as np
import pytest

from kizu.backbones.base import PIXELS, Backbone, BackboneSpec
from kizu.backbones.class_token import ClassReader
from kizu.backbones.session import GraphSession
from kizu.backbones.store import load_backbone
from kizu.backbones.vit import draw_sizes, layers_of
from kizu.backbones.vit_weights import Sizes
from kizu.core.errors import ConfigError
from kizu.core.work import Work

SIZES = Sizes(patch_px=4, dim=24, depth=3, heads=3, grid_side=5, positions="antialias", registers=2)
ONE = Work(cores=1)


@pytest.fixture(scope="module")
def backbone():
    rng = np.random.default_rng(0)
    weights = {
        key: 0.3 * rng.standard_normal(shape).astype(np.float32) for key, shape in SIZES.shapes().items()
    }
    layers = layers_of(SIZES)
    spec = BackboneSpec("small", layers, (layers[0].name,), (0, 0, 0), (1, 1, 1), "MIT", "a test", "0" * 64)
    return Backbone(spec, draw_sizes(SIZES, weights))


def images(hw):
    return np.random.default_rng(2).standard_normal((2, 3, *hw)).astype(np.float32)


def test_it_is_what_the_whole_graph_gives_with_patches_where_they_lie(backbone):
    whole = GraphSession(backbone.model, ONE).run({PIXELS: images((12, 28))})
    found = ClassReader.open(backbone, "blocks.1", ONE).read(images((12, 28)))
    np.testing.assert_allclose(found.values, whole["blocks.1.class"], rtol=1e-4, atol=1e-4)
    assert found.attention.shape == (2, SIZES.heads, 3, 7)
    flat = whole["blocks.1.class_attention"]
    np.testing.assert_allclose(found.attention[:, :, 2, 5], flat[:, :, 2 * 7 + 5], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.attention.sum(axis=(2, 3)), flat.sum(axis=2), rtol=1e-4)


def test_attention_is_a_part_of_one(backbone):
    total = ClassReader.open(backbone, "blocks.2", ONE).read(images((20, 20))).attention.sum(axis=(2, 3))
    assert (total >= 0).all()
    assert (total <= 1 + 1e-6).all()
    assert (total < 0.999).any()


def test_nothing_but_its_block_is_given(backbone):
    session = ClassReader.open(backbone, "blocks.0", ONE).session
    assert set(session.outputs) == {"blocks.0.class", "blocks.0.class_attention"}


def test_a_block_that_is_not_there_and_a_network_without_one_are_refused(backbone):
    with pytest.raises(ConfigError, match=r"no class token at 'blocks\.3'") as caught:
        ClassReader.open(backbone, "blocks.3")
    assert caught.value.hint == "choose from: blocks.0, blocks.1, blocks.2"
    with pytest.raises(ConfigError, match="tiny has no class token") as caught:
        ClassReader.open(load_backbone("tiny"), "blocks.1")
    assert caught.value.hint == "only transformers have one"
