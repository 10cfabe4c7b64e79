"""What tuning makes small, over patches: cross-entropy, and the same weighted by the network's own confidence.

    l  = softplus(z / T) - y z / T                                       cross-entropy of a logit over a temperature
    L1 = mean over flawed patches of l / 2 + mean over good patches of l / 2
    c  = 1 + exp(s)                                                       the confidence, from a second output s
    L2 = mean over patches of (c l - g log c)                             (DUSt3R's form; Wang et al., CVPR 2024)
    L  = L1 + w L2

A patch is flawed from a half on, and counts for nothing where it is flawed in part only. L2's slope in s is
(c - 1)(l - g / c) / P: confidence grows where l < g / c, so that patches that cannot be told weigh less.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from kizu.tuning.config import TuneConfig


def patch_loss(z: torch.Tensor, y: torch.Tensor, temperature: float) -> torch.Tensor:
    """Cross-entropy of each of P patches."""
    return functional.softplus(z / temperature) - y * z / temperature


def confidence_loss(loss: torch.Tensor, s: torch.Tensor, price: float) -> torch.Tensor:
    """L2 of patch losses (P,) and second outputs (P,)."""
    confidence = 1 + torch.exp(s)
    return (confidence * loss - price * torch.log(confidence)).mean()


def total_loss(z: torch.Tensor, s: torch.Tensor, share: torch.Tensor, config: TuneConfig) -> torch.Tensor:
    """L of logits, second outputs and the flawed part of each of P patches."""
    counts = (share == 0) | (share >= 0.5)
    z, s, y = z[counts], s[counts], (share[counts] >= 0.5).float()
    loss = patch_loss(z, y, config.temperature)
    halves = [loss[y == label].mean() for label in (0, 1) if bool((y == label).any())]
    balanced = torch.stack(halves).mean()
    return balanced + config.confidence * confidence_loss(loss, s.clamp(-6, 6), config.confidence_price)
