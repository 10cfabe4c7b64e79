"""From a mask in pixels to what part of each patch is flawed."""

import numpy as np

from kizu.core.types import F32


def patch_shares(share: F32, grid_hw: tuple[int, ...]) -> F32:
    """(N, H, W) -> (N, h, w): the mean over the pixels of each patch, which need not divide the image."""
    for axis, count in ((1, grid_hw[0]), (2, grid_hw[1])):
        share = np.moveaxis(np.moveaxis(share, axis, -1) @ _means(share.shape[axis], count).T, -1, axis)
    return np.asarray(share, np.float32)


def _means(pixels: int, patches: int) -> F32:
    """(patches, pixels): how much of each patch each pixel is."""
    edges = np.arange(patches + 1) * (pixels / patches)
    low, high = edges[:-1, None], edges[1:, None]
    inside = np.minimum(high, np.arange(pixels) + 1) - np.maximum(low, np.arange(pixels))
    return np.asarray(np.clip(inside, 0, None) * (patches / pixels), np.float32)
