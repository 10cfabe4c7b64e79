"""What an exported graph says of itself: the names of its values, and the bundle's manifest in its metadata."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from kizu.bundles.manifest import BundleManifest
from kizu.core.config import Stored
from kizu.core.errors import BundleError, ConfigError
from kizu.core.files import read_stored
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


class ExportMeta(Stored):
    """`export_meta.json`: the graphs that were exported from one bundle."""

    bundle_sha256: str
    models: dict[str, ExportedGraph]
    """By file name."""
    thresholds: Thresholds
    metadata: dict[str, str]
    versions: dict[str, str] = Field(default_factory=dict)


def read_export_meta(path: Path) -> ExportMeta:
    """Raises `BundleError` when it is missing or broken."""
    hint = "copy the whole export folder: the model files and this one; or export again"
    return read_stored(path, ExportMeta, hint=hint, raises=BundleError)


def manifest_in(metadata: Mapping[str, str], *, where: str) -> tuple[BundleManifest, str]:
    """The manifest and the bundle's hash. Raises `BundleError` naming `where` for a model of something else."""
    if MANIFEST not in metadata or SHA256 not in metadata:
        raise BundleError(f"{where} was not exported by kizu", hint="make one with kizu export --run-dir RUN")
    try:
        manifest = BundleManifest.model_validate_json(metadata[MANIFEST])
    except (ValueError, ConfigError) as error:
        raise BundleError(f"the manifest in {where} cannot be read", hint="export it again") from error
    return manifest, metadata[SHA256]
