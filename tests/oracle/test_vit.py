"""Vision transformers against timm's and transformers' own, of random weights; tables of positions against torch."""

from dataclasses import replace

import numpy as np
import pytest

from kizu.backbones.base import PIXELS
from kizu.backbones.position_table import CONVENTIONS, resample
from kizu.backbones.session import GraphSession
from kizu.backbones.vit import VARIANTS, draw, draw_sizes
from kizu.backbones.vit_weights import fitting_weights
from kizu.core.work import Work

torch = pytest.importorskip("torch", reason="torch is not installed")

TOLERANCE = 1e-4
"""Of the largest feature."""
TIMM = {
    "dinov2_vits14": "vit_small_patch14_dinov2",
    "dinov2_vitb14": "vit_base_patch14_dinov2",
    "dinov2_vitl14": "vit_large_patch14_dinov2",
    "dinov2_vits14_reg": "vit_small_patch14_reg4_dinov2",
    "dinov2_vitb14_reg": "vit_base_patch14_reg4_dinov2",
    "dinov2_vitl14_reg": "vit_large_patch14_reg4_dinov2",
    "dino_vits16": "vit_small_patch16_224",
    "dino_vits8": "vit_small_patch8_224",
    "dino_vitb16": "vit_base_patch16_224",
    "dino_vitb8": "vit_base_patch8_224",
    "deit_tiny_patch16_224": "deit_tiny_patch16_224",
    "deit_small_patch16_224": "deit_small_patch16_224",
    "deit_base_patch16_224": "deit_base_patch16_224",
    "vit_small_patch16_224": "vit_small_patch16_224",
    "vit_base_patch16_224": "vit_base_patch16_224",
}
WHOLE = {"dinov2_vits14", "dinov2_vits14_reg", "dino_vits16", "dino_vits8", "deit_small_patch16_224"}
"""Drawn with all their blocks; of the others the first three, which have the same parts."""
GRIDS = [(8, 8), (5, 9)]
"""Patches, beside the table's own."""


def randomise(model):
    """Weights of which each moves the outcome: many are 0 or 1 before training."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, values in model.named_parameters():
            if values.ndim > 1:
                values.copy_(
                    torch.randn_like(values) * (0.02 if values.ndim == 3 else values[0].numel() ** -0.5)
                )
            else:
                values.copy_(
                    (name.endswith(("norm1.weight", "norm2.weight", "gamma", "lambda1")))
                    + 0.3 * torch.randn_like(values)
                )
    return model.eval()


def arrays(model):
    return {name: values.numpy() for name, values in model.state_dict().items()}


def pixels(sizes, grid):
    hw = [side * sizes.patch_px for side in grid]
    return np.random.default_rng(0).standard_normal((2, 3, *hw)).astype(np.float32)


def assert_same(found, expected, name):
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < TOLERANCE * np.abs(expected).max(), name


@pytest.fixture(scope="module", params=VARIANTS)
def of_timm(request):
    """(sizes, timm's network, ours)"""
    timm = pytest.importorskip("timm", reason="timm is not installed")
    name, sizes = request.param, VARIANTS[request.param]
    depth = sizes.depth if name in WHOLE else 3
    model = randomise(timm.create_model(TIMM[name], pretrained=False, dynamic_img_size=True, depth=depth))
    if name in WHOLE:
        drawn = draw(name, arrays(model), positions="antialias")
    else:
        sizes = replace(sizes, depth=depth)
        drawn = draw_sizes(sizes, fitting_weights(name, arrays(model), {name: sizes}), positions="antialias")
    return sizes, model, GraphSession(drawn, Work(cores=2))


@pytest.mark.parametrize("grid", [*GRIDS, "own"])
def test_all_blocks_raw_and_normed_and_their_class_tokens_are_those_of_timm(of_timm, grid):
    sizes, model, session = of_timm
    images = pixels(sizes, grid) if grid != "own" else pixels(sizes, (sizes.grid_side,) * 2)[:1]
    found = session.run({PIXELS: images})
    with torch.inference_mode():
        for norm, end in ((False, ""), (True, ".norm")):
            parts = model.forward_intermediates(
                torch.from_numpy(images), intermediates_only=True, norm=norm, return_prefix_tokens=True
            )
            for block, (patches, prefix) in enumerate(parts):
                assert_same(found[f"blocks.{block}{end}"], patches.numpy(), f"blocks.{block}{end}")
                if not norm:
                    assert_same(found[f"blocks.{block}.class"], prefix[:, 0].numpy(), f"blocks.{block}.class")


def transformers_model(registers):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    settings = {
        "hidden_size": 384,
        "num_hidden_layers": 12,
        "num_attention_heads": 6,
        "image_size": 518,
        "patch_size": 14,
        "attn_implementation": "eager",
    }
    if registers:
        config = transformers.Dinov2WithRegistersConfig(num_register_tokens=4, **settings)
        return randomise(transformers.Dinov2WithRegistersModel(config))
    return randomise(transformers.Dinov2Model(transformers.Dinov2Config(**settings)))


@pytest.mark.parametrize(("name", "positions"), [("dinov2_vits14", "size"), ("dinov2_vits14_reg", None)])
def test_dinov2_is_that_of_transformers_by_its_own_names(name, positions):
    sizes = VARIANTS[name]
    model = transformers_model(sizes.registers)
    session = GraphSession(draw(name, arrays(model), positions=positions), Work(cores=2))
    first = 1 + sizes.registers
    for grid in GRIDS:
        images = pixels(sizes, grid)
        found = session.run({PIXELS: images})
        with torch.inference_mode():
            theirs = model(torch.from_numpy(images), output_hidden_states=True, output_attentions=True)
        for block in range(sizes.depth):
            tokens = theirs.hidden_states[block + 1].numpy()
            patches = tokens[:, first:].transpose(0, 2, 1).reshape(2, sizes.dim, *grid)
            assert_same(found[f"blocks.{block}"], patches, f"blocks.{block}")
            attention = theirs.attentions[block].numpy()[:, :, 0, first:]
            assert_same(found[f"blocks.{block}.class_attention"], attention, f"attention of blocks.{block}")
        last = theirs.last_hidden_state.numpy()[:, first:].transpose(0, 2, 1).reshape(2, sizes.dim, *grid)
        assert_same(found["blocks.11.norm"], last, "blocks.11.norm")


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("grid", [(16, 16), (37, 20), (50, 61), (1, 3), (36, 38), (224, 5)])
def test_a_table_is_resampled_as_torch_does_it(convention, grid):
    table = np.random.default_rng(0).standard_normal((37, 37, 8)).astype(np.float32)
    settings = {
        "dinov2": {"scale_factor": tuple((side + 0.1) / 37 for side in grid)},
        "antialias": {"size": grid, "antialias": True},
        "size": {"size": grid},
    }[convention]
    planes = torch.from_numpy(table).permute(2, 0, 1)[None]
    theirs = torch.nn.functional.interpolate(planes, mode="bicubic", **settings)[0].permute(1, 2, 0).numpy()
    found = resample(table, grid, convention)
    assert found.shape == theirs.shape
    np.testing.assert_allclose(found, theirs, atol=2e-5)
