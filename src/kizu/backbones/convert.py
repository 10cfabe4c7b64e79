"""Any network of timm's as an ONNX file that Kizu can use. The one module of this room that imports torch.

The file has one input, an image of a fixed size, and the maps of timm's `feature_info` under their names there. It is
compared with torch when it is made, and says itself which mean and deviation it wants, and its licence.
"""

from __future__ import annotations

import functools
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kizu.backbones.architectures import HEADS
from kizu.backbones.base import PIXELS, Layer
from kizu.backbones.session import GraphSession
from kizu.backbones.state_dict import read_weights
from kizu.core.errors import BackboneError, ConfigError, MissingExtraError, OutputError
from kizu.core.files import write_bytes
from kizu.core.randomness import rng_for
from kizu.core.types import F32, HW

if TYPE_CHECKING:
    import onnx

OPSET = 18
"""The oldest that torch's exporter writes."""
WITHIN = 1e-4
"""How far an output of the file may lie from torch's, of the largest value of that output."""


@dataclass(frozen=True, slots=True)
class Converted:
    """A file that was written, and how well it agrees."""

    path: Path
    layers: tuple[Layer, ...]
    licence: str
    worst: float
    """The largest difference from torch, of the largest value of its output."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be converted."""

    name: str
    """Of a model of timm, such as "resnet50.a1_in1k"."""
    image_hw: HW
    weights: Path | None = None
    """A state dict in timm's names; None: those that timm downloads."""
    licence: str | None = None
    """None: what timm says of its own weights; "unknown" of others."""
    is_pretrained: bool = True
    """False: random weights where `weights` is None, of use for nothing but tests."""


def convert_model(wanted: Wanted, output: Path) -> Converted:
    """Write the ONNX file.

    Raises `MissingExtraError` where torch or timm is not installed, `ConfigError` for a model that timm does not know,
    `BackboneError` for weights that cannot be had or do not fit, a model that offers no maps or cannot be exported at
    that size, and a file that does not agree with torch; `OutputError` where `output` exists or cannot be written.
    """
    if output.exists():
        raise OutputError(f"{output} exists", hint="what is there is never overwritten: choose another name")
    torch, timm = _import()
    model = _make(wanted, timm)
    if wanted.weights is not None:
        _load(model, wanted.weights, torch)
    names = [str(entry["module"]) for entry in getattr(model, "feature_info", [])]
    if not hasattr(model, "forward_intermediates") or not names:
        raise BackboneError(
            f"{wanted.name} offers no feature maps in this timm", hint="use another model, or a newer timm"
        )
    model.forward = functools.partial(model.forward_intermediates, intermediates_only=True, output_fmt="NCHW")
    noise = rng_for(0, "conversion").standard_normal((1, 3, *wanted.image_hw)).astype(np.float32)
    expected = _run(model, noise, wanted, torch)
    if len(expected) != len(names) or any(values.ndim != 4 for values in expected):
        raise BackboneError(f"{wanted.name} gives other maps than it tells", hint="use another model")
    exported = _export(model, noise, names, wanted, torch)
    worst = _ensure_agreement(exported, noise, dict(zip(names, expected, strict=True)), wanted.name)
    licence = wanted.licence or _licence(model, wanted)
    _note_in(exported, model.pretrained_cfg, licence, wanted)
    write_bytes(output, exported.SerializeToString())
    layers = tuple(
        Layer(name, round(wanted.image_hw[0] / values.shape[2]), values.shape[1])
        for name, values in zip(names, expected, strict=True)
    )
    return Converted(output, layers, licence, worst)


def _import() -> tuple[Any, Any]:
    try:
        import onnxscript  # noqa: F401 - torch's exporter needs it
        import timm
        import torch
    except ImportError as error:
        raise MissingExtraError(
            f"converting needs torch, timm and onnxscript; {error.name} is not installed",
            hint="pip install 'kizu[tune]', on this machine or another: the file needs none of them",
        ) from error
    return torch, timm


def _make(wanted: Wanted, timm: Any) -> Any:
    if not timm.is_model(wanted.name.partition(".")[0]):
        near = timm.list_models(f"*{wanted.name.partition('.')[0][:6]}*")[:5]
        raise ConfigError(
            f"timm knows no model {wanted.name!r}",
            hint=f"among those it knows: {', '.join(near) or 'others'}",
        )
    is_fixed = timm.get_pretrained_cfg(wanted.name).fixed_input_size
    options = {"img_size": wanted.image_hw} if is_fixed else {}
    is_fetched = wanted.weights is None and wanted.is_pretrained
    try:
        return timm.create_model(wanted.name, pretrained=is_fetched, num_classes=0, **options).eval()
    except OSError as error:  # what huggingface_hub raises without a connection
        raise BackboneError(
            f"cannot download the weights of {wanted.name}: {str(error).splitlines()[0]}",
            hint="download them elsewhere and give the file with --weights",
        ) from error
    except (RuntimeError, ValueError, TypeError, AssertionError) as error:
        raise BackboneError(
            f"timm cannot make {wanted.name}: {error}", hint="try another --image-size"
        ) from error


def _load(model: Any, path: Path, torch: Any) -> None:
    """Fill the model with the tensors of the file: all that it needs, and nothing that it has no place for."""
    found = {name: torch.from_numpy(np.array(values)) for name, values in read_weights(path).items()}
    try:
        missing, unexpected = model.load_state_dict(found, strict=False)
    except RuntimeError as error:
        raise BackboneError(
            f"{path} does not fit: {error}", hint="give the weights of this very model"
        ) from error
    odd = [*missing, *(name for name in unexpected if not name.startswith(HEADS))]
    if odd:
        told = "has no" if missing else "holds, without a place for it,"
        raise BackboneError(f"{path} {told} {odd[0]!r}", hint="give the weights of this very model")


def _run(model: Any, noise: F32, wanted: Wanted, torch: Any) -> list[F32]:
    try:
        with torch.inference_mode():
            return [values.numpy() for values in model(torch.from_numpy(noise))]
    except (RuntimeError, AssertionError, ValueError) as error:
        raise BackboneError(
            f"{wanted.name} cannot take {wanted.image_hw[0]} x {wanted.image_hw[1]} pixels: {error}",
            hint="give another --image-size",
        ) from error


def _export(model: Any, noise: F32, names: list[str], wanted: Wanted, torch: Any) -> onnx.ModelProto:
    """The graph, without what torch notes of the machine that it was made on."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its own, of what it will do differently some day
            program = torch.onnx.export(
                model,
                (torch.from_numpy(noise),),
                dynamo=True,
                input_names=[PIXELS],
                output_names=names,
                opset_version=OPSET,
                verbose=False,
            )
    except (torch.onnx.OnnxExporterError, RuntimeError) as error:
        raise BackboneError(
            f"torch cannot export {wanted.name}: {str(error).splitlines()[0]}", hint="use another model"
        ) from error
    made: onnx.ModelProto = program.model_proto
    for node in made.graph.node:
        del node.metadata_props[:]  # stack traces
        node.doc_string = ""
    for value in (*made.graph.value_info, *made.graph.input, *made.graph.output, *made.graph.initializer):
        del value.metadata_props[:]
        value.doc_string = ""
    del made.graph.metadata_props[:]
    return made


def _ensure_agreement(made: onnx.ModelProto, noise: F32, expected: dict[str, F32], name: str) -> float:
    found = GraphSession(made).run({PIXELS: noise})
    worst = 0.0
    for output, values in expected.items():
        off = float(np.abs(found[output] - values).max() / max(float(np.abs(values).max()), 1e-30))
        if not off <= WITHIN:
            raise BackboneError(
                f"{name}: {output} of the file is off by {off:.1e} of its largest value, more than {WITHIN:.0e}",
                hint="nothing was written; use another model, or another version of torch",
            )
        worst = max(worst, off)
    return worst


def _licence(model: Any, wanted: Wanted) -> str:
    told = "" if wanted.weights is not None else str(model.pretrained_cfg.get("license") or "")
    return {"apache-2.0": "Apache-2.0", "mit": "MIT"}.get(told, told) or "unknown"


def _note_in(made: onnx.ModelProto, config: dict[str, Any], licence: str, wanted: Wanted) -> None:
    from onnx import helper

    source = f"timm {wanted.name}" if wanted.weights is None else f"timm {wanted.name}, {wanted.weights.name}"
    helper.set_model_props(
        made,
        {
            "kizu.mean": json.dumps([float(value) for value in config["mean"]]),
            "kizu.std": json.dumps([float(value) for value in config["std"]]),
            "kizu.licence": licence,
            "kizu.source": source,
        },
    )
