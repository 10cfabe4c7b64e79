"""ResNets drawn here against torchvision's and timm's own, with random weights and random batch-norm statistics."""

import numpy as np
import pytest
from tests.torch_networks import SIZES, arrays, ensure_alike, randomised, run_drawn

from kizu.backbones.architectures import recognise
from kizu.backbones.resnet import VARIANTS

torch = pytest.importorskip("torch", reason="torch is not installed")

LAYERS = ("layer1", "layer2", "layer3", "layer4")


@pytest.fixture(scope="module", params=VARIANTS)
def torchvision_model(request):
    models = pytest.importorskip("torchvision.models", reason="torchvision is not installed")
    torch.manual_seed(1)
    return request.param, randomised(getattr(models, request.param)(weights=None))


@pytest.mark.parametrize("hw", SIZES)
def test_features_and_logits_are_those_of_torchvision(torchvision_model, hw):
    name, model = torchvision_model
    x = np.random.default_rng(0).standard_normal((2, 3, *hw)).astype(np.float32)
    found = run_drawn(name, model, x)
    with torch.inference_mode():
        expected = {"logits": model(torch.from_numpy(x))}
        y = model.maxpool(model.relu(model.bn1(model.conv1(torch.from_numpy(x)))))
        for layer in LAYERS:
            y = expected[layer] = getattr(model, layer)(y)
    assert set(found) == set(expected)
    ensure_alike(found, expected)


def test_the_architecture_is_recognised(torchvision_model):
    name, model = torchvision_model
    assert recognise(arrays(model))[0] == name


@pytest.mark.parametrize("name", VARIANTS)
def test_the_layers_are_those_that_timm_takes_out(name):
    timm = pytest.importorskip("timm", reason="timm is not installed")
    torch.manual_seed(2)
    model = timm.create_model(name, pretrained=False, features_only=True, out_indices=(1, 2, 3, 4))
    whole = randomised(timm.create_model(name, pretrained=False))
    model.load_state_dict(whole.state_dict(), strict=False)
    x = np.random.default_rng(1).standard_normal((1, 3, 96, 128)).astype(np.float32)
    found = run_drawn(name, whole, x)
    with torch.inference_mode():
        features = model.eval()(torch.from_numpy(x))
    ensure_alike(found, dict(zip(LAYERS, features, strict=True)))
