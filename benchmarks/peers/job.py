"""What both sides of the comparison are told and what they answer. Standard library and NumPy only.

Each side is a program that reads a job, works, and writes `outcome.json`, `scores.npy` and `maps.npy` beside it.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from measuring import least_ms
from numpy.typing import NDArray

Map = NDArray[np.float32]

BATCHES = (1, 8)
STREAMED = 256
"""So many files go through when files per second are measured; short lists go round."""
LATENCY_IMAGES = 16
REPEATS = 2
SECONDS = 2.0
"""Of latency measurements, per batch size."""


@dataclass(frozen=True, slots=True)
class Job:
    """One method on one category."""

    data: str
    method: str
    """"patchcore" or "padim"."""
    fit: list[str]
    """Files to fit on: the same for both sides."""
    calibrate: list[str]
    """Files that Kizu's thresholds need, as few as can be; the peer is not asked for thresholds."""
    test: list[str]
    coreset: float = 0.01
    features: int = 100
    neighbours: int = 9
    side_px: int = 256
    layers: tuple[str, ...] = ("blocks.2", "blocks.4")
    measured_steps: int | None = None
    """The peer's own loop picks only so many patches and the rest of its time is extrapolated."""

    @property
    def streamed(self) -> list[str]:
        """Test files from all over the list, again and again where there are few."""
        return [self.test[i * len(self.test) // STREAMED] for i in range(STREAMED)]

    @property
    def shown(self) -> list[str]:
        """A few test files, for latencies."""
        return self.test[:: max(1, len(self.test) // LATENCY_IMAGES)]

    def write(self, path: Path) -> None:
        """As JSON."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> "Job":
        """What `write` wrote."""
        values = json.loads(path.read_text())
        return cls(**{**values, "layers": tuple(values["layers"])})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a side measured."""

    fit_seconds: dict[str, float]
    """"features", "model" and "total"; construction included, imports not."""
    is_extrapolated: bool
    latency_ms: dict[str, float]
    """By batch size: milliseconds per image from decoded arrays to scores and maps."""
    images_per_second: float
    """From files."""
    idle_mb: float
    """Resident after the imports."""
    fit_peak_mb: float
    peak_mb: float
    model_mb: float
    versions: dict[str, str]
    extra: dict[str, Any]

    def write(self, folder: Path, scores: Map, maps: Map) -> None:
        """Beside the job: `scores` (N,) and `maps` (N, H, W), raw, in the order of the test files."""
        np.save(folder / "scores.npy", scores.astype(np.float32))
        np.save(folder / "maps.npy", maps.astype(np.float32))
        (folder / "outcome.json").write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, folder: Path) -> "Outcome":
        """What `write` wrote."""
        return cls(**json.loads((folder / "outcome.json").read_text()))


def per_image_ms(judge: Callable[[list[Any]], object], images: list[Any]) -> dict[str, float]:
    """The least milliseconds per image of `judge`, by batch size."""
    found = least_ms({str(size): partial(judge, images[:size]) for size in BATCHES}, seconds=SECONDS)
    return {size: ms / int(size) for size, ms in found.items()}
