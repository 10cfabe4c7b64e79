"""Names and shapes of a transformer's tensors: what is taken, and what is refused by name."""

import numpy as np
import pytest

from kizu.backbones.vit import VARIANTS
from kizu.backbones.vit_weights import find_names, fitting_weights
from kizu.core.errors import BackboneError


def empty(name):
    """Tensors of a variant's shapes that take no memory."""
    one = np.zeros((), np.float32)
    return {key: np.broadcast_to(one, shape) for key, shape in VARIANTS[name].shapes().items()}


def refused(name, weights):
    with pytest.raises(BackboneError) as caught:
        fitting_weights(name, weights, VARIANTS)
    return str(caught.value.message), str(caught.value.hint)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_tensors_of_a_release_fit(name):
    weights = {"mask_token": np.zeros((1, 8)), **empty(name), "head.weight": np.zeros((9, 8))}
    assert list(fitting_weights(name, weights, VARIANTS)) == list(empty(name))


def test_blocks_in_chunks_are_counted_through():
    chunked = {
        key.replace("blocks.", f"blocks.{int(key.split('.')[1]) // 6}.")
        if key.startswith("blocks")
        else key: value
        for key, value in empty("dinov2_vitl14").items()
    }
    assert "blocks.3.23.mlp.fc2.bias" in chunked
    assert list(fitting_weights("dinov2_vitl14", chunked, VARIANTS)) == list(empty("dinov2_vitl14"))


def test_timms_registers_and_grid_without_class_position():
    weights = empty("dinov2_vits14_reg")
    table = np.random.default_rng(0).standard_normal((1, 37 * 37, 384))
    del weights["register_tokens"]
    weights |= {"reg_token": np.ones((1, 4, 384)), "pos_embed": table}
    found = fitting_weights("dinov2_vits14_reg", weights, VARIANTS)
    np.testing.assert_array_equal(found["register_tokens"], np.ones((1, 4, 384)))
    np.testing.assert_array_equal(found["pos_embed"][:, 1:], table)
    assert not found["pos_embed"][:, 0].any()


@pytest.mark.parametrize(
    ("query", "output"),
    [("attention.attention.query", "attention.output.dense"), ("attention.q_proj", "attention.o_proj")],
)
def test_transformers_names_and_its_parted_products(query, output):
    key_value = [
        query.replace("query", part).replace("q_proj", f"{part[0]}_proj") for part in ("key", "value")
    ]
    products = [f"dinov2.encoder.layer.7.{part}.weight" for part in (query, *key_value)]
    others = {
        f"dinov2.encoder.layer.7.{output}.bias": "blocks.7.attn.proj.bias",
        "dinov2.encoder.layer.7.layer_scale2.lambda1": "blocks.7.ls2.gamma",
        "dinov2.encoder.layer.7.norm1.bias": "blocks.7.norm1.bias",
        "dinov2.embeddings.position_embeddings": "pos_embed",
        "dinov2.embeddings.patch_embeddings.projection.bias": "patch_embed.proj.bias",
        "dinov2.layernorm.weight": "norm.weight",
    }
    expected = {ours: (theirs,) for theirs, ours in others.items()}
    found = find_names([*reversed(products), *others, "dinov2.embeddings.mask_token"])
    assert found == {"blocks.7.attn.qkv.weight": tuple(products), **expected}


def test_parted_products_are_joined_as_query_key_and_value():
    weights = empty("dinov2_vits14")
    parts = [np.full((384, 384), i, np.float32) for i in range(3)]
    del weights["blocks.5.attn.qkv.weight"]
    names = [f"encoder.layer.5.attention.attention.{part}.weight" for part in ("query", "key", "value")]
    found = fitting_weights("dinov2_vits14", weights | dict(zip(names, parts, strict=True)), VARIANTS)
    np.testing.assert_array_equal(found["blocks.5.attn.qkv.weight"], np.concatenate(parts))


def test_a_larger_network_is_refused_and_named():
    message, hint = refused("dinov2_vits14", empty("dinov2_vitb14"))
    assert "cls_token should be (1, 1, 384), and is (1, 1, 768)" in message
    assert "dinov2_vitb14" in hint


def test_a_truncated_file_is_refused_at_the_first_tensor_that_it_lacks():
    weights = dict(list(empty("dinov2_vits14").items())[:100])
    message, hint = refused("dinov2_vits14", weights)
    assert "the weights lack blocks.6.ls1.gamma (384,)" in message
    assert "not whole" in hint


def test_registers_that_a_variant_has_not_are_refused():
    message, hint = refused("dinov2_vits14", empty("dinov2_vits14_reg"))
    assert "there is no place for register_tokens (1, 4, 384)" in message
    assert "dinov2_vits14_reg" in hint


def test_a_distilled_network_has_a_token_too_many():
    weights = empty("deit_small_patch16_224") | {"dist_token": np.zeros((1, 1, 384))}
    message, _ = refused("deit_small_patch16_224", weights)
    assert "no place for dist_token (1, 1, 384)" in message


def test_a_query_without_its_key_is_told():
    weights = empty("dinov2_vits14")
    del weights["blocks.0.attn.qkv.weight"]
    weights["encoder.layer.0.attention.attention.query.weight"] = np.zeros((384, 384))
    message, _ = refused("dinov2_vits14", weights)
    assert "the weights lack blocks.0.attn.qkv.weight (1152, 384)" in message
