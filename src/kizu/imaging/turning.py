"""Images turned about their centre, for methods that learn good parts in several positions."""

import numpy as np
from scipy.ndimage import map_coordinates

from kizu.core.types import U8


def turn(images: U8, degrees: float) -> U8:
    """(N, H, W, 3) counter-clockwise, contiguous; the side lengths stay as they are.

    Half turns, and of squares quarter turns, move pixels and change none. Others are bilinear, and what comes in from
    beyond the border is the image mirrored at it: no corner has a colour of its own.
    """
    quarters, rest = divmod(degrees % 360, 90)
    square = images.shape[1] == images.shape[2]
    if rest == 0 and (square or quarters % 2 == 0):
        return np.ascontiguousarray(np.rot90(images, int(quarters), axes=(1, 2)))
    height, width = images.shape[1:3]
    y = np.arange(height)[:, None] - (height - 1) / 2
    x = np.arange(width) - (width - 1) / 2
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    source = np.stack(
        [cos * y + sin * x + (height - 1) / 2, cos * x - sin * y + (width - 1) / 2]
    )  # (2, H, W)
    turned = np.empty(images.shape, np.uint8)
    for image, target in zip(images, turned, strict=True):
        for channel in range(image.shape[2]):
            values = map_coordinates(image[..., channel], source, np.float32, order=1, mode="mirror")
            target[..., channel] = np.rint(values)
    return turned
