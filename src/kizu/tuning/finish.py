"""From tuned adapters to a folder with a backbone: merged weights, the graph drawn from them, and where it is from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.numpy import save as serialise

from kizu.backbones.base import PIXELS
from kizu.backbones.builder import GraphBuilder
from kizu.backbones.session import GraphSession
from kizu.backbones.tuned import GRAPH, Provenance
from kizu.core.errors import BackboneError
from kizu.core.files import write_bytes, write_stored
from kizu.core.hashing import hash_bytes
from kizu.core.provenance import package_versions, utc_now
from kizu.core.randomness import rng_for
from kizu.core.types import U8
from kizu.core.work import Runtime, Work
from kizu.tuning.loop import Tuning
from kizu.tuning.networks import AFTER

if TYPE_CHECKING:
    import onnx

WEIGHTS = "weights.safetensors"
PROVENANCE = "tune.json"
"""Written last: a folder that has it is finished."""
WITHIN = 1e-4
"""How far a layer of the graph may lie from torch's, of its largest value."""


def draw_tuned(tuning: Tuning) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """The graph of the merged weights, with the layers that are looked at, and these weights."""
    from onnx import helper

    network = tuning.network
    merged = tuning.adapters.merged(network.weights)
    residual = {name: merged[name] for name in merged if name.startswith(AFTER)}
    base = network.draw({name: values for name, values in merged.items() if name not in residual})
    graph = GraphBuilder("tuned")
    layers = {layer.name: layer for layer in network.spec.layers}
    names = network.spec.default_layers
    graph.node("Identity", PIXELS, name=f"base/{base.graph.input[0].name}")
    graph.splice(base, names, prefix="base/")
    outputs = {}
    for name in names:
        dim = layers[name].dim
        if AFTER + name in residual:
            weight = residual[AFTER + name][:, :, None, None]
            graph.conv(f"base/{name}", weight, np.zeros(dim), padding=0, name=name)
        else:
            graph.node("Identity", f"base/{name}", name=name)
        outputs[name] = (np.float32, ("N", dim, f"h_{name}", f"w_{name}"))
    model = graph.model({PIXELS: (np.float32, ("N", 3, "H", "W"))}, outputs, like=base)
    facts = {
        "kizu.mean": json.dumps(network.spec.mean),
        "kizu.std": json.dumps(network.spec.std),
        "kizu.licence": network.spec.licence,
        "kizu.source": f"{network.spec.name}, tuned",
    }
    helper.set_model_props(model, facts)
    return model, merged


def ensure_parity(
    tuning: Tuning, model: onnx.ModelProto, images: U8, runtime: Runtime = "onnxruntime"
) -> float:
    """The largest difference of a layer from torch's, of its largest value, on images (N, H, W, 3).

    Raises `BackboneError` when it is more than `WITHIN`.
    """
    with torch.no_grad():
        pixels = tuning.pixels(images)
        expected = [layer.numpy() for layer in tuning._forward(pixels, False)]
    found = GraphSession(model, Work(runtime=runtime)).run({PIXELS: pixels.numpy()})
    worst = 0.0
    for name, values in zip(tuning.network.spec.default_layers, expected, strict=True):
        worst = max(worst, float(np.abs(found[name] - values).max() / np.abs(values).max()))
    if not worst <= WITHIN:
        raise BackboneError(
            f"the drawn graph is off by {worst:.1e} from torch", hint="this is a defect of Kizu"
        )
    return worst


def write_tuned(tuning: Tuning, folder: Path, hashes: tuple[str, ...], seconds: float) -> Provenance:
    """Write weights and graph, proven against torch, and then where they are from. `hashes`: SHA-256 of all images that
    were trained or validated on."""
    model, merged = draw_tuned(tuning)
    side = tuning.config.side_px
    noise = rng_for(0, "parity").integers(0, 256, (1, side, side, 3), np.uint8)
    worst = ensure_parity(tuning, model, np.concatenate([tuning.validation.images[:1], noise]))
    content = model.SerializeToString()
    spec, config, state = tuning.network.spec, tuning.config, tuning.state
    facts = {"base": spec.name, "base_sha256": spec.weights_sha256, "config": config.model_dump_json()}
    weights = {name: np.ascontiguousarray(values) for name, values in merged.items()}
    stored = serialise(weights, facts)
    write_bytes(folder / WEIGHTS, stored)
    write_bytes(folder / GRAPH, content)
    made = Provenance(
        created_at=utc_now(),
        base=spec.name,
        base_sha256=spec.weights_sha256,
        config=config.model_dump(mode="json"),
        placement=config.placement or ("pointwise" if tuning.network.sizes is None else "attention"),
        graph_sha256=hash_bytes(content),
        weights_sha256=hash_bytes(stored),
        images=hashes,
        validation_losses=tuple(state.losses),
        epochs=state.epoch,
        parity=worst,
        seconds=round(seconds, 1),
        versions=package_versions() | {"torch": torch.__version__},
    )
    write_stored(folder / PROVENANCE, made)
    return made
