"""What tests against torch's own networks share. A test that imports it has asked for torch first."""

import numpy as np

from kizu.backbones.architectures import draw
from kizu.backbones.base import PIXELS
from kizu.backbones.session import GraphSession
from kizu.core.work import Work

SIZES = [(224, 224), (96, 160), (97, 131)]
WITHIN = 1e-4
"""Of the largest value of each output."""


def randomised(model):
    """The model with batch norms as training leaves them: no mean of 0, no variance of 1."""
    import torch

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
    """Its state dict."""
    return {name: tensor.numpy() for name, tensor in model.state_dict().items()}


def run_drawn(name, model, x):
    """What the graph drawn from the model's weights gives for `x` (N, 3, H, W)."""
    return GraphSession(draw(name, arrays(model)), Work(cores=2)).run({PIXELS: x})


def ensure_alike(found, expected):
    """Each of the `expected` outputs (torch's tensors by name) is there, `WITHIN` of its largest value."""
    for output, values in expected.items():
        atol = WITHIN * float(values.abs().max())
        np.testing.assert_allclose(found[output], values.numpy(), rtol=0, atol=atol, err_msg=output)
