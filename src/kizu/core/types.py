"""The words every room uses for arrays, and the two values that cross most floors.

One alphabet of shapes: N images, H W pixels, h w grid, P = h*w patches, D features, L layers,
M bank, K neighbours, R regions.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
F16 = NDArray[np.float16]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

HW = tuple[int, int]
"""(height, width)."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What a scorer says of N images: raw, unbounded, higher = more anomalous."""

    image: F32
    """(N,)"""
    maps: F32
    """(N, H, W) at the network's input size"""


class Scorer(Protocol):
    """Anything that turns images at the network's input size into scores."""

    def score(self, images: U8) -> Scores:
        """`images`: (N, H, W, 3) uint8 RGB at the network's input size."""
        ...
