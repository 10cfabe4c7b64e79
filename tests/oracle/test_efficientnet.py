"""EfficientNets drawn here against timm's own, with random weights and random batch-norm statistics."""

import numpy as np
import pytest
from tests.torch_networks import SIZES, arrays, ensure_alike, randomised, run_drawn

from kizu.backbones.architectures import recognise
from kizu.backbones.efficientnet import VARIANTS
from kizu.core.errors import BackboneError

torch = pytest.importorskip("torch", reason="torch is not installed")


@pytest.fixture(scope="module", params=VARIANTS)
def timm_model(request):
    timm = pytest.importorskip("timm", reason="timm is not installed")
    torch.manual_seed(1)
    return request.param, randomised(timm.create_model(request.param, pretrained=False))


@pytest.mark.parametrize("hw", SIZES)
def test_features_and_logits_are_those_of_timm(timm_model, hw):
    name, model = timm_model
    x = np.random.default_rng(0).standard_normal((2, 3, *hw)).astype(np.float32)
    found = run_drawn(name, model, x)
    with torch.inference_mode():
        expected = {"logits": model(torch.from_numpy(x))}
        y = model.bn1(model.conv_stem(torch.from_numpy(x)))
        for index, stage in enumerate(model.blocks):
            y = expected[f"blocks.{index}"] = stage(y)
    assert set(found) == set(expected)
    ensure_alike(found, expected)


def test_the_two_trainings_are_told_apart_by_the_user_alone(timm_model):
    name, model = timm_model
    plain = name.removeprefix("tf_")
    with pytest.raises(BackboneError, match=f"fit {plain} and tf_{plain}"):
        recognise(arrays(model))
