"""Where the misses are: the numbers of an evaluation by kind, size and place of the flaw."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from kizu.core.types import F64, I64, Bool
from kizu.metrics.ranking import Reals, auroc
from kizu.metrics.undefined import Undefined

SMALL, MEDIUM = 0.005, 0.02
"""Flawed parts of the image: below the first a flaw is small, below the second medium, else large."""
BORDER = 0.1
"""A flaw lies at the border when its centre of mass is nearer to an edge than this part of the shorter side."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The defective images of one sort, against all good ones."""

    count: int
    auroc: float | None
    """None without good images."""
    recall: float
    """Of the images, at the deployed threshold."""
    coverage: float | None
    """Mean part of an image's flawed pixels above the pixel threshold. None where nobody drew the flaws."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """One drawn flaw (all of an image's flawed pixels together)."""

    fraction: float
    """Of the image."""
    is_at_border: bool
    coverage: float

    @property
    def size(self) -> str:
        """ "small", "medium" or "large"."""
        return "small" if self.fraction < SMALL else "medium" if self.fraction < MEDIUM else "large"

    @property
    def place(self) -> str:
        """ "border" or "centre"."""
        return "border" if self.is_at_border else "centre"


def measure_flaw(mask: Bool, anomaly_map: Reals, pixel_threshold: float | Reals) -> Flaw:
    """`mask`, `anomaly_map`: (H, W), at least one pixel flawed; `pixel_threshold`: one number, or (H, W)."""
    height, width = mask.shape
    y, x = ndimage.center_of_mass(mask)
    to_edge = min(y + 0.5, x + 0.5, height - 0.5 - y, width - 0.5 - x)
    return Flaw(
        fraction=float(mask.mean()),
        is_at_border=to_edge < BORDER * min(height, width),
        coverage=float((anomaly_map > np.asarray(pixel_threshold, np.float64))[mask].mean()),
    )


def breakdown(
    labels: Bool,
    scores: Reals,
    threshold: float,
    *,
    kinds: Sequence[str],
    flaws: Sequence[Flaw | None],
) -> dict[str, dict[str, Cell]]:
    """{"kind" | "size" | "place": {name: cell}} of N images: labels (N,) True = defective, raw scores (N,).

    `flaws`: None for a good image and where nobody drew the flaw; such images are in no cell of size and place.
    """
    axes: dict[str, Sequence[str | None]] = {
        "kind": kinds,
        "size": [None if flaw is None else flaw.size for flaw in flaws],
        "place": [None if flaw is None else flaw.place for flaw in flaws],
    }
    return {axis: _cells(labels, scores, threshold, flaws, names) for axis, names in axes.items()}


def _cells(
    labels: Bool,
    scores: Reals,
    threshold: float,
    flaws: Sequence[Flaw | None],
    names: Sequence[str | None],
) -> dict[str, Cell]:
    named = {int(i): name for i in np.flatnonzero(labels) if (name := names[int(i)]) is not None}
    found = {}
    for wanted in sorted(set(named.values())):
        members: I64 = np.array([i for i, name in named.items() if name == wanted], np.int64)
        covered: F64 = np.array([flaw.coverage for i in members if (flaw := flaws[i]) is not None])
        found[wanted] = Cell(
            count=len(members),
            auroc=_auroc(scores[members], scores[~labels]),
            recall=float((scores[members] > np.float64(threshold)).mean()),
            coverage=float(covered.mean()) if covered.size else None,
        )
    return found


def _auroc(defective: Reals, good: Reals) -> float | None:
    labels = np.arange(len(defective) + len(good)) < len(defective)
    try:
        return auroc(labels, np.concatenate([defective, good]))
    except Undefined:
        return None
