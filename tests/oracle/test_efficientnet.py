"""EfficientNets drawn here against timm's own, with random weights and random batch-norm statistics."""

import numpy as np
import pytest

from kizu.backbones.architectures import draw, recognise
from kizu.backbones.base import PIXELS
from kizu.backbones.efficientnet import VARIANTS
from kizu.backbones.session import GraphSession
from kizu.core.errors import BackboneError
from kizu.core.work import Work

torch = pytest.importorskip("torch", reason="torch is not installed")

SIZES = [(224, 224), (96, 160), (97, 131)]
WITHIN = 1e-4
"""Of the largest value of each output."""


@pytest.fixture(scope="module", params=VARIANTS)
def timm_model(request):
    timm = pytest.importorskip("timm", reason="timm is not installed")
    torch.manual_seed(1)
    model = timm.create_model(request.param, pretrained=False).eval()
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
    return request.param, model


def arrays(model):
    return {name: tensor.numpy() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("hw", SIZES)
def test_features_and_logits_are_those_of_timm(timm_model, hw):
    name, model = timm_model
    x = np.random.default_rng(0).standard_normal((2, 3, *hw)).astype(np.float32)
    found = GraphSession(draw(name, arrays(model)), Work(cores=2)).run({PIXELS: x})
    with torch.inference_mode():
        expected = {"logits": model(torch.from_numpy(x))}
        y = model.bn1(model.conv_stem(torch.from_numpy(x)))
        for index, stage in enumerate(model.blocks):
            y = expected[f"blocks.{index}"] = stage(y)
    assert set(found) == set(expected)
    for output, values in expected.items():
        scale = float(values.abs().max())
        np.testing.assert_allclose(found[output], values.numpy(), rtol=0, atol=WITHIN * scale, err_msg=output)


def test_the_two_trainings_are_told_apart_by_the_user_alone(timm_model):
    name, model = timm_model
    plain = name.removeprefix("tf_")
    with pytest.raises(BackboneError, match=f"fit {plain} and tf_{plain}"):
        recognise(arrays(model))
