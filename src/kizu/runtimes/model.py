"""An exported graph as a scorer: `model.onnx` in ONNX Runtime or OpenVINO, `model.xml` in OpenVINO, and nothing beside.

A graph that stores less than float32 computes in float32 again once it is opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kizu.backbones.graph import IMAGE
from kizu.backbones.session import GraphSession
from kizu.bundles.exported import MAP, META, PRECISION, SCORE, manifest_in, read_export_meta
from kizu.bundles.manifest import BundleManifest
from kizu.core.errors import BundleError, ConfigError, ScoreError
from kizu.core.types import U8, Scores
from kizu.core.work import Work

SUFFIXES = (".onnx", ".xml")
"""Files that `read_model` takes."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file that holds a whole detector."""

    path: Path
    manifest: BundleManifest
    bundle_sha256: str
    precision: str = "f32"
    """"f16" and "int8" are other models than the bundle: near it, not the same."""

    def scorer(self, work: Work = Work()) -> GraphScorer:
        """Ready to run. Raises `BackboneError` where the runtime refuses it, `ConfigError` for an IR elsewhere."""
        return GraphScorer(self, work)


class GraphScorer:
    """Images in, scores and maps out, all of it in one graph. Safe to share between threads."""

    def __init__(self, model: ModelFile, work: Work = Work()) -> None:
        self.work = work
        self._input_hw = model.manifest.placement.image_size
        names = ((IMAGE,), (SCORE, MAP))
        if model.path.suffix == ".xml":
            if work.runtime != "openvino":
                raise ConfigError(f"{model.path} is for OpenVINO", hint="add --runtime openvino")
            self._session = GraphSession(model.path, work, names=names)
        else:
            self._session = GraphSession(_content(model.path), work)
        if set(self._session.outputs) != {SCORE, MAP}:
            raise BundleError(f"{model.path} gives {sorted(self._session.outputs)}", hint="export it again")

    def score(self, images: U8) -> Scores:
        """(N, H, W, 3) uint8 RGB at the graph's input size -> scores (N,) and maps (N, H, W).

        Each image by itself, as many at a time as there are threads. Raises `ScoreError` for another type or shape and
        for scores that are not finite.
        """
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (*self._input_hw, 3):
            raise ScoreError(
                f"images must be (N, {self._input_hw}, 3) uint8, got {images.shape} {images.dtype}"
            )
        if len(images) == 0:
            raise ScoreError("there is no image")
        with self.work.limit():
            found = self._session.run_each({IMAGE: images})
        score, anomaly_map = found[SCORE], found[MAP]
        if not (np.isfinite(score).all() and np.isfinite(anomaly_map).all()):
            raise ScoreError("the graph gave scores that are not finite numbers")
        return Scores(score, anomaly_map)


def is_model_file(path: Path) -> bool:
    """Whether it is for `read_model`, by its name."""
    return path.suffix.lower() in SUFFIXES


def read_model(path: Path) -> ModelFile:
    """What an exported file says of itself. Raises `BundleError` for one that is missing, broken or not Kizu's."""
    if not path.is_file():
        raise BundleError(f"{path} is missing", hint="give the file that kizu export wrote")
    if path.suffix == ".xml":
        metadata = _ir_metadata(path)
        return ModelFile(path, *manifest_in(metadata, where=str(path)), metadata.get(PRECISION, "f32"))
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_model_from_string(_content(path))
    except (DecodeError, ValueError, RuntimeError) as error:
        raise BundleError(
            f"{path} is not an ONNX file, or a broken one", hint="copy or export it again"
        ) from error
    metadata = {prop.key: prop.value for prop in model.metadata_props}
    return ModelFile(path, *manifest_in(metadata, where=str(path)), metadata.get(PRECISION, "f32"))


def _ir_metadata(path: Path) -> dict[str, str]:
    beside = path.with_name(META)
    meta = read_export_meta(beside)
    if path.name not in meta.models:
        raise BundleError(f"{beside} does not know {path.name}", hint="export it again")
    return {**meta.metadata, PRECISION: meta.models[path.name].precision}


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror}", hint="check the path") from error
