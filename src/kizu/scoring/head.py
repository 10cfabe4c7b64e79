"""A small network from one patch's features to a logit, its loss and the exact gradient, and AdamW: in NumPy.

The loss is the binary cross-entropy of logits. Patches whose label is known count one by one; of an image that is known
to be flawed, but not where, the mean of its `k` highest logits counts as one flawed patch (multiple instances;
Sultani, Chen & Shah, "Real-world Anomaly Detection in Surveillance Videos", CVPR 2018, with cross-entropy in place of
their ranking). AdamW: Loshchilov & Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Parameters = tuple[Array, ...]
"""Weight (in, out) and bias (out,) of each layer in turn; the last one has one output."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """N patches whose label is known."""

    x: Array
    """(N, D)"""
    y: Array
    """(N,) 1: flawed, 0: good"""
    weight: Array
    """(N,) how much each counts"""


@dataclass(frozen=True, slots=True)
class Bag:
    """All patches of an image that is flawed somewhere."""

    x: Array
    """(P, D)"""
    k: int
    """Of its highest logits the mean counts."""
    weight: float


def make_parameters(widths: Sequence[int], rng: np.random.Generator) -> Parameters:
    """Of layers from `widths[0]` inputs to one output; He's initialisation, biases 0."""
    made: list[Array] = []
    for before, after in zip(widths, (*widths[1:], 1), strict=True):
        spread = (2 / before) ** 0.5
        made += [
            (rng.standard_normal((before, after)) * spread).astype(np.float32),
            np.zeros(after, np.float32),
        ]
    return tuple(made)


def logits(parameters: Parameters, x: Array) -> Array:
    """(N, D) -> (N,)"""
    return _forward(parameters, x)[-1][:, 0]


def _forward(parameters: Parameters, x: Array) -> list[Array]:
    """The input and what each layer gives, before its ReLU."""
    given = [x]
    for layer in range(0, len(parameters), 2):
        before = given[-1] if layer == 0 else np.maximum(given[-1], 0)
        given.append(before @ parameters[layer] + parameters[layer + 1])
    return given


def loss_and_gradient(
    parameters: Parameters, labelled: Labelled, bags: Sequence[Bag] = ()
) -> tuple[float, Parameters]:
    """The loss, divided by all weight, and its gradient."""
    total = float(labelled.weight.sum()) + sum(bag.weight for bag in bags)
    given = _forward(parameters, labelled.x)
    z = given[-1][:, 0]
    loss = float((labelled.weight * _cross_entropy(z, labelled.y)).sum())
    slope = labelled.weight * (_sigmoid(z) - labelled.y) / total
    gradient = _backward(parameters, given, slope)
    for bag in bags:
        everywhere = logits(parameters, bag.x)
        highest = np.argpartition(everywhere, -bag.k)[-bag.k :]
        given = _forward(parameters, bag.x[highest])
        z = given[-1][:, 0]
        loss += bag.weight * float(_cross_entropy(z.mean(), 1.0))
        slope = np.full(bag.k, bag.weight * (_sigmoid(z.mean()) - 1) / (bag.k * total), z.dtype)
        gradient = tuple(a + b for a, b in zip(gradient, _backward(parameters, given, slope), strict=True))
    return loss / total, gradient


def _backward(parameters: Parameters, given: Sequence[Array], slope: Array) -> Parameters:
    """From the loss's slope (N,) at each logit to that at each parameter."""
    found: list[Array] = []
    out = slope[:, None]
    for layer in reversed(range(0, len(parameters), 2)):
        before = given[layer // 2]
        inside = before if layer == 0 else np.maximum(before, 0)
        found += [out.sum(axis=0), inside.T @ out]
        if layer:
            out = (out @ parameters[layer].T) * (before > 0)
    return tuple(reversed(found))


def _cross_entropy(z: Array | float, y: Array | float) -> Array:
    return np.asarray(np.logaddexp(0, z) - y * z)


def _sigmoid(z: Array) -> Array:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * z)))  # does not overflow


@dataclass(slots=True)
class AdamW:
    """The state of the optimiser."""

    rate: float
    decay: float
    """Of weights, not of biases."""
    step: int = 0
    first: list[Array] = field(default_factory=list)
    second: list[Array] = field(default_factory=list)

    def update(
        self, parameters: Parameters, gradient: Parameters, *, rate: float | None = None
    ) -> Parameters:
        """The parameters after one step; `rate`: in place of its own."""
        beta, gamma, tiny, rate = 0.9, 0.999, 1e-8, self.rate if rate is None else rate
        if not self.first:
            self.first, self.second = ([np.zeros_like(p) for p in parameters] for _ in range(2))
        self.step += 1
        made = []
        for index, (p, g) in enumerate(zip(parameters, gradient, strict=True)):
            self.first[index] = beta * self.first[index] + (1 - beta) * g
            self.second[index] = gamma * self.second[index] + (1 - gamma) * g * g
            mean = self.first[index] / (1 - beta**self.step)
            spread = np.sqrt(self.second[index] / (1 - gamma**self.step)) + tiny
            kept = p * (1 - rate * self.decay) if p.ndim == 2 else p
            made.append((kept - rate * mean / spread).astype(p.dtype))
        return tuple(made)
