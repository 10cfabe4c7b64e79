"""For notebooks and programs: fit, inspect, look.

inspector = kizu.fit(paths)
found = inspector.inspect("new.png")
found.label, found.score, found.map
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kizu.core.errors import DataError
from kizu.core.hashing import hash_bytes, hash_value
from kizu.core.randomness import rng_for
from kizu.core.work import Work
from kizu.data.batches import stream
from kizu.data.manifest import hash_image
from kizu.inspection.inspector import Inspector
from kizu.lab.fit import Identity, Sides, fit_bundle
from kizu.pipeline.config import PipelineConfig
from kizu.pipeline.opened import PlacedImages

Picture = Path | str | NDArray[Any]


def fit(
    images: Sequence[Picture],
    config: PipelineConfig = PipelineConfig(),
    *,
    name: str = "part",
    work: Work = Work(),
) -> Inspector:
    """Learn from good images and return what inspects new ones.

    `images`: paths, or arrays (H, W), (H, W, 3) or (H, W, 4), mixed sizes allowed; a part of them, drawn by
    `config.seed`, is held out to set the thresholds. Copies of one image stay on one side. Raises `DataError` for
    fewer than two different images, `ImageError` for one that cannot be read.
    """
    sources = [Path(image) if isinstance(image, str) else image for image in images]
    hashes = [_content_hash(source) for source in sources]
    different = sorted(set(hashes), key=hashes.index)
    if len(different) < 2:
        raise DataError(
            f"{len(different)} different good image(s) were given",
            hint="at least 2 are needed: one to fit, one to set the threshold",
        )
    held_count = min(max(1, round(len(different) * config.calibration.fraction)), len(different) - 1)
    order = rng_for(config.seed, "hold_out").permutation(len(different))
    held = {different[index] for index in order[:held_count]}
    sides = [
        [s for s, h in zip(sources, hashes, strict=True) if (h in held) is side] for side in (False, True)
    ]
    fit_side, calibration_side = (
        PlacedImages(len(side), (b.images for b in stream(side, config.placement))) for side in sides
    )
    identity = Identity(category=name, run_id="", dataset="images", manifest_sha256=hash_value(hashes))
    fitted = fit_bundle(config, Sides(fit_side, calibration_side), identity, work=work)
    return Inspector(fitted.bundle, work=work, pipeline=fitted.pipeline)


def _content_hash(picture: Path | NDArray[Any]) -> str:
    """The same for copies of one picture: the same bytes, and of arrays the same shape and type too."""
    if isinstance(picture, Path):
        return hash_image(picture)
    pixels = np.ascontiguousarray(picture)
    return hash_bytes(f"{pixels.shape} {pixels.dtype.str} ".encode() + pixels.tobytes())
