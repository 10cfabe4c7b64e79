"""Low-rank adapters: W x + (alpha / r) B A x.

Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022. A is drawn, B starts at 0, so that a fresh
adapter changes nothing. One adapter covers some rows of a product: of a fused query, key and value, those of query and
those of value each have their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Target:
    """Rows of a weight, under its name in the state dict."""

    weight: str
    start: int
    stop: int
    inside: int
    """Inputs of the product."""

    @property
    def name(self) -> str:
        return f"{self.weight}[{self.start}:{self.stop}]"


class Adapters:
    """All adapters of a network; `product` and `conv` are its layers with them."""

    def __init__(
        self, targets: tuple[Target, ...], rank: int, scale: float, dropout: float, seed: int
    ) -> None:
        self.targets, self.scale, self.dropout = targets, scale, dropout
        chance = torch.Generator().manual_seed(seed)
        self.parameters: dict[str, torch.Tensor] = {}
        for t in targets:
            drawn = torch.randn(rank, t.inside, generator=chance) / t.inside**0.5
            self.parameters[f"{t.name}.A"] = drawn.requires_grad_()
            self.parameters[f"{t.name}.B"] = torch.zeros(t.stop - t.start, rank).requires_grad_()
        self._of = {t.weight: [o for o in targets if o.weight == t.weight] for t in targets}

    def product(
        self, name: str, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, training: bool
    ) -> torch.Tensor:
        """(..., in) -> (..., out)"""
        out = functional.linear(x, weight, bias)
        for t in self._of.get(name, ()):
            a, b = self.parameters[f"{t.name}.A"], self.parameters[f"{t.name}.B"]
            low = functional.linear(functional.dropout(x, self.dropout, training), a)
            added = self.scale * functional.linear(low, b)
            out = out + functional.pad(added, (t.start, out.shape[-1] - t.stop))
        return out

    def conv(self, name: str, x: torch.Tensor, weight: torch.Tensor, training: bool) -> torch.Tensor:
        """A 1 x 1 convolution: (N, in, h, w) -> (N, out, h, w)"""
        moved = self.product(name, x.movedim(1, -1), weight[:, :, 0, 0], None, training)
        return moved.movedim(-1, 1)

    def merged(self, weights: Mapping[str, NDArray[np.floating]]) -> dict[str, NDArray[np.floating]]:
        """W + (alpha / r) B A; what has no adapter is the same array. Where there is no W yet, it is I: a residual."""
        found = dict(weights)
        for t in self.targets:
            a, b = (self.parameters[f"{t.name}.{part}"].detach().double().numpy() for part in "AB")
            own = np.array(found.get(t.weight, np.eye(t.stop - t.start)), np.float64)
            own[t.start : t.stop] += (self.scale * b @ a).reshape(own[t.start : t.stop].shape)
            found[t.weight] = own.astype(np.float32)
        return found
