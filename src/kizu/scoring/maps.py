"""Patch grid to pixels, and map to one number.

Bilinear upsampling and Gaussian smoothing are both linear and both separable, so the two together are one
matrix per axis: a map is `rows @ grid @ columns.T`. The exported graph uses the very same matrices.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy.ndimage import gaussian_filter1d

from kizu.core.threads import one_blas_thread
from kizu.core.types import F32, F64, HW

ImageScoreRule = Literal["max_patch", "top_patches", "percentile", "max_map"]
"""Which number stands for the image: the highest patch, the mean of the highest few patches, the patch distance that
only those few exceed, or the highest pixel of the smoothed map."""

SMOOTHING_REACH = 4.0
"""The kernel ends after this many sigmas; what is left out weighs less than 1e-4."""


@dataclass(frozen=True, slots=True)
class MapMaker:
    """The linear way from a patch grid (h, w) to a map (H, W)."""

    rows: F32
    """(H, h)"""
    columns: F32
    """(W, w)"""

    def __call__(self, grid: F32) -> F32:
        """(N, h, w) -> (N, H, W)"""
        with (
            one_blas_thread()
        ):  # small products: 0.06 ms an image in one thread, 10 ms where threads wait for each other
            maps: F32 = np.matmul(self.rows @ grid, self.columns.T, dtype=np.float32)  # (N, H, W)
        return maps


@lru_cache(maxsize=32)
def map_maker(grid_hw: HW, input_hw: HW, smoothing_fraction: float) -> MapMaker:
    """Upsample bilinearly (half-pixel centres), then smooth with `sigma = smoothing_fraction * min(H, W)` pixels.

    Edges are clamped in the upsampling and mirrored in the smoothing; every row sums to 1, so a constant grid
    gives the same constant map.
    """
    sigma_px = smoothing_fraction * min(input_hw)
    rows, columns = (
        _axis_matrix(grid_size, size, sigma_px) for grid_size, size in zip(grid_hw, input_hw, strict=True)
    )
    return MapMaker(rows=rows, columns=columns)


def _axis_matrix(grid_size: int, size: int, sigma_px: float) -> F32:
    centres = np.clip((np.arange(size) + 0.5) * grid_size / size - 0.5, 0, grid_size - 1)
    below = np.minimum(centres.astype(np.intp), max(grid_size - 2, 0))
    weight = centres - below
    matrix: F64 = np.zeros((size, grid_size))
    pixels = np.arange(size)
    matrix[pixels, below] += 1 - weight
    matrix[pixels, np.minimum(below + 1, grid_size - 1)] += weight
    if sigma_px > 0:
        matrix[:] = gaussian_filter1d(matrix, sigma_px, axis=0, mode="reflect", truncate=SMOOTHING_REACH)
    return matrix.astype(np.float32)


def image_scores(grid: F32, maps: F32, rule: ImageScoreRule, top_fraction: float) -> F32:
    """One number for each image, from its patch distances (N, h, w) or its map (N, H, W) -> (N,).

    `top_fraction`: part of the patches that `top_patches` averages, at least one patch, and that exceeds what
    `percentile` takes: 0.01 is the 99th, between two patches by their distance.
    """
    if rule == "percentile":
        cut: F32 = np.quantile(grid.reshape(len(grid), -1), 1 - top_fraction, axis=1).astype(np.float32)
        return cut
    patches = (maps if rule == "max_map" else grid).reshape(len(grid), -1)  # (N, P)
    k = max(1, round(top_fraction * patches.shape[1])) if rule == "top_patches" else 1
    highest: F32 = np.partition(patches, -k, axis=1)[:, -k:].mean(axis=1)
    return highest
