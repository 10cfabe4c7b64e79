"""ResNets drawn here against torchvision's and timm's own, with random weights and random batch-norm statistics."""

import numpy as np
import pytest

from kizu.backbones.architectures import draw, recognise
from kizu.backbones.base import PIXELS
from kizu.backbones.resnet import VARIANTS
from kizu.backbones.session import GraphSession
from kizu.core.work import Work

torch = pytest.importorskip("torch", reason="torch is not installed")

SIZES = [(224, 224), (96, 160), (97, 131)]
WITHIN = 1e-4
"""Of the largest value of each output."""


def randomised(model):
    """The model with batch norms as training leaves them: no mean of 0, no variance of 1."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                for values, low, high in (
                    (module.weight, 0.5, 1.5),
                    (module.bias, -0.3, 0.3),
                    (module.running_mean, -0.3, 0.3),
                    (module.running_var, 0.5, 1.5),
                ):
                    values.uniform_(low, high, generator=generator)
    return model.eval()


def arrays(model):
    return {name: tensor.numpy() for name, tensor in model.state_dict().items()}


@pytest.fixture(scope="module", params=VARIANTS)
def torchvision_model(request):
    models = pytest.importorskip("torchvision.models", reason="torchvision is not installed")
    torch.manual_seed(1)
    return request.param, randomised(getattr(models, request.param)(weights=None))


@pytest.mark.parametrize("hw", SIZES)
def test_features_and_logits_are_those_of_torchvision(torchvision_model, hw):
    name, model = torchvision_model
    x = np.random.default_rng(0).standard_normal((2, 3, *hw)).astype(np.float32)
    found = GraphSession(draw(name, arrays(model)), Work(cores=2)).run({PIXELS: x})
    with torch.inference_mode():
        expected = {"logits": model(torch.from_numpy(x))}
        y = model.maxpool(model.relu(model.bn1(model.conv1(torch.from_numpy(x)))))
        for layer in ("layer1", "layer2", "layer3", "layer4"):
            y = expected[layer] = getattr(model, layer)(y)
    assert set(found) == set(expected)
    for output, values in expected.items():
        scale = float(values.abs().max())
        np.testing.assert_allclose(found[output], values.numpy(), rtol=0, atol=WITHIN * scale, err_msg=output)


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
    found = GraphSession(draw(name, arrays(whole)), Work(cores=2)).run({PIXELS: x})
    with torch.inference_mode():
        features = model.eval()(torch.from_numpy(x))
    for layer, values in zip(("layer1", "layer2", "layer3", "layer4"), features, strict=True):
        scale = float(values.abs().max())
        np.testing.assert_allclose(found[layer], values.numpy(), rtol=0, atol=WITHIN * scale)
