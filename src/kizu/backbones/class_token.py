"""What a transformer's class token holds and where it looks, for studies: no detector learns from it.

These outputs are no feature maps, so they are no layers: nobody who takes layers meets them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from kizu.backbones.base import PIXELS, Backbone
from kizu.backbones.builder import GraphBuilder
from kizu.backbones.session import GraphSession
from kizu.backbones.vit import CLASS, CLASS_ATTENTION
from kizu.core.errors import ConfigError
from kizu.core.types import F32
from kizu.core.work import Work

_BACKBONE = "backbone/"


class ClassToken(NamedTuple):
    """Of N images, behind one block."""

    values: F32
    """(N, dim)"""
    attention: F32
    """(N, heads, h, w): the part of each patch in what the token took in. The rest of 1 is the part of the token itself
    and of registers."""


@dataclass(frozen=True, slots=True)
class ClassReader:
    """A backbone cut behind one block."""

    block: str
    stride: int
    session: GraphSession

    @classmethod
    def open(cls, backbone: Backbone, block: str, work: Work = Work()) -> Self:
        """`block`: a layer such as "blocks.11". Raises `ConfigError` for one that has no class token."""
        offered = {value.name for value in backbone.model.graph.output}
        if not {block + CLASS, block + CLASS_ATTENTION} <= offered:
            blocks = [layer.name for layer in backbone.spec.layers if layer.name + CLASS in offered]
            raise ConfigError(
                f"{backbone.spec.name} has no class token at {block!r}",
                hint=f"choose from: {', '.join(blocks)}" if blocks else "only transformers have one",
            )
        (layer,) = backbone.spec.choose((block,))
        graph = GraphBuilder("class")
        graph.node("Identity", PIXELS, name=_BACKBONE + backbone.model.graph.input[0].name)
        outputs = [block + CLASS, block + CLASS_ATTENTION]
        graph.splice(backbone.model, outputs, prefix=_BACKBONE)
        for name in outputs:
            graph.node("Identity", _BACKBONE + name, name=name)
        model = graph.model(
            {PIXELS: (np.float32, ("N", 3, "H", "W"))},
            {outputs[0]: (np.float32, ("N", "D")), outputs[1]: (np.float32, ("N", "heads", "P"))},
            like=backbone.model,
        )
        return cls(block, layer.stride, GraphSession(model, work))

    def read(self, pixels: F32) -> ClassToken:
        """`pixels`: (N, 3, H, W), normalised, of whole patches."""
        found = self.session.run({PIXELS: pixels})
        h, w = (side // self.stride for side in pixels.shape[2:])
        attention = found[self.block + CLASS_ATTENTION]
        return ClassToken(found[self.block + CLASS], attention.reshape(*attention.shape[:2], h, w))
