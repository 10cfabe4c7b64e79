"""ResNets against a plain forward pass in NumPy and SciPy, and which weights are refused."""

import numpy as np
import pytest
from scipy import signal
from tests.support import resnet_weights

from kizu.backbones import resnet
from kizu.backbones.base import PIXELS, default_layers
from kizu.backbones.resnet import Variant, draw, layers
from kizu.backbones.session import GraphSession
from kizu.core.errors import BackboneError
from kizu.core.work import Work

SMALL = {
    "plain": Variant((2, 1, 2, 1), bottleneck=False, stem=4),
    "narrow": Variant((1, 2, 1, 1), bottleneck=True, stem=4),
    "wide": Variant((1, 1, 1, 2), bottleneck=True, width=2, stem=4),
}
SIZES = [(32, 32), (32, 64), (45, 33)]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    for name, variant in SMALL.items():
        monkeypatch.setitem(resnet.VARIANTS, name, variant)


def convolve(x, kernel, stride, padding):
    """x: (in, H, W), kernel: (out, in, k, k)"""
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    whole = [
        sum(signal.correlate(x[i], row[i], mode="valid", method="direct") for i in range(len(x)))
        for row in kernel
    ]
    return np.stack(whole)[:, ::stride, ::stride]


def pool(x):
    """The maximum of 3 x 3 at stride 2, nothing counted beyond the border."""
    x = np.pad(x, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))
    return windows[:, ::2, ::2].max(axis=(3, 4))


class Forward:
    """What the paper says, layer by layer, batch norms by themselves."""

    def __init__(self, weights):
        self.weights = {name: values.astype(np.float64) for name, values in weights.items()}

    def step(self, x, conv, norm, stride=1):
        kernel = self.weights[f"{conv}.weight"]
        x = convolve(x, kernel, stride, kernel.shape[-1] // 2)
        mean, variance, gain, offset = (
            self.weights[f"{norm}.{part}"][:, None, None]
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / np.sqrt(variance + 1e-5) * gain + offset

    def block(self, x, place, stride):
        count = sum(f"{place}.conv{index}.weight" in self.weights for index in (1, 2, 3))
        y = x
        for index in range(1, count + 1):
            at = stride if index == count - 1 else 1
            y = self.step(y, f"{place}.conv{index}", f"{place}.bn{index}", at)
            y = np.maximum(y, 0) if index < count else y
        if f"{place}.downsample.0.weight" in self.weights:
            x = self.step(x, f"{place}.downsample.0", f"{place}.downsample.1", stride)
        return np.maximum(x + y, 0)

    def run(self, x, repeats):
        found = {}
        x = pool(np.maximum(self.step(x, "conv1", "bn1", 2), 0))
        for stage, count in enumerate(repeats):
            for repeat in range(count):
                x = self.block(x, f"layer{stage + 1}.{repeat}", 2 if stage and repeat == 0 else 1)
            found[f"layer{stage + 1}"] = x
        found["logits"] = self.weights["fc.weight"] @ x.mean(axis=(1, 2)) + self.weights["fc.bias"]
        return found


@pytest.mark.parametrize("hw", SIZES)
@pytest.mark.parametrize("name", SMALL)
def test_every_layer_is_that_of_a_plain_forward_pass(name, hw):
    weights = resnet_weights(SMALL[name])
    x = np.random.default_rng(1).standard_normal((3, *hw)).astype(np.float32)
    found = GraphSession(draw(name, weights), Work(cores=1)).run({PIXELS: x[None]})
    expected = Forward(weights).run(x.astype(np.float64), SMALL[name].repeats)
    assert set(found) == set(expected)
    for output, values in expected.items():
        np.testing.assert_allclose(found[output][0], values, rtol=0, atol=1e-5 * np.abs(values).max())


@pytest.mark.parametrize("name", [*resnet.VARIANTS])
def test_the_facts_are_the_papers(name):
    dims = (64, 128, 256, 512) if name in ("resnet18", "resnet34") else (256, 512, 1024, 2048)
    assert [(x.name, x.stride, x.dim) for x in layers(name)] == [
        (f"layer{index}", stride, dim)
        for index, stride, dim in zip((1, 2, 3, 4), (4, 8, 16, 32), dims, strict=True)
    ]
    assert default_layers(layers(name)) == ("layer2", "layer3")


def test_without_a_head_there_are_no_logits():
    weights = {
        name: values for name, values in resnet_weights(SMALL["plain"]).items() if not name.startswith("fc.")
    }
    assert [port.name for port in draw("plain", weights).graph.output] == [
        "layer1",
        "layer2",
        "layer3",
        "layer4",
    ]


@pytest.mark.parametrize(
    ("name", "shape", "told"),
    [
        ("conv1.weight", None, r"no tensor 'conv1.weight', which must be \(4, 3, 7, 7\)"),
        ("conv1.weight", (4, 3, 3, 3), r"'conv1.weight' must be \(4, 3, 7, 7\), it is \(4, 3, 3, 3\)"),
        ("layer2.0.bn2.running_var", (7,), r"'layer2.0.bn2.running_var' must be \(8\), it is \(7,\)"),
        ("layer2.0.downsample.1.bias", None, r"no tensor 'layer2.0.downsample.1.bias'"),
        ("layer4.0.conv2.weight", (32, 32), r"'layer4.0.conv2.weight' must be \(32, 32, 3, 3\)"),
        ("fc.weight", (5, 31), r"'fc.weight' must be \(any, 32\), it is \(5, 31\)"),
        ("fc.bias", None, r"no tensor 'fc.bias', which must be \(5\)"),
    ],
)
def test_the_first_tensor_that_is_missing_or_does_not_fit_is_named_with_both_shapes(name, shape, told):
    weights = resnet_weights(SMALL["plain"])
    if shape is None:
        del weights[name]
    else:
        weights[name] = np.zeros(shape, np.float32)
    with pytest.raises(BackboneError, match=told):
        draw("plain", weights)
