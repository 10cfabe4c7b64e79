"""What an exported graph says of itself: the names of its values, and the bundle's manifest in its metadata."""

from collections.abc import Mapping

from kizu.bundles.manifest import BundleManifest
from kizu.core.errors import BundleError, ConfigError

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


def manifest_in(metadata: Mapping[str, str], *, where: str) -> tuple[BundleManifest, str]:
    """The manifest and the bundle's hash. Raises `BundleError` naming `where` for a model of something else."""
    if MANIFEST not in metadata or SHA256 not in metadata:
        raise BundleError(f"{where} was not exported by kizu", hint="make one with kizu export --run-dir RUN")
    try:
        manifest = BundleManifest.model_validate_json(metadata[MANIFEST])
    except (ValueError, ConfigError) as error:
        raise BundleError(f"the manifest in {where} cannot be read", hint="export it again") from error
    return manifest, metadata[SHA256]
