"""What a backbone is: a network that turns normalised pixels into feature maps, and the facts about it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kizu.core.errors import ConfigError
from kizu.core.types import HW

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

NORMED = ".norm"
"""Ends the name of a layer that is another one behind the network's last norm."""


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
    default_layers: tuple[str, ...]
    """What is looked at when nobody chooses: names out of `layers`, finest first."""
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


def default_layers(layers: Sequence[Layer]) -> tuple[str, ...]:
    """Which of `layers` (from the input to the output) to look at, by their strides alone.

    The last one at stride 8 and the last one at stride 16: fine enough to place a flaw, deep enough to know one. Where
    neither stride is there, the last layer. Where all layers share one stride, as in a transformer, the stride says
    nothing of depth: then the middle one, or the two in the middle of an even number. The last ones of a transformer
    have given up what is local for what the picture is called. A layer behind the network's last norm is not chosen: it
    is the same layer once more.
    """
    layers = [layer for layer in layers if not layer.name.endswith(NORMED)] or layers
    if len({layer.stride for layer in layers}) == 1:
        return tuple(layer.name for layer in layers[(len(layers) - 1) // 2 : len(layers) // 2 + 1])
    last = {layer.stride: layer.name for layer in layers}
    names = tuple(last[stride] for stride in (8, 16) if stride in last)
    return names or (layers[-1].name,)


def ensure_covered(layers: Sequence[Layer], image_hw: HW) -> None:
    """Raises `ConfigError` unless the patches of each layer cover an input of `image_hw` (H, W) pixels exactly.

    Maps take the grid for the whole input. Where a stride does not divide a side, the grid ends before the border or
    beyond it, and every flaw would be shown some pixels beside its place.
    """
    for layer in layers:
        if any(side % layer.stride for side in image_hw):
            raise ConfigError(
                f"an input of {image_hw[0]} x {image_hw[1]} pixels (height x width) is no whole number of patches:"
                f" {layer.name} has a stride of {layer.stride}",
                hint=_suggest_sizes(image_hw, math.lcm(*(layer.stride for layer in layers))),
            )


def _suggest_sizes(image_hw: HW, step: int) -> str:
    """The nearest (H, W) below and above whose sides are multiples of `step`, in words."""
    below, above = ([by(side / step) * step for side in image_hw] for by in (math.floor, math.ceil))
    found = [f"{height} x {width}" for height, width in (below, above) if height and width]
    return f"set the image size to {' or '.join(found)}"


@dataclass(frozen=True, slots=True)
class Backbone:
    """The bare network as a graph.

    Its one input is (N, 3, H, W) float32 RGB, already normalised. Each layer is an output (N, dim, h, w)
    under its name, and the head's `logits` (N, classes) may follow. N, H and W are free in the graphs drawn
    here; a file may fix them.
    """

    spec: BackboneSpec
    model: onnx.ModelProto
