"""The tensors of a vision transformer: under one set of names whoever wrote them, all there, and of the right shapes.

The names are those of DINOv2's code. Its released files count blocks within chunks ("blocks.0.3."), timm has another
name for registers and no place for the class token's position, and transformers has names of its own and keeps query,
key and value apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kizu.backbones.position_table import Convention
from kizu.core.errors import BackboneError

Weights = Mapping[str, NDArray[Any]]

MLP_RATIO = 4
"""Of the width inside an MLP to the one outside, in all transformers here."""

_UNUSED = re.compile(r"mask_token|(head|pre_logits|head_drop)\..+")
"""What features do not need: the token that hides patches in training, and classifiers."""

_TRANSFORMERS_START = re.compile(r"^(?:dinov2|dinov2_with_registers|backbone)\.")
_TRANSFORMERS_NAMES = (
    (r"embeddings\.(cls_token|mask_token|register_tokens)", r"\1"),
    (r"embeddings\.position_embeddings", "pos_embed"),
    (r"embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"encoder\.layer\.(\d+)\.attention\.(?:attention\.query|q_proj)\.", r"blocks.\1.attn.q."),
    (r"encoder\.layer\.(\d+)\.attention\.(?:attention\.key|k_proj)\.", r"blocks.\1.attn.k."),
    (r"encoder\.layer\.(\d+)\.attention\.(?:attention\.value|v_proj)\.", r"blocks.\1.attn.v."),
    (r"encoder\.layer\.(\d+)\.attention\.(?:output\.dense|o_proj)\.", r"blocks.\1.attn.proj."),
    (r"encoder\.layer\.(\d+)\.layer_scale([12])\.lambda1", r"blocks.\1.ls\2.gamma"),
    (r"encoder\.layer\.(\d+)\.", r"blocks.\1."),
    (r"layernorm\.", "norm."),
)
_CHUNKED = re.compile(r"^blocks\.\d+\.(\d+\..+)")
_QUERY = re.compile(r"^(blocks\.\d+\.attn\.)q(\.(?:weight|bias))$")


@dataclass(frozen=True, slots=True)
class Sizes:
    """All that decides which tensors a vision transformer has, and what is done with them."""

    patch_px: int
    """Height and width of a patch."""
    dim: int
    depth: int
    """Blocks."""
    heads: int
    grid_side: int
    """Of the table of positions."""
    positions: Convention
    registers: int = 0
    layer_scale: bool = False

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The tensors by name, from the input to the output."""
        d, hidden = self.dim, MLP_RATIO * self.dim
        found: dict[str, tuple[int, ...]] = {
            "cls_token": (1, 1, d),
            "pos_embed": (1, 1 + self.grid_side**2, d),
            "patch_embed.proj.weight": (d, 3, self.patch_px, self.patch_px),
            "patch_embed.proj.bias": (d,),
        }
        if self.registers:
            found["register_tokens"] = (1, self.registers, d)
        products = {
            "attn.qkv": (3 * d, d),
            "attn.proj": (d, d),
            "mlp.fc1": (hidden, d),
            "mlp.fc2": (d, hidden),
        }
        for block in range(self.depth):
            start = f"blocks.{block}"
            for norm in ("norm1", "norm2"):
                found |= {f"{start}.{norm}.weight": (d,), f"{start}.{norm}.bias": (d,)}
            for part, shape in products.items():
                found |= {f"{start}.{part}.weight": shape, f"{start}.{part}.bias": shape[:1]}
            if self.layer_scale:
                found |= {f"{start}.ls1.gamma": (d,), f"{start}.ls2.gamma": (d,)}
        return found | {"norm.weight": (d,), "norm.bias": (d,)}


def fitting_weights(name: str, weights: Weights, variants: Mapping[str, Sizes]) -> dict[str, NDArray[Any]]:
    """`weights` under DINOv2's names, for `name` out of `variants`; what features do not need is left out.

    Raises `BackboneError` naming the first tensor that is missing, that has another shape or that has no place.
    """
    named = rename(weights)
    problem = _problem(named, variants[name])
    if problem is None:
        return named
    fitting = [other for other, sizes in variants.items() if _problem(named, sizes) is None]
    raise BackboneError(
        f"the weights are not those of {name}: {problem}",
        hint=f"they fit {_either(fitting)}" if fitting else "the file is of another network, or is not whole",
    )


def rename(weights: Weights) -> dict[str, NDArray[Any]]:
    """`weights` under DINOv2's names, without what features do not need."""
    named = {_name(key): values for key, values in weights.items()}
    named = {key: values for key, values in named.items() if not _UNUSED.fullmatch(key)}
    _join_products(named)
    _add_class_position(named)
    return named


def _name(key: str) -> str:
    key = _TRANSFORMERS_START.sub("", key)
    for theirs, ours in _TRANSFORMERS_NAMES:
        key, count = re.subn(f"^{theirs}", ours, key)
        if count:
            return key
    return "register_tokens" if key == "reg_token" else _CHUNKED.sub(r"blocks.\1", key)


def _join_products(named: dict[str, NDArray[Any]]) -> None:
    """Query, key and value as one, in place; where one of them is missing they stay, and have no place."""
    for match in list(filter(None, map(_QUERY.match, named))):
        start, end = match.groups()
        parts = [f"{start}{part}{end}" for part in "qkv"]
        if all(part in named for part in parts):
            named[f"{start}qkv{end}"] = np.concatenate([named.pop(part) for part in parts])


def _add_class_position(named: dict[str, NDArray[Any]]) -> None:
    """timm adds the class token's position to the token where there are registers, and keeps the grid alone."""
    table = named.get("pos_embed")
    if "register_tokens" in named and table is not None and table.ndim == 3 and _is_square(table.shape[1]):
        none = np.zeros((table.shape[0], 1, table.shape[2]), table.dtype)
        named["pos_embed"] = np.concatenate([none, table], axis=1)


def _is_square(number: int) -> bool:
    return round(number**0.5) ** 2 == number


def _problem(named: Weights, sizes: Sizes) -> str | None:
    """In words, the first tensor that does not fit; None where all do."""
    shapes = sizes.shapes()
    for key, shape in shapes.items():
        if key not in named:
            return f"they lack {key} {shape}"
        if named[key].shape != shape:
            return f"{key} should be {shape}, and is {named[key].shape}"
    for key in named:
        if key not in shapes:
            return f"there is no place for {key} {named[key].shape}"
    return None


def _either(names: Iterable[str]) -> str:
    return " or ".join(names)
