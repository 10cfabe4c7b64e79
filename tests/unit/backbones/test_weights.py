"""Batch norm folded into a convolution gives what both would."""

import numpy as np

from kizu.backbones.weights import fold_batch_norm


def test_folding_equals_convolution_then_batch_norm():
    rng = np.random.default_rng(0)
    weights = {"conv.weight": rng.standard_normal((5, 3, 1, 1))}
    weights |= {
        f"norm.{part}": rng.uniform(0.2, 2, 5) for part in ("running_mean", "running_var", "weight", "bias")
    }
    x = rng.standard_normal(3)
    weight, bias = fold_batch_norm(weights, "conv", "norm", (5, 3, 1, 1), epsilon=1e-2)
    plain = weights["conv.weight"][:, :, 0, 0] @ x
    normed = (plain - weights["norm.running_mean"]) / np.sqrt(weights["norm.running_var"] + 1e-2)
    np.testing.assert_allclose(
        weight[:, :, 0, 0] @ x + bias, normed * weights["norm.weight"] + weights["norm.bias"], rtol=1e-5
    )
