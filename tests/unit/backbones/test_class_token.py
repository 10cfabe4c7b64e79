"""The class token and where it looks."""

import numpy as np
import pytest
from tests.unit.backbones.test_vit import KINDS, forward, random_weights

from kizu.backbones.base import Backbone, BackboneSpec
from kizu.backbones.class_token import ClassReader
from kizu.backbones.store import load_backbone
from kizu.backbones.vit import draw_sizes, layers_of
from kizu.core.errors import ConfigError
from kizu.core.work import Work

SIZES = KINDS["registers and LayerScale"]


@pytest.fixture(scope="module")
def weights():
    return random_weights(SIZES)


@pytest.fixture(scope="module")
def backbone(weights):
    layers = layers_of(SIZES)
    spec = BackboneSpec("small", layers, (layers[0].name,), (0, 0, 0), (1, 1, 1), "MIT", "a test", "0" * 64)
    return Backbone(spec, draw_sizes(SIZES, weights))


def test_it_is_that_of_the_plain_forward_pass(backbone, weights):
    images = np.random.default_rng(2).standard_normal((2, 3, 12, 28)).astype(np.float32)
    found = ClassReader.open(backbone, "blocks.1", Work(cores=1)).read(images)
    assert found.attention.shape == (2, SIZES.heads, 3, 7)
    for values, attention, image in zip(*found, images, strict=True):
        expected = forward(image, weights, SIZES)
        np.testing.assert_allclose(values, expected["blocks.1.class"], atol=1e-4)
        np.testing.assert_allclose(
            attention.reshape(SIZES.heads, -1), expected["blocks.1.class_attention"], atol=1e-5
        )


def test_attention_is_a_part_of_one(backbone):
    images = np.random.default_rng(3).standard_normal((1, 3, 20, 20)).astype(np.float32)
    total = ClassReader.open(backbone, "blocks.2", Work(cores=1)).read(images).attention.sum(axis=(2, 3))
    assert (total > 0).all()
    assert (total < 1).all()


def test_a_block_that_is_not_there_and_a_network_without_one_are_refused(backbone):
    with pytest.raises(ConfigError, match=r"no class token at 'blocks\.3'") as caught:
        ClassReader.open(backbone, "blocks.3")
    assert caught.value.hint == "choose from: blocks.0, blocks.1, blocks.2"
    with pytest.raises(ConfigError, match="tiny has no class token") as caught:
        ClassReader.open(load_backbone("tiny"), "blocks.1")
    assert caught.value.hint == "only transformers have one"
