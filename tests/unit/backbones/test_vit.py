"""Vision transformers: against a forward pass in plain NumPy, and the sizes of the family."""

import dataclasses

import numpy as np
import pytest
from scipy.special import erf

from kizu.backbones.base import PIXELS, default_layers
from kizu.backbones.position_table import CONVENTIONS, resample
from kizu.backbones.session import GraphSession
from kizu.backbones.vit import VARIANTS, draw, draw_sizes, layers, layers_of
from kizu.backbones.vit_weights import Sizes
from kizu.core.errors import BackboneError, ConfigError
from kizu.core.work import Work

SMALL = Sizes(patch_px=4, dim=24, depth=3, heads=3, grid_side=5, positions="dinov2")
"""Heads of 8: their root is no power of two, and rounding would show."""
KINDS = {
    "plain": SMALL,
    "registers and LayerScale": dataclasses.replace(
        SMALL, registers=2, layer_scale=True, positions="antialias"
    ),
    "by size": dataclasses.replace(SMALL, layer_scale=True, positions="size"),
}
SIZES_PX = [(20, 20), (12, 28), (32, 4)]


def random_weights(sizes, seed=0):
    """Large enough that every part moves the outcome."""
    rng = np.random.default_rng(seed)
    weights = {}
    for key, shape in sizes.shapes().items():
        fan_in = (
            np.prod(shape[1:]) if len(shape) > 1 and not key.endswith(("token", "tokens", "embed")) else 1
        )
        values = rng.standard_normal(shape) / np.sqrt(fan_in)
        weights[key] = (values + (key.endswith(("norm1.weight", "norm2.weight")))).astype(np.float32)
    return weights


def norm(x, weights, name):
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-6) * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def linear(x, weights, name):
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def softmax(x):
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def forward(pixels, weights, sizes):
    """One image (3, H, W) -> the outputs' values by name, one head at a time."""
    weights = {key: value.astype(np.float64) for key, value in weights.items()}
    p, first = sizes.patch_px, 1 + sizes.registers
    h, w = pixels.shape[1] // p, pixels.shape[2] // p
    cut = pixels.reshape(3, h, p, w, p).transpose(1, 3, 0, 2, 4).reshape(h * w, -1)
    patches = cut @ weights["patch_embed.proj.weight"].reshape(sizes.dim, -1).T
    patches = patches + weights["patch_embed.proj.bias"]
    positions = weights["pos_embed"][0]
    table = positions[1:].reshape(sizes.grid_side, sizes.grid_side, -1)
    patches = patches + resample(table.astype(np.float32), (h, w), sizes.positions).reshape(h * w, -1)
    x = np.concatenate(
        [
            weights["cls_token"][0] + positions[:1],
            weights["register_tokens"][0] if sizes.registers else np.zeros((0, sizes.dim)),
            patches,
        ]
    )
    found = {}
    for block in range(sizes.depth):
        name = f"blocks.{block}"
        ls1, ls2 = ((weights[f"{name}.ls{i}.gamma"] if sizes.layer_scale else 1) for i in (1, 2))
        triples = linear(norm(x, weights, f"{name}.norm1"), weights, f"{name}.attn.qkv")
        queries, keys, values = (np.split(part, sizes.heads, 1) for part in np.split(triples, 3, 1))
        heads, looks = [], []
        for query, key, value in zip(queries, keys, values, strict=True):
            attention = softmax(query @ key.T / np.sqrt(query.shape[1]))
            looks.append(attention[0, first:])
            heads.append(attention @ value)
        x = x + ls1 * linear(np.concatenate(heads, 1), weights, f"{name}.attn.proj")
        hidden = linear(norm(x, weights, f"{name}.norm2"), weights, f"{name}.mlp.fc1")
        hidden = hidden * (1 + erf(hidden / np.sqrt(2))) / 2
        x = x + ls2 * linear(hidden, weights, f"{name}.mlp.fc2")
        found[name] = x[first:].T.reshape(-1, h, w)
        found[f"{name}.norm"] = norm(x, weights, "norm")[first:].T.reshape(-1, h, w)
        found[f"{name}.class"] = x[0]
        found[f"{name}.class_attention"] = np.stack(looks)
    return found


@pytest.fixture(scope="module", params=KINDS)
def sizes(request):
    return KINDS[request.param]


@pytest.fixture(scope="module")
def weights(sizes):
    return random_weights(sizes)


@pytest.fixture(scope="module", params=["onnxruntime", "openvino"])
def session(request, sizes, weights):
    pytest.importorskip(request.param, reason=f"{request.param} is not installed")
    return GraphSession(draw_sizes(sizes, weights), Work(cores=1, runtime=request.param))


def pixels(hw, count=2):
    return np.random.default_rng(1).standard_normal((count, 3, *hw)).astype(np.float32)


@pytest.mark.parametrize("hw", SIZES_PX)
def test_every_output_is_that_of_the_plain_forward_pass(session, sizes, weights, hw):
    images = pixels(hw)
    found = session.run({PIXELS: images})
    expected = [forward(image, weights, sizes) for image in images]
    assert set(found) == set(expected[0])
    for name in found:
        whole = np.stack([one[name] for one in expected])
        np.testing.assert_allclose(found[name], whole, atol=1e-5 * np.abs(whole).max(), err_msg=name)


def test_a_graph_for_one_size_gives_the_same(sizes, weights):
    images = pixels((12, 28), 3)
    free, fixed = (
        GraphSession(draw_sizes(sizes, weights, image_hw=hw), Work(cores=1)) for hw in (None, (12, 28))
    )
    found, expected = fixed.run({PIXELS: images}), free.run({PIXELS: images})
    assert fixed.inputs == {PIXELS: (None, 3, 12, 28)}
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-5 * np.abs(expected[name]).max())


def test_another_convention_is_another_graph(sizes, weights):
    images = pixels((12, 28))
    found = [
        GraphSession(draw_sizes(sizes, weights, positions=convention), Work(cores=1)).run({PIXELS: images})
        for convention in CONVENTIONS
    ]
    for i in range(3):
        difference = np.abs(found[i]["blocks.2"] - found[(i + 1) % 3]["blocks.2"]).max()
        assert difference > 1e-3 * np.abs(found[i]["blocks.2"]).max()


def test_layers_are_the_outputs_of_four_axes(sizes, weights):
    model = draw_sizes(sizes, weights)
    outputs = {value.name: len(value.type.tensor_type.shape.dim) for value in model.graph.output}
    assert {name for name, axes in outputs.items() if axes == 4} == {x.name for x in layers_of(sizes)}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_offers_its_blocks_raw_and_normed(name):
    variant = VARIANTS[name]
    names = [layer.name for layer in layers(name)]
    assert names[: variant.depth] == [f"blocks.{block}" for block in range(variant.depth)]
    assert names[variant.depth :] == [f"blocks.{block}.norm" for block in range(variant.depth)]
    assert {(layer.stride, layer.dim) for layer in layers(name)} == {(variant.patch_px, variant.dim)}
    assert variant.dim == 64 * variant.heads


def test_where_nobody_chooses_the_two_middle_blocks_are_looked_at():
    assert default_layers(layers("dinov2_vits14")) == ("blocks.5", "blocks.6")


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("dinov2_vits14", 22.06),
        ("dinov2_vitb14", 86.58),
        ("dinov2_vitl14", 304.37),
        ("dinov2_vits14_reg", 22.06),
        ("dino_vits16", 21.67),
        ("dino_vits8", 21.67),
        ("dino_vitb16", 85.80),
        ("deit_tiny_patch16_224", 5.52),
        ("vit_base_patch16_224", 85.80),
    ],
)
def test_a_variant_has_the_parameters_that_its_authors_count(name, millions):
    count = sum(int(np.prod(shape)) for shape in VARIANTS[name].shapes().values())
    assert count / 1e6 == pytest.approx(millions, abs=0.01)


def test_an_unknown_variant_is_refused():
    with pytest.raises(ConfigError, match="unknown vision transformer: 'dinov2_vits41'"):
        layers("dinov2_vits41")


def test_weights_that_do_not_fit_are_refused_before_anything_is_drawn():
    with pytest.raises(BackboneError, match="the weights lack cls_token"):
        draw("dinov2_vits14", {})
