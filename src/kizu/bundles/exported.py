"""What an exported graph says of itself: the names of its values, and the bundle's manifest in its metadata."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from kizu.bundles.manifest import BundleManifest
from kizu.core.config import Stored
from kizu.core.errors import BundleError, ConfigError
from kizu.core.files import read_json, shape_as, write_json
from kizu.core.hashing import hash_value
from kizu.decision.calibration import Thresholds

SCORE = "pred_score"
"""Output: (N,) float32."""
MAP = "anomaly_map"
"""Output: (N, H, W) float32, at the network's input size."""
MANIFEST = "kizu.manifest"
"""Metadata: the bundle's manifest as JSON."""
SHA256 = "kizu.bundle_sha256"
"""Metadata: the hash of the bundle that it was made from."""

PRECISION = "kizu.precision"
"""Metadata: "f32" (where it is missing), "f16" or "int8"."""

PICTURE_SIZE = "kizu.picture_size"
"""Metadata: "1024x1536" (height x width) where the file takes whole pictures of that size and resizes them itself."""

FORMAT = 2
"""Of `export_meta.json`."""

META = "export_meta.json"
"""Beside the exported files: what each is, and for an OpenVINO IR what ONNX keeps in the file itself."""


class ExportedFile(Stored):
    """One file of an exported graph."""

    sha256: str
    bytes: int


class ExportedGraph(Stored):
    """One exported graph: an ONNX file, or an IR of two."""

    precision: Literal["f32", "f16", "int8"]
    files: dict[str, ExportedFile]
    opset: int
    inputs: dict[str, tuple[int | str, ...]]
    outputs: dict[str, tuple[int | str, ...]]
    created_at: str
    metadata: dict[str, str] = Field(default_factory=dict)
    """What an ONNX file holds itself, and an IR cannot. Empty: of before, when all graphs shared one."""
    signature: str | None = None
    """Of an IR, under `ExportMeta.content_sha256`; an ONNX file carries its own."""


class ExportMeta(Stored):
    """`export_meta.json`: the graphs that were exported from one bundle."""

    format: int = 1
    """From 2 on the file carries the hash of what it says."""
    bundle_sha256: str
    models: dict[str, ExportedGraph]
    """By file name."""
    thresholds: Thresholds
    metadata: dict[str, str]
    versions: dict[str, str] = Field(default_factory=dict)

    @property
    def is_sealed(self) -> bool:
        """Whether it carries its own hash; then that was right when it was read."""
        return self.format >= FORMAT

    def metadata_of(self, name: str) -> dict[str, str]:
        """Of one graph, as an ONNX file would hold it."""
        graph = self.models[name]
        return {**(graph.metadata or self.metadata), PRECISION: graph.precision}

    def content_sha256(self, name: str) -> str:
        """What a signature of one graph is made under: its metadata and the hashes of its files."""
        files = {file: told.sha256 for file, told in self.models[name].files.items()}
        return hash_value({"files": files, "metadata": self.metadata_of(name)})


def read_export_meta(path: Path) -> ExportMeta:
    """Raises `BundleError` when it is missing, broken or not what was written."""
    hint = "copy the whole export folder: the model files and this one; or export again"
    body = read_json(path, hint=hint, raises=BundleError)
    digest = body.pop("sha256", None)
    meta = shape_as(body, ExportMeta, str(path), hint=hint, raises=BundleError)
    if (digest is not None or meta.format >= FORMAT) and hash_value(body) != digest:
        raise BundleError(f"{path} has changed since it was written", hint=hint)
    return meta


def write_export_meta(path: Path, meta: ExportMeta) -> None:
    """Write what `read_export_meta` reads, with its hash. Raises `OutputError`."""
    body = meta.model_copy(update={"format": FORMAT}).model_dump(mode="json")
    write_json(path, {**body, "sha256": hash_value(body)})


def manifest_in(metadata: Mapping[str, str], *, where: str) -> tuple[BundleManifest, str]:
    """The manifest and the bundle's hash. Raises `BundleError` naming `where` for a model of something else."""
    if MANIFEST not in metadata or SHA256 not in metadata:
        raise BundleError(f"{where} was not exported by kizu", hint="make one with kizu export --model RUN")
    try:
        manifest = BundleManifest.model_validate_json(metadata[MANIFEST])
    except (ValueError, ConfigError) as error:
        raise BundleError(f"the manifest in {where} cannot be read", hint="export it again") from error
    return manifest, metadata[SHA256]
