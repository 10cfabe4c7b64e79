"""What a bundle says of itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

from kizu.core.config import Config
from kizu.core.hashing import hash_bytes
from kizu.decision.calibration import Thresholds
from kizu.imaging.placement import PlacementConfig

FORMAT = 1


class BackboneRecord(Config):
    """Where the features come from."""

    name: str
    licence: str
    source: str
    weights_sha256: str


class FittedOn(Config):
    """What the bundle has seen."""

    dataset: str
    manifest_sha256: str
    fit_count: int
    calibration_count: int


class BundleManifest(Config):
    """All that is not an array or a graph."""

    format: Literal[1] = 1
    model: str
    """The detector's name."""
    category: str
    run_id: str
    created_at: str
    detector: dict[str, Any]
    embedding: dict[str, Any]
    placement: PlacementConfig
    thresholds: Thresholds
    seed: int
    backbone: BackboneRecord
    fitted_on: FittedOn
    versions: dict[str, str]
    version: int = 1
    """Counts the updates of a run's model; 1: as it was trained."""
    reason: str | None = None
    """Why it was updated, in the words of who did it."""
    parent: str | None = None
    """Hash of the bundle that was updated."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A fitted detector with all it needs to run: nothing else is read, downloaded or looked up."""

    manifest: BundleManifest
    graph: bytes
    """ONNX, from a uint8 image to its embedding."""
    arrays: Mapping[str, NDArray[Any]]
    """What the detector learned."""

    @property
    def graph_sha256(self) -> str:
        """Hash of the graph."""
        return hash_bytes(self.graph)
