"""The pipelines that the scripts fit, always with the same backbone, layers and names."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from measuring import shared_data, times_ms

from kizu.core.types import U8
from kizu.core.work import Work
from kizu.data.batches import stream
from kizu.data.layouts import LAYOUTS
from kizu.data.layouts.mvtec_ad import scan
from kizu.data.manifest import Manifest, Sample
from kizu.imaging.placement import PlacementConfig
from kizu.inspection.inspector import Inspector
from kizu.lab.fit import FittedBundle, Identity, Sides, fit_bundle
from kizu.pipeline.config import PipelineConfig
from kizu.pipeline.opened import PlacedImages

LAYERS = ("blocks.2", "blocks.4")
BATCH_SIZE = 8

PATCHCORE_10: dict[str, Any] = {"kind": "patchcore", "coreset": 0.1}
PATCHCORE_1: dict[str, Any] = {"kind": "patchcore", "coreset": 0.01}
PADIM: dict[str, Any] = {"kind": "padim", "features": 100}
METHODS = {"PatchCore 10 %": PATCHCORE_10, "PatchCore 1 %": PATCHCORE_1, "PaDiM d=100": PADIM}


def data_set(name: str) -> Manifest:
    """A category of the shared images, as "magnetic_tile/tile", or of the solar cells, as "elpv/mono"."""
    if name.startswith("elpv/"):
        return LAYOUTS["elpv"](None, name.removeprefix("elpv/"), {})
    folder = shared_data() / name
    return scan(folder.parent, folder.name)


def pipeline(detector: dict[str, Any], *, side: int = 256, hold_out: float = 0.2) -> PipelineConfig:
    """Lite0, blocks.2 + blocks.4, square images."""
    return PipelineConfig.parse(
        {
            "detector": detector,
            "embedding": {"layers": LAYERS},
            "placement": {"image_size": side},
            "calibration": {"fraction": hold_out},
        },
        where="benchmark",
    )


def fit(
    config: PipelineConfig,
    fit_side: PlacedImages,
    calibration_side: PlacedImages,
    work: Work = Work(),
) -> FittedBundle:
    """`lab.fit.fit_bundle` on two sides that are there already."""
    identity = Identity("benchmark", "", "benchmark", "")
    return fit_bundle(config, Sides(fit_side, calibration_side), identity, work=work)


class FeatureClock:
    """Told of progress, it knows when features and calibration ended: between them the method did its own work."""

    def __init__(self) -> None:
        self._ended: dict[str, float] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        self._ended[stage] = time.perf_counter()

    def stages(self, seconds: dict[str, float]) -> dict[str, float]:
        """`seconds` as `fit_bundle` tells them, with "fit" parted into "features" and "model"."""
        model = self._ended["calibration"] - seconds["calibrate"] - self._ended["features"]
        return {
            "backbone": seconds["backbone"],
            "features": seconds["fit"] - model,
            "model": model,
            "calibrate": seconds["calibrate"],
        }


def from_files(samples: Sequence[Sample | Path], placement: PlacementConfig) -> PlacedImages:
    """Decoded ahead, as `kizu train` does."""

    def batches() -> Iterator[U8]:
        for batch in stream(samples, placement, batch_size=BATCH_SIZE):
            yield batch.images

    return PlacedImages(len(samples), batches())


def latencies_ms(inspector: Inspector, images: Sequence[U8], *, seconds: float) -> dict[str, float]:
    """Decoded array to verdict, one image at a time, the images in turn."""
    turns = iter(range(10**9))
    times = times_ms(
        lambda: inspector.inspect(images[next(turns) % len(images)]), seconds=seconds, at_least=len(images)
    )
    return {
        "least": min(times),
        "median": float(np.median(times)),
        "p95": float(np.quantile(times, 0.95)),
        "count": len(times),
    }


def bank_rows(fitted: FittedBundle) -> int | None:
    """How many patches the bank holds; None for a method without one."""
    bank = fitted.bundle.arrays.get("bank")
    return None if bank is None else len(bank)
