"""An exported graph as a scorer: `model.onnx` in ONNX Runtime or OpenVINO, `model.xml` in OpenVINO, and nothing beside.

A file is not trusted because it is there: its bytes must be those that were exported, its graph may hold only what a
graph for the line needs, and what it takes and gives must be what its metadata says, before any picture is judged.
A graph that stores less than float32 computes in float32 again once it is opened.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kizu.backbones.graph import IMAGE
from kizu.backbones.session import GraphSession, OpenVinoIr
from kizu.bundles.exported import MAP, META, PICTURE_SIZE, PRECISION, SCORE, manifest_in, read_export_meta
from kizu.bundles.manifest import BundleManifest
from kizu.bundles.references import References, references_in
from kizu.bundles.sealed import SEALED, read_seal
from kizu.core.errors import BackboneError, BundleError, ConfigError, ScoreError
from kizu.core.hashing import hash_bytes
from kizu.core.types import HW, U8, Scores
from kizu.core.work import Work
from kizu.runtimes.signing import check_signature
from kizu.runtimes.structure import ensure_plain, ensure_plain_ir

_log = logging.getLogger(__name__)

SUFFIXES = (".onnx", ".xml")
"""Files that `read_model` takes."""
_NAMES = ((IMAGE,), (SCORE, MAP))


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file that holds a whole detector."""

    path: Path
    manifest: BundleManifest
    bundle_sha256: str
    files_sha256: tuple[str, ...]
    """Of the file's bytes when it was read, and of an IR's weights: what is opened later must be the same."""
    precision: str = "f32"
    """"f16" and "int8" are other models than the bundle: near it, not the same."""
    signature: str | None = None
    """As the file carries it; checked when it was read, wherever `cryptography` is installed."""
    references: References | None = None
    """What its product looks like, where the run knew that when it was exported."""
    picture_hw: HW | None = None
    """It takes whole pictures (H, W) of this size and resizes them itself; None: what the placement makes of them."""

    def scorer(self, work: Work = Work()) -> GraphScorer:
        """Ready to run. Raises `BundleError` where the runtime refuses it, `ConfigError` for an IR elsewhere."""
        return GraphScorer(self, work)

    @property
    def signed_by(self) -> str | None:
        """The public key of who signed it, in hexadecimal; None: nobody did."""
        return None if self.signature is None else self.signature.split(" ")[0]


class GraphScorer:
    """Images in, scores and maps out, all of it in one graph. Safe to share between threads."""

    def __init__(self, model: ModelFile, work: Work = Work()) -> None:
        self.work = work
        self._map_hw = model.manifest.placement.image_size
        self._input_hw = model.picture_hw or self._map_hw
        if _is_ir(model.path) and work.runtime != "openvino":
            raise ConfigError(f"{model.path} is for OpenVINO", hint="add --runtime openvino")
        parts = _read_files(model.path)
        if tuple(map(hash_bytes, parts)) != model.files_sha256:
            raise BundleError(f"{model.path} has changed since it was opened", hint="open it again")
        content = OpenVinoIr(parts[0], parts[1], _NAMES) if _is_ir(model.path) else parts[0]
        try:
            self._session = GraphSession(content, work)
        except BackboneError as error:
            raise BundleError(f"{model.path} cannot be opened: {error.message}", hint=error.hint) from error
        self._ensure_ports(model.path)

    def score(self, images: U8) -> Scores:
        """(N, H, W, 3) uint8 RGB at the graph's input size -> scores (N,) and maps (N, H, W).

        Each image by itself, as many at a time as there are threads. Raises `ScoreError` for another type or shape, of
        what is given and of what the graph gives, and for scores that are not finite.
        """
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (*self._input_hw, 3):
            raise ScoreError(
                f"images must be (N, {self._input_hw}, 3) uint8, got {images.shape} {images.dtype}"
            )
        if len(images) == 0:
            raise ScoreError("there is no image")
        with self.work.limit():
            found = self._session.run_each({IMAGE: images})
        wanted = {SCORE: (len(images),), MAP: (len(images), *self._map_hw)}
        for name, shape in wanted.items():
            given = found[name]
            if given.shape != shape or given.dtype != np.float32:
                raise ScoreError(f"the graph gave {name} as {given.shape} {given.dtype}, not {shape} float32")
            if not np.isfinite(given).all():
                raise ScoreError("the graph gave scores that are not finite numbers")
        return Scores(found[SCORE], found[MAP])

    def _ensure_ports(self, path: Path) -> None:
        """What the graph declares to take and to give; a side that it leaves open shows when it scores."""
        inputs = {IMAGE: ("uint8", (None, *self._input_hw, 3))}
        outputs = {SCORE: ("float32", (None,)), MAP: ("float32", (None, *self._map_hw))}
        for told, ports, wanted in (
            ("takes", self._session.inputs, inputs),
            ("gives", self._session.outputs, outputs),
        ):
            if set(ports) != set(wanted):
                raise BundleError(f"{path} {told} {sorted(ports)}, not {sorted(wanted)}", hint=_AGAIN)
            for name, (dtype, shape) in wanted.items():
                sides, kind = ports[name], self._session.dtypes[name]
                fits = len(sides) == len(shape) and all(
                    side is None or side == (1 if want is None else want)
                    for side, want in zip(sides, shape, strict=True)
                )
                if kind != dtype or not fits:
                    raise BundleError(
                        f"{path} {told} {name} as {sides} {kind}, not {shape} {dtype}", hint=_AGAIN
                    )


_AGAIN = "use the file that kizu export wrote, or export it again"


class _Told(NamedTuple):
    """What a file says of itself, its bytes being those that were exported."""

    metadata: Mapping[str, str]
    is_sealed: bool
    content_sha256: str
    signature: str | None


def is_model_file(path: Path) -> bool:
    """Whether it is for `read_model`, by its name."""
    return path.suffix.lower() in SUFFIXES


def read_model(path: Path, *, signed_by: Path | None = None) -> ModelFile:
    """What an exported file says of itself, after a look at all of it.

    `signed_by`: the PEM file of the public key that must have signed it. Raises `BundleError` for one that is missing,
    changed, not Kizu's, not signed so, or holds what no graph for the line needs.
    """
    parts = _read_files(path)
    told = _told_by_ir(path, parts) if _is_ir(path) else _told_by_onnx(path, parts[0])
    model = ModelFile(
        path,
        *manifest_in(told.metadata, where=str(path)),
        files_sha256=tuple(map(hash_bytes, parts)),
        precision=told.metadata.get(PRECISION, "f32"),
        signature=told.signature,
        references=references_in(told.metadata, where=str(path)),
        picture_hw=_picture_hw(told.metadata, path),
    )
    if told.signature is None and signed_by is not None:
        raise BundleError(f"{path} is not signed", hint="ask for a file made with kizu export --sign")
    if told.signature is not None and (signed_by is not None or find_spec("cryptography")):
        check_signature(told.signature, told.content_sha256, where=str(path), key=signed_by)
    if not told.is_sealed:
        _warn_once(path)
    return model


@cache
def _warn_once(path: Path) -> None:
    _log.warning(
        "%s carries no hash: it was exported by an earlier version, and nobody can tell whether it has changed since;"
        " export it again",
        path,
    )


def _told_by_onnx(path: Path, content: bytes) -> _Told:
    import onnx
    from google.protobuf.message import DecodeError

    seal = read_seal(content, where=str(path))
    try:
        model = onnx.load_model_from_string(content)
    except (DecodeError, ValueError, RuntimeError) as error:
        raise BundleError(
            f"{path} is not an ONNX file, or a broken one", hint="copy or export it again"
        ) from error
    metadata = {prop.key: prop.value for prop in model.metadata_props}
    if seal is None and SEALED in metadata:
        raise BundleError(f"{path} has lost the hash that it was exported with", hint=_AGAIN)
    manifest_in(metadata, where=str(path))  # what is not Kizu's is told so first
    ensure_plain(model, where=str(path))
    if seal is None:
        return _Told(metadata, False, hash_bytes(content), None)
    return _Told(metadata, True, seal.content_sha256, seal.signature)


def _told_by_ir(path: Path, parts: tuple[bytes, ...]) -> _Told:
    beside = path.with_name(META)
    meta = read_export_meta(beside)
    if path.name not in meta.models:
        raise BundleError(f"{beside} does not know {path.name}", hint="export it again")
    graph = meta.models[path.name]
    for file, content in zip(_files(path), parts, strict=True):
        if file.name not in graph.files or graph.files[file.name].sha256 != hash_bytes(content):
            raise BundleError(f"{file} is not the one that {beside} tells of", hint="export it again")
    ensure_plain_ir(parts[0], where=str(path))
    metadata = meta.metadata_of(path.name)
    return _Told(metadata, meta.is_sealed, meta.content_sha256(path.name), graph.signature)


def _picture_hw(metadata: Mapping[str, str], path: Path) -> HW | None:
    text = metadata.get(PICTURE_SIZE)
    if text is None:
        return None
    height, _, width = text.partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise BundleError(f"{path} is for pictures of {text!r}, which is no size", hint=_AGAIN)
    return int(height), int(width)


def _is_ir(path: Path) -> bool:
    return path.suffix.lower() == ".xml"


def _files(path: Path) -> tuple[Path, ...]:
    return (path, path.with_suffix(".bin")) if _is_ir(path) else (path,)


def _read_files(path: Path) -> tuple[bytes, ...]:
    for file in _files(path):
        if not file.is_file():
            raise BundleError(f"{file} is missing", hint="give the file that kizu export wrote")
    try:
        return tuple(file.read_bytes() for file in _files(path))
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror}", hint="check the path") from error
