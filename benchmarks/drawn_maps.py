"""Small anomaly maps whose images differ as a whole, so that pixels of one image are not independent."""

from typing import NamedTuple

import numpy as np

from kizu.core.types import F32, Bool

SIDE = 16


class Maps(NamedTuple):
    """How a flaw lies above its image, and how images and flaws differ."""

    lift: float
    images: float
    flaws: float
    unseen: float = 0.0
    """Part of the flaws that lie no higher than the rest."""
    heavy: bool = False
    """Images differ by Student's t with 3 degrees of freedom, else normally."""


KINDS = {
    "images alike": Maps(3, 0.3, 0.7),
    "images differ": Maps(4, 1, 1),
    "images differ, heavy tails": Maps(4, 0.5, 1, heavy=True),
    "some flaws unseen": Maps(5, 0.5, 1, unseen=0.15),
    "flaws differ": Maps(5, 0.3, 2),
    "almost perfect": Maps(6, 0.3, 1),
}


def draw_maps(kind: Maps, good: int, flawed: int, rng: np.random.Generator) -> tuple[list[F32], list[Bool]]:
    """`flawed` images of one or two flaws, then `good` ones: maps and masks (SIDE, SIDE)."""
    maps, masks = [], []
    for index in range(good + flawed):
        apart = rng.standard_t(3) if kind.heavy else rng.normal()
        scores = rng.normal(size=(SIDE, SIDE)) + kind.images * apart
        mask = np.zeros((SIDE, SIDE), np.bool_)
        for _ in range(rng.integers(1, 3) if index < flawed else 0):
            h, w = rng.integers(2, 6, 2)
            y, x = rng.integers(0, SIDE - h), rng.integers(0, SIDE - w)
            mask[y : y + h, x : x + w] = True
            if rng.random() >= kind.unseen:
                scores[y : y + h, x : x + w] += kind.lift + kind.flaws * rng.normal()
        maps.append(scores.astype(np.float32))
        masks.append(mask)
    return maps, masks
