"""AU-PRO at 0.30 of the same maps by anomalib and by Kizu: `python -m peers.aupro_side METHOD RESULT.json`.

It runs in the peers' environment with Kizu's sources on the path; each method in a process of its own, whose resident
memory before and at its highest tells what the metric adds.
"""

import json
import sys
from pathlib import Path

import numpy as np
from aupro import synthetic
from measuring import peak_mb, resident_mb, seconds_of

IMAGES, SIDE, REPEATS = 500, 256, 3


def by_kizu(maps: list[np.ndarray], masks: list[np.ndarray]) -> float:
    """Exact."""
    from kizu.metrics.overlap import aupro

    return aupro(maps, masks, 0.30)


def by_anomalib(maps: list[np.ndarray], masks: list[np.ndarray]) -> float:
    """Its own metric, fed in batches of 32 as its engine does."""
    import torch
    from anomalib.metrics.aupro import _AUPRO

    metric = _AUPRO(fpr_limit=0.30)
    for start in range(0, len(maps), 32):
        batch = slice(start, start + 32)
        metric.update(
            torch.from_numpy(np.stack(maps[batch])), torch.from_numpy(np.stack(masks[batch]).astype(np.int32))
        )
    return float(metric.compute())


METHODS = {"kizu": by_kizu, "anomalib": by_anomalib}


def main() -> None:
    method, result = METHODS[sys.argv[1]], Path(sys.argv[2])
    maps, masks = synthetic(IMAGES, SIDE)
    method(maps[:32], masks[:32])  # imports
    before = resident_mb()
    values: list[float] = []
    seconds = min(seconds_of(lambda: values.append(method(maps, masks))) for _ in range(REPEATS))
    result.write_text(
        json.dumps({"seconds": seconds, "added_mb": peak_mb() - before, "aupro_030": values[0]})
    )


if __name__ == "__main__":
    main()
