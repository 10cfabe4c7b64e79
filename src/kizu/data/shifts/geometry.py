"""Where the part lies: homographies about the centre of the picture, and the one warp that applies them.

SciPy warps: it is a dependency anyway, takes any matrix and states its border rule. OpenCV has the same at ten times
the weight, scikit-image is built on SciPy's, and albumentations is unmaintained, its successor AGPL.
"""

from typing import Final

import numpy as np
from scipy import ndimage

from kizu.core.types import F32, F64, HW, Bool
from kizu.data.shifts.base import Drawn, signed

BORDER: Final = "mirror"
"""What comes in from beyond the border is the picture mirrored about its outermost pixels, and of the mask likewise, so
that a mirrored flaw is marked as one."""


def draw_sign(rng: np.random.Generator) -> Drawn:
    """How much of the strength, and which way."""
    return (signed(rng),)


def draw_window(rng: np.random.Generator) -> Drawn:
    """How much of the strength across and down, and which way."""
    return signed(rng), signed(rng)


def draw_corners(rng: np.random.Generator) -> Drawn:
    """How much of the strength each corner moves across and down."""
    return tuple(rng.uniform(-1, 1, 8).tolist())


def rotate(_hw: HW, degrees: float, drawn: Drawn) -> F64:
    """Clockwise, as seen, where the sign is positive."""
    angle = np.deg2rad(degrees * drawn[0])
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def crop_and_resize(hw: HW, part: float, drawn: Drawn) -> F64:
    """A window with `part` of the area less, of the picture's shape, becomes the whole picture."""
    area = 1 - part * (abs(drawn[0]) + abs(drawn[1])) / 2
    scale = 1 / np.sqrt(area)
    room = (1 - 1 / scale) / 2  # from the centred window to the border, of each side
    x, y = (np.sign(d) * (2 * abs(d) - 1) * room * side for d, side in zip(drawn, hw[::-1], strict=True))
    return np.array([[scale, 0, -scale * x], [0, scale, -scale * y], [0, 0, 1]])


def stretch(_hw: HW, change: float, drawn: Drawn) -> F64:
    """Wider and lower, or narrower and higher; the area stays."""
    root = np.sqrt(1 + change * abs(drawn[0])) ** np.sign(drawn[0])
    return np.diag([root, 1 / root, 1.0])


def move(hw: HW, part: float, drawn: Drawn) -> F64:
    """Across and down."""
    return np.array([[1, 0, part * drawn[0] * hw[1]], [0, 1, part * drawn[1] * hw[0]], [0, 0, 1]])


def tilt(hw: HW, part: float, drawn: Drawn) -> F64:
    """The homography that moves the four corners: eight linear equations (Hartley and Zisserman, "Multiple View
    Geometry", 2003, 4.1)."""
    half = np.array([hw[1], hw[0]]) / 2
    before = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * half
    after = before + part * 2 * half * np.reshape(drawn, (4, 2))
    rows, goals = [], []
    for (x, y), (u, v) in zip(before, after, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        goals += [u, v]
    return np.append(np.linalg.solve(np.array(rows), np.array(goals)), 1).reshape(3, 3)


def sources(hw: HW, matrix: F64) -> F64:
    """(2, H, W): the row and column that each pixel's content comes from."""
    height, width = hw
    y, x = np.mgrid[:height, :width] - np.array([(height - 1) / 2, (width - 1) / 2]).reshape(2, 1, 1)
    back = np.linalg.inv(matrix)
    u, v, w = (row[0] * x + row[1] * y + row[2] for row in back)
    return np.stack([v / w + (height - 1) / 2, u / w + (width - 1) / 2])


def warp(pixels: F32, where: F64) -> F32:
    """Pixels (H, W, C), bilinearly, from `where` (2, H, W) their content comes from."""
    channels = [
        ndimage.map_coordinates(pixels[..., c], where, order=1, mode=BORDER, output=np.float32)
        for c in range(pixels.shape[2])
    ]
    return np.stack(channels, axis=2)


def warp_mask(mask: Bool, where: F64) -> Bool:
    """The mask (H, W) of the same picture, from the same places by the same border rule, to the nearest pixel."""
    moved: Bool = ndimage.map_coordinates(mask.view(np.uint8), where, order=0, mode=BORDER).astype(bool)
    return moved


def part_in_view(mask: Bool, matrix: F64) -> float:
    """The part of a mask's pixels that are still inside of the picture after the move. For an empty mask 1."""
    y, x = np.nonzero(mask)
    if not y.size:
        return 1.0
    half_y, half_x = (mask.shape[0] - 1) / 2, (mask.shape[1] - 1) / 2
    u, v, w = matrix @ np.stack([x - half_x, y - half_y, np.ones(len(x))])
    return float(np.mean((np.abs(u / w) <= half_x) & (np.abs(v / w) <= half_y)))
