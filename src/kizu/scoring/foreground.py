"""Which patches show the part and which what it lies on, told by the features' first principal component.

Damm, Laszkiewicz, Lederer & Fischer, "AnomalyDINO" (WACV 2025), cut each image's own first component at a fixed value
of DINOv2's. Here the component is that of all good patches, and the cut is Otsu's ("A Threshold Selection Method from
Gray-Level Histograms", 1979): any features will do, and an image is cut the same way whatever is in it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation

from kizu.core.threads import one_blas_thread
from kizu.core.types import F32, F64, Bool
from kizu.scoring.moments import Moments

BINS = 256
ROWS = 8192
"""Patches that are looked at together."""


@dataclass(frozen=True, slots=True)
class Foreground:
    """The half of feature space where parts are."""

    axis: F32
    """(D,)"""
    threshold: float
    """A patch x shows the part where x . axis exceeds this."""

    def __call__(self, embedding: F32) -> Bool:
        """(N, h, w, D) -> (N, h, w), grown by one patch; all of an image where nothing would be left of it."""
        inside = embedding @ self.axis > self.threshold
        inside = binary_dilation(inside, np.ones((1, 3, 3), bool))
        inside[~inside.any(axis=(1, 2))] = True
        return inside


def fit_foreground(features: F32, grid: tuple[int, int, int], moments: Moments) -> Foreground:
    """From all good patches `features` (N * h * w, D), their `grid` (N, h, w) and their moments.

    The part is on the side that the middle of the pictures has more of than their rim. Where all patches are equal
    they all are foreground.
    """
    with one_blas_thread():
        axis = np.linalg.eigh(moments.covariance)[1][:, -1].astype(np.float32)
    along = np.concatenate(list(_along(features, axis)))
    if along.min() == along.max():
        return Foreground(axis, -np.inf)
    threshold = otsu(along)
    n, h, w = grid
    above = (along > threshold).reshape(n, h, w)
    middle = np.zeros((h, w), bool)
    middle[h // 4 : h - h // 4, w // 4 : w - w // 4] = True
    if middle.all() or above[:, middle].mean() >= above[:, ~middle].mean():
        return Foreground(axis, threshold)
    return Foreground(-axis, -threshold)


def keep_foreground(foreground: Foreground, features: F32, grid: tuple[int, int, int]) -> F32:
    """The foreground's patches of `features` (N * h * w, D), moved to its beginning -> (M, D), a view of it."""
    n, h, w = grid
    filled = 0
    for index in range(n):
        image = features[index * h * w : (index + 1) * h * w]
        kept = image[foreground(image.reshape(1, h, w, -1)).reshape(-1)]
        features[filled : filled + len(kept)] = kept
        filled += len(kept)
    return features[:filled]


def otsu(values: F32) -> float:
    """The cut of `values` (M,) into two classes that lie farthest apart for their sizes, to 1/256 of the range."""
    counts, edges = np.histogram(values, BINS)
    centres: F64 = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1].astype(np.float64)
    above = len(values) - below
    sums = np.cumsum(counts * centres)
    apart = sums[:-1] / below - (sums[-1] - sums[:-1]) / above
    return float(edges[1 + int((below * above * apart**2).argmax())])


def _along(features: F32, axis: F32) -> Iterator[F32]:
    for low in range(0, len(features), ROWS):
        yield features[low : low + ROWS] @ axis
