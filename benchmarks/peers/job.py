"""What both sides of the comparison are told and what they answer. Standard library and NumPy only.

Each side is a program that reads a job, works, and writes `outcome.json` and, for each seed, `scores-<seed>.npy` and
`maps-<seed>.npy` beside it.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
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
FEWEST_STEPS = 2
"""Of the peer's own loop, where only its rule matters: those that time one step."""


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
    seed: int = 0
    """Of all chance on both sides: features drawn, projection, first pick."""
    more_seeds: tuple[int, ...] = ()
    """Fitted and scored as well, and nothing else measured of them."""
    is_timed: bool = True
    """False: of `seed` too only scores and maps are wanted."""

    @property
    def title(self) -> str:
        """The method and its coreset: "patchcore 1%"."""
        return self.method if self.method != "patchcore" else f"{self.method} {self.coreset:.0%}"

    def all_seeds(self) -> tuple[int, ...]:
        """The first, then the others."""
        return (self.seed, *self.more_seeds)

    def of_seed(self, seed: int) -> "Job":
        """The same for another seed. Whole loops are for the first one: the others take the short way."""
        steps = self.measured_steps if seed == self.seed and self.is_timed else FEWEST_STEPS
        return replace(self, seed=seed, more_seeds=(), measured_steps=steps)

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
        return cls(**values | {key: tuple(values[key]) for key in ("layers", "more_seeds")})


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

    def write(self, folder: Path) -> None:
        """Beside the job."""
        (folder / "outcome.json").write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, folder: Path) -> "Outcome":
        """What `write` wrote."""
        return cls(**json.loads((folder / "outcome.json").read_text()))


def write_found(folder: Path, seed: int, scores: Map, maps: Map) -> None:
    """`scores` (N,) and `maps` (N, H, W), raw, in the order of the test files."""
    np.save(folder / f"scores-{seed}.npy", scores.astype(np.float32))
    np.save(folder / f"maps-{seed}.npy", maps.astype(np.float32))


def take_found(folder: Path, seed: int) -> tuple[Map, Map]:
    """What `write_found` wrote; the files are removed, for maps of many seeds are large."""
    paths = [folder / f"{name}-{seed}.npy" for name in ("scores", "maps")]
    scores, maps = (np.load(path) for path in paths)
    for path in paths:
        path.unlink()
    return scores, maps


def per_image_ms(judge: Callable[[list[Any]], object], images: list[Any]) -> dict[str, float]:
    """The least milliseconds per image of `judge`, by batch size."""
    found = least_ms({str(size): partial(judge, images[:size]) for size in BATCHES}, seconds=SECONDS)
    return {size: ms / int(size) for size, ms in found.items()}
