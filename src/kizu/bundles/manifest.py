"""What a bundle says of itself."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from numpy.typing import NDArray
from pydantic import Field

from kizu.core.config import Config
from kizu.core.errors import BundleError
from kizu.core.hashing import hash_bytes, hash_value
from kizu.decision.calibration import CalibrationConfig, PixelMetric, Thresholds
from kizu.imaging.placement import PlacementConfig

FORMAT = 1


class BackboneRecord(Config):
    """Where the features come from."""

    name: str
    licence: str
    source: str
    weights_sha256: str


class PresetRecord(Config):
    """A published method that the settings are of."""

    name: str
    source: str
    deviations: tuple[str, ...]
    """Where the preset is not what was published, in words."""
    changed: tuple[str, ...]
    """What the settings have otherwise than the preset."""

    def told(self) -> list[str]:
        """A line for each of these facts."""
        return [
            f"preset {self.name}: {self.source}",
            *(f"not as published: {said}" for said in self.deviations),
            *(f"changed from the preset: {said}" for said in self.changed),
        ]


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
    thresholds_by_category: dict[str, Thresholds] = Field(default_factory=dict)
    """Of a model of several categories: each one's own; `thresholds` rest on all of them together."""
    calibration: CalibrationConfig | None = None
    """The rules by which these were set on good images; None: of a time when a bundle did not say so."""
    tuned_for: PixelMetric | None = None
    """They were chosen later, on labelled images, for the highest F1 of images and this one of pixels; what these
    images cannot give is by `calibration`. None: all is."""
    by_hand: tuple[Literal["image", "pixel"], ...] = ()
    """Which of the thresholds none of these rules set: they are values somebody gave, or rest on labelled scores from a
    file. An update cannot set them anew."""
    seed: int
    preset: PresetRecord | None = None
    """The published method, where a preset was asked for."""
    backbone: BackboneRecord
    fitted_on: FittedOn
    versions: dict[str, str]
    version: int = 1
    """Counts the updates of a run's model; 1: as it was trained."""
    reason: str | None = None
    """Why it was updated, in the words of who did it."""
    parent: str | None = None
    """Hash of the bundle that was updated."""

    def for_category(self, name: str | None) -> Self:
        """The same with the thresholds of one of its categories in force.

        None: of a model of one category. Raises `BundleError` where the name is missing, or is not one of them.
        """
        known = self.thresholds_by_category
        if not known and name in (None, self.category):
            return self
        if name not in known:
            said = "no category was named" if name is None else f"it does not know {name!r}"
            raise BundleError(
                f"this bundle is of {', '.join(known) or self.category}, and {said}",
                hint="name one of them as the category" if known else "leave the category out",
            )
        return self.model_copy(
            update={"category": name, "thresholds": known[name], "thresholds_by_category": {}}
        )


@dataclass(frozen=True, slots=True)
class Bundle:
    """A fitted detector with all it needs to run: nothing else is read, downloaded or looked up."""

    manifest: BundleManifest
    graph: bytes
    """ONNX, from a uint8 image to its embedding."""
    arrays: Mapping[str, NDArray[Any]]
    """What the detector learned."""
    stored_sha256: str | None = None
    """Of the whole bundle on disk, where it was read from there."""

    @property
    def bundle_sha256(self) -> str:
        """What stands for all of it: the hash on disk; of one in memory, that of its parts."""
        if self.stored_sha256 is not None:
            return self.stored_sha256
        parts = {name: hash_bytes(array.tobytes()) for name, array in self.arrays.items()}
        return hash_value([self.manifest.model_dump(mode="json"), self.graph_sha256, parts])

    def for_category(self, name: str | None) -> "Bundle":
        """The same with `BundleManifest.for_category`."""
        return replace(self, manifest=self.manifest.for_category(name))

    @property
    def graph_sha256(self) -> str:
        """Hash of the graph."""
        return hash_bytes(self.graph)
