"""What both sides' raw scores and maps are worth, seed after seed, measured alike by `kizu.metrics`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from fitting import data_set
from measuring import table
from peers.job import Job, Map, take_found
from scipy import stats

from kizu.core.types import F32
from kizu.data.masks import true_mask
from kizu.imaging.codec import image_size
from kizu.imaging.placement import PlacementConfig, map_back
from kizu.metrics.ranking import auroc
from kizu.metrics.suite import evaluate

Row = dict[str, Any]

KEYS = {
    "image_auroc": "AUROC, own score",
    "auroc_top": "highest 3 % of the map",
    "auroc_inside": "highest inside the rim",
    "aupro_030": "AU-PRO 0.30",
}
TOP_PART = 0.03
RIM_PX = 16
"""The outermost two patches of a grid of 32 x 32 at 256 px."""


def accuracy_by_seed(job: Job, folder: Path) -> dict[str, Row]:
    """By seed: see `measure_accuracy`. What the side wrote is removed."""
    return {str(seed): measure_accuracy(job, *take_found(folder, seed)) for seed in job.all_seeds()}


def measure_accuracy(job: Job, scores: F32, net_maps: Map) -> Row:
    """Image AUROC of raw scores (N,), AU-PRO of raw maps (N, H, W) resized to the masks as Kizu does, and image AUROC
    of the maps by two other rules: the mean of the highest pixels, and the highest pixel that is not near the rim.
    """
    samples = data_set(job.data).test()
    maps, masks = [], []
    for sample, net_map in zip(samples, net_maps, strict=True):
        size = image_size(sample.path)
        mask = true_mask(sample, size)
        if mask is not None:
            maps.append(map_back(net_map, size, PlacementConfig(image_size=(job.side_px, job.side_px))))
            masks.append(mask)
    defective = np.array([sample.label == "defect" for sample in samples])
    drawn = any(mask.any() for mask in masks)
    values = evaluate(
        defective,
        scores,
        image_threshold=None,
        maps=maps if drawn else None,
        masks=masks if drawn else None,
    ).values
    return {key: values[key] for key in ("image_auroc", "aupro_030", "aupro_005")} | {
        "auroc_top": auroc(defective, highest_part(net_maps).astype(np.float64)),
        "auroc_inside": auroc(defective, inside(net_maps).max(axis=(1, 2)).astype(np.float64)),
    }


def highest_part(maps: Map) -> F32:
    """The mean (N,) of the highest pixels of each map."""
    pixels = maps.reshape(len(maps), -1)
    count = round(TOP_PART * pixels.shape[1])
    mean: F32 = np.partition(pixels, -count, axis=1)[:, -count:].mean(axis=1)
    return mean


def inside(maps: Map) -> Map:
    """Without the rim."""
    return maps[:, RIM_PX:-RIM_PX, RIM_PX:-RIM_PX]


def spread_rows(kizu: Row, peer: Row) -> list[list[Any]]:
    """For each number: mean and standard deviation over seeds of both sides, and the difference of the means with its
    95 % interval (Welch's t, for the spreads differ).
    """
    rows = []
    for key, name in KEYS.items():
        ours, theirs = ([seed[key] for seed in row["by_seed"].values()] for row in (kizu, peer))
        if None in ours or None in theirs:
            continue
        rows.append([name, _told(ours), _told(theirs), _difference(ours, theirs)])
    return rows


def spread_report(pairs: Sequence[tuple[str, Row, Row]]) -> str:
    """One block for each job."""
    rows = []
    for title, kizu, peer in pairs:
        counts = [len(row["by_seed"]) for row in (kizu, peer)]
        rows += [[f"{title}, {counts[0]} + {counts[1]} seeds", "", "", ""]]
        rows += [[f"  {name}", *cells] for name, *cells in spread_rows(kizu, peer)]
    return table(["mean ± s.d. over seeds [least, most]", "Kizu", "anomalib", "difference [95 %]"], rows)


def _told(values: Sequence[float]) -> str:
    sd = f" ±{np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
    return f"{np.mean(values):.4f}{sd} [{min(values):.4f}, {max(values):.4f}]"


def _difference(ours: Sequence[float], theirs: Sequence[float]) -> str:
    value = float(np.mean(ours) - np.mean(theirs))
    if min(len(ours), len(theirs)) < 2 or np.std(ours) + np.std(theirs) == 0:
        return f"{value:+.4f}"
    interval = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
    return f"{value:+.4f} [{interval.low:+.4f}, {interval.high:+.4f}]"
