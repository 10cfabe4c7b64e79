"""What a backbone is: a network that turns normalised pixels into feature maps, and the facts about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kizu.core.errors import ConfigError

if TYPE_CHECKING:
    import onnx

Triple = tuple[float, float, float]
"""One number per channel: red, green, blue."""

IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)
HALF: Triple = (0.5, 0.5, 0.5)

PIXELS = "pixels"
"""What the graphs drawn here call their input."""

LOGITS = "logits"
"""The output of the classification head, (N, classes), where the network has one."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One feature map (N, dim, h, w) that a backbone offers, by its timm name ("blocks.2")."""

    name: str
    stride: int
    """Pixels per patch, the same in both directions."""
    dim: int
    """Channels."""


@dataclass(frozen=True, slots=True)
class BackboneSpec:
    """What is known of a backbone without running it."""

    name: str
    layers: tuple[Layer, ...]
    """From the input to the output."""
    mean: Triple
    """Per RGB channel, on the 0..1 scale: what the network was trained with."""
    std: Triple
    licence: str
    """Of the weights (SPDX where there is one)."""
    source: str
    """Where the weights come from."""
    weights_sha256: str

    def choose(self, names: tuple[str, ...]) -> tuple[Layer, ...]:
        """The layers called `names`, finest first (smaller stride, then nearer to the input).

        Raises `ConfigError` for no name, for a name that is not there and for one given twice.
        """
        offered = ", ".join(layer.name for layer in self.layers)
        for name in names:
            if name not in {layer.name for layer in self.layers}:
                raise ConfigError(f"{self.name} has no layer {name!r}", hint=f"choose from: {offered}")
        if not names or len(set(names)) < len(names):
            raise ConfigError(
                f"layers must be named once each, got {list(names)}", hint=f"choose from: {offered}"
            )
        chosen = [layer for layer in self.layers if layer.name in names]
        return tuple(sorted(chosen, key=lambda layer: layer.stride))


@dataclass(frozen=True, slots=True)
class Backbone:
    """The bare network as a graph.

    Its one input is (N, 3, H, W) float32 RGB, already normalised. Each layer is an output (N, dim, h, w)
    under its name, and the head's `logits` (N, classes) may follow. N, H and W are free in the graphs drawn
    here; a file may fix them.
    """

    spec: BackboneSpec
    model: onnx.ModelProto
