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
    taken, problem = _take(weights, variants[name])
    if problem is None:
        return taken
    fitting = [other for other, sizes in variants.items() if _take(weights, sizes)[1] is None]
    raise BackboneError(
        problem,
        hint=f"they fit {' or '.join(fitting)}"
        if fitting
        else "the file is of another network, or is not whole",
    )


def _take(weights: Weights, sizes: Sizes) -> tuple[dict[str, NDArray[Any]], str | None]:
    """The tensors up to the first that does not fit, and that one in words; None where all do."""
    sources = find_names(weights)
    taken: dict[str, NDArray[Any]] = {}
    for name, shape in sizes.shapes().items():
        if name not in sources:
            return taken, f"the weights lack {name} {shape}"
        parts = [weights[key] for key in sources[name]]
        values = np.concatenate(parts) if len(parts) > 1 else parts[0]
        if name == "pos_embed" and values.shape == (1, sizes.grid_side**2, sizes.dim):
            # timm adds the class token's position to the token where there are registers, and keeps the grid alone
            values = np.concatenate([np.zeros_like(values[:, :1]), values], axis=1)
        if values.shape != shape:
            return taken, f"the tensor {name} should be {shape}, and is {values.shape}"
        taken[name] = values
    for name in (name for name in sources if name not in taken):
        return taken, f"there is no place for {name} {weights[sources[name][0]].shape}"
    return taken, None


def find_names(keys: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """DINOv2's name for each tensor that features need -> what it is called in `keys`; of one kept in parts, all."""
    found: dict[str, tuple[str, ...]] = {_name(key): (key,) for key in keys}
    found = {name: own for name, own in found.items() if not _UNUSED.fullmatch(name)}
    for match in list(filter(None, map(_QUERY.match, found))):
        start, end = match.groups()
        parts = [f"{start}{part}{end}" for part in "qkv"]
        if all(part in found for part in parts):
            found[f"{start}qkv{end}"] = tuple(key for part in parts for key in found.pop(part))
    return found


def _name(key: str) -> str:
    key = _TRANSFORMERS_START.sub("", key)
    for theirs, ours in _TRANSFORMERS_NAMES:
        key, count = re.subn(f"^{theirs}", ours, key)
        if count:
            return key
    return "register_tokens" if key == "reg_token" else _CHUNKED.sub(r"blocks.\1", key)
