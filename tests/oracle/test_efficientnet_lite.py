"""EfficientNet-Lite against two oracles: what a picture shows, and timm's own implementation."""

import numpy as np
import pytest

from kizu.backbones.base import PIXELS
from kizu.backbones.checkpoint import read_checkpoint
from kizu.backbones.efficientnet_lite import VARIANTS, weights_path
from kizu.backbones.session import GraphSession
from kizu.backbones.store import load_backbone
from kizu.core.errors import MissingExtraError
from kizu.core.work import Work

SIDES_PX = {"efficientnet_lite0": 224, "efficientnet_lite1": 240, "efficientnet_lite2": 260}
"""What each was trained for."""
ESPRESSO = 967
CATS = range(281, 286)
CROP_FRACTION = 0.875
"""Of the shorter side: the usual centre crop of ImageNet evaluations (224 of 256)."""


@pytest.fixture(scope="module", params=VARIANTS)
def name(request):
    try:
        weights_path(VARIANTS[request.param])
    except MissingExtraError as error:
        pytest.skip(str(error))
    return request.param


def pixels(picture, side):
    """(H, W, 3) uint8 -> (1, 3, side, side): shorter side to side / 0.875, centre crop, mean = std = 0.5."""
    transform = pytest.importorskip("skimage.transform")
    scale = side / CROP_FRACTION / min(picture.shape[:2])
    hw = [round(length * scale) for length in picture.shape[:2]]
    picture = transform.resize(picture, hw, anti_aliasing=True)  # 0..1
    top, left = ((length - side) // 2 for length in hw)
    picture = picture[top : top + side, left : left + side]
    return ((picture - 0.5) / 0.5).astype(np.float32).transpose(2, 0, 1)[None]


def probabilities(name, picture):
    session = GraphSession(load_backbone(name).model, Work(cores=2))
    logits = session.run({PIXELS: pixels(picture, SIDES_PX[name])})["logits"][0]
    odds = np.exp(logits - logits.max())
    return odds / odds.sum()


def test_a_cup_of_coffee_is_espresso(name):
    data = pytest.importorskip("skimage.data")
    found = probabilities(name, data.coffee())
    assert found.argmax() == ESPRESSO
    if name == "efficientnet_lite0":
        assert found[ESPRESSO] == pytest.approx(0.95, abs=0.02)


def test_a_cat_is_a_cat(name):
    data = pytest.importorskip("skimage.data")
    found = probabilities(name, data.chelsea())
    assert found.argmax() in CATS
    assert found[list(CATS)].sum() > 0.7


def timm_key(key, timm_names):
    """The checkpoint's key in timm's words. `timm_names`: timm's block prefixes in order."""
    outer = {
        "_conv_stem": "conv_stem",
        "_bn0": "bn1",
        "_conv_head": "conv_head",
        "_bn1": "bn2",
        "_fc": "classifier",
    }
    first, *rest = key.split(".")
    if first != "_blocks":
        return ".".join([outer[first], *rest])
    block, part, leaf = int(rest[0]), rest[1], rest[2]
    if block == 0:
        inner = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    else:
        inner = {
            "_expand_conv": "conv_pw",
            "_bn0": "bn1",
            "_depthwise_conv": "conv_dw",
            "_bn1": "bn2",
            "_project_conv": "conv_pwl",
            "_bn2": "bn3",
        }
    return f"{timm_names[block]}.{inner[part]}.{leaf}"


@pytest.fixture(scope="module")
def timm_model(name):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    timm = pytest.importorskip("timm", reason="timm is not installed")
    model = timm.create_model(f"tf_{name}", pretrained=False).eval()
    blocks = [f"blocks.{s}.{i}" for s, stage in enumerate(model.blocks) for i in range(len(stage))]
    path = weights_path(VARIANTS[name])
    state = read_checkpoint(path.read_bytes(), name=str(path))
    model.load_state_dict({timm_key(key, blocks): torch.from_numpy(value) for key, value in state.items()})
    return model


@pytest.mark.parametrize("hw", [(224, 224), (256, 384), (250, 131)])
def test_features_and_logits_are_those_of_timm(name, timm_model, hw):
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).uniform(-1, 1, (2, 3, *hw)).astype(np.float32)
    found = GraphSession(load_backbone(name).model, Work(cores=2)).run({PIXELS: x})
    with torch.inference_mode():
        y = timm_model.bn1(timm_model.conv_stem(torch.from_numpy(x)))
        for index, stage in enumerate(timm_model.blocks):
            y = stage(y)
            np.testing.assert_allclose(found[f"blocks.{index}"], y.numpy(), rtol=1e-4, atol=1e-4)
        logits = timm_model(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(found["logits"], logits, rtol=1e-4, atol=1e-4)


def test_torch_reads_the_same_tensors(name):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    path = weights_path(VARIANTS[name])
    ours = read_checkpoint(path.read_bytes(), name=str(path))
    theirs = torch.load(path, map_location="cpu", weights_only=True)
    assert list(ours) == list(theirs)
    for key, tensor in theirs.items():
        np.testing.assert_array_equal(ours[key], tensor.numpy())
