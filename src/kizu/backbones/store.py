"""Find a backbone by its name or by the path of an ONNX file."""

from __future__ import annotations

from kizu.backbones import BACKBONES
from kizu.backbones.base import Backbone
from kizu.core.registry import look_up


def load_backbone(name_or_path: str) -> Backbone:
    entry = look_up(BACKBONES, name_or_path, noun="backbone")
    return Backbone(entry.spec(name_or_path), entry.build(name_or_path))
