"""EfficientNets against a plain forward pass in NumPy and SciPy, and which weights are refused."""

import numpy as np
import pytest
from scipy import signal, special

from kizu.backbones import efficientnet
from kizu.backbones.base import PIXELS
from kizu.backbones.efficientnet import Variant, draw, layers
from kizu.backbones.session import GraphSession
from kizu.core.errors import BackboneError
from kizu.core.work import Work

SMALL = {
    "torch": Variant(0.1, 0.5),
    "tensorflow": Variant(0.1, 0.5, from_tensorflow=True),
}
EPSILON = {"torch": 1e-5, "tensorflow": 1e-3}
FEW = 3


@pytest.fixture(autouse=True)
def small(monkeypatch):
    for name, variant in SMALL.items():
        monkeypatch.setitem(efficientnet.VARIANTS, name, variant)


def blocks(variant):
    """(prefix, channels before, inside and after, kernel, stride) of each block"""
    before = variant.stem
    for index, stage in enumerate(variant.stages()):
        for repeat in range(stage.repeats):
            inner = before * 6 if index else before
            yield (
                f"blocks.{index}.{repeat}",
                (before, inner, stage.dim),
                stage.kernel,
                (1 if repeat else stage.stride),
            )
            before = stage.dim


def random_weights(variant):
    rng = np.random.default_rng(0)
    made = {}

    def conv(name, norm, *shape):
        made[f"{name}.weight"] = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
        for part in ("weight", "bias", "running_mean", "running_var"):
            made[f"{norm}.{part}"] = rng.uniform(0.5, 1.5, shape[0])

    conv("conv_stem", "bn1", variant.stem, 3, 3, 3)
    for prefix, (before, inner, after), kernel, _ in blocks(variant):
        names = ["conv_dw", "conv_pw"] if before == inner else ["conv_pw", "conv_dw", "conv_pwl"]
        shapes = {"conv_dw": (inner, 1, kernel, kernel), "conv_pw": (after, inner, 1, 1)}
        if before != inner:
            shapes |= {"conv_pw": (inner, before, 1, 1), "conv_pwl": (after, inner, 1, 1)}
        for index, name in enumerate(names, start=1):
            conv(f"{prefix}.{name}", f"{prefix}.bn{index}", *shapes[name])
        made[f"{prefix}.se.conv_reduce.weight"] = rng.standard_normal((FEW, inner, 1, 1))
        made[f"{prefix}.se.conv_reduce.bias"] = rng.standard_normal(FEW)
        made[f"{prefix}.se.conv_expand.weight"] = rng.standard_normal((inner, FEW, 1, 1))
        made[f"{prefix}.se.conv_expand.bias"] = rng.standard_normal(inner)
    conv("conv_head", "bn2", variant.head, after, 1, 1)
    made["classifier.weight"] = rng.standard_normal((4, variant.head))
    made["classifier.bias"] = rng.standard_normal(4)
    return made


def silu(x):
    return x * special.expit(x)


def padding(length, kernel, stride, from_tensorflow):
    """Zeros (before, after): torch's are symmetric, TensorFlow's are as few as will do, the odd one behind."""
    if not from_tensorflow:
        return kernel // 2, kernel // 2
    total = max((-(-length // stride) - 1) * stride + kernel - length, 0)
    return total // 2, total - total // 2


def convolve(x, kernel, stride, from_tensorflow):
    k = kernel.shape[-1]
    x = np.pad(x, ((0, 0), *(padding(side, k, stride, from_tensorflow) for side in x.shape[1:])))
    if kernel.shape[1] == 1:
        whole = [signal.correlate(x[i], kernel[i, 0], mode="valid", method="direct") for i in range(len(x))]
    else:
        whole = [
            sum(signal.correlate(x[i], row[i], mode="valid", method="direct") for i in range(len(x)))
            for row in kernel
        ]
    return np.stack(whole)[:, ::stride, ::stride]


def forward(x, name, weights):
    variant = SMALL[name]

    def step(x, conv, norm, stride=1):
        x = convolve(x, weights[f"{conv}.weight"], stride, variant.from_tensorflow)
        mean, variance, gain, offset = (
            weights[f"{norm}.{part}"][:, None, None]
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / np.sqrt(variance + EPSILON[name]) * gain + offset

    found = {}
    x = silu(step(x, "conv_stem", "bn1", 2))
    for prefix, (before, inner, after), _, stride in blocks(variant):
        y, norms = x, iter(f"{prefix}.bn{index}" for index in (1, 2, 3))
        if before != inner:
            y = silu(step(y, f"{prefix}.conv_pw", next(norms)))
        y = silu(step(y, f"{prefix}.conv_dw", next(norms), stride))
        se = f"{prefix}.se.conv_"
        few = silu(
            weights[f"{se}reduce.weight"][..., 0, 0] @ y.mean(axis=(1, 2)) + weights[f"{se}reduce.bias"]
        )
        gate = special.expit(weights[f"{se}expand.weight"][..., 0, 0] @ few + weights[f"{se}expand.bias"])
        y = y * gate[:, None, None]
        y = step(y, f"{prefix}.{'conv_pw' if before == inner else 'conv_pwl'}", next(norms))
        x = x + y if stride == 1 and before == after else y
        found[prefix.rpartition(".")[0]] = x
    x = silu(step(x, "conv_head", "bn2")).mean(axis=(1, 2))
    found["logits"] = weights["classifier.weight"] @ x + weights["classifier.bias"]
    return found


@pytest.mark.parametrize("hw", [(32, 32), (45, 33)])
@pytest.mark.parametrize("name", SMALL)
def test_every_layer_is_that_of_a_plain_forward_pass(name, hw):
    weights = random_weights(SMALL[name])
    x = np.random.default_rng(1).standard_normal((3, *hw))
    given = {key: values.astype(np.float32) for key, values in weights.items()}
    found = GraphSession(draw(name, given), Work(cores=1)).run({PIXELS: x[None].astype(np.float32)})
    expected = forward(x, name, weights)
    assert set(found) == set(expected)
    for output, values in expected.items():
        np.testing.assert_allclose(
            found[output][0], values, rtol=0, atol=1e-4 * np.abs(values).max(), err_msg=output
        )


def test_the_sizes_are_the_papers():
    assert [(x.stride, x.dim) for x in layers("efficientnet_b0")] == [
        (2, 16), (4, 24), (8, 40), (16, 80), (16, 112), (32, 192), (32, 320)
    ]  # fmt: skip
    assert [x.dim for x in layers("efficientnet_b2")] == [16, 24, 48, 88, 120, 208, 352]
    assert efficientnet.VARIANTS["efficientnet_b2"].head == 1408


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("blocks.2.0.se.conv_expand.bias", "'blocks.2.0.se.conv_expand.bias', which must be"),
        ("blocks.0.0.bn2.running_mean", "'blocks.0.0.bn2.running_mean'"),
        ("classifier.bias", r"'classifier.bias', which must be \(4\)"),
    ],
)
def test_the_first_tensor_that_is_missing_is_named(name, told):
    weights = random_weights(SMALL["torch"])
    del weights[name]
    with pytest.raises(BackboneError, match=told):
        draw("torch", weights)
