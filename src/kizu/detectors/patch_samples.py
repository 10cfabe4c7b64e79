"""Samples of good and flawed patches, in bounded memory, and batches of them in which each source has its share."""

from dataclasses import dataclass, field

import numpy as np

from kizu.core.types import F32
from kizu.detectors.flawed import REAL, FlawedBatch
from kizu.scoring.head import Bag, Labelled

MOST_GOOD = 65_536
"""Patches that are kept of each source; more are sampled."""
MOST_OF_DEFECT = 512
"""Flawed patches that are kept of one real defect."""
MOST_BAGS = 64
"""Defects that nobody drew, which are kept whole."""
FLAWED_PART = 0.5
"""Of a patch that must be flawed for it to count so; patches that are less, and not at all good, count for nothing."""
DRAWN = 256
"""Patches of each source in a batch."""
BAG_PART = 0.03
"""Of a bag's patches that speak for it."""


class Reservoir:
    """Of all rows that came a uniform sample of at most `most`, whatever came in which batches."""

    def __init__(self, most: int, rng: np.random.Generator) -> None:
        self.most, self._rng = most, rng
        self._kept: list[tuple[F32, F32]] = []

    def take(self, rows: F32) -> None:
        """(N, D)"""
        if len(rows) == 0:
            return
        self._kept.append((self._rng.random(len(rows), np.float32), rows.copy()))
        if sum(len(drawn) for drawn, _ in self._kept) > 2 * self.most:
            self._thin()

    def _thin(self) -> None:
        drawn, rows = (np.concatenate(part) for part in zip(*self._kept, strict=True))
        chosen = np.sort(np.argsort(drawn, kind="stable")[: self.most])
        self._kept = [(drawn[chosen], rows[chosen])]

    def rows(self) -> F32:
        """(M, D); (0, 0) where nothing came."""
        if not self._kept:
            return np.empty((0, 0), np.float32)
        self._thin()
        return self._kept[0][1]


class PatchSamples:
    """What is kept while embeddings pass."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self.good = Reservoir(MOST_GOOD, rng)
        self._beside = Reservoir(MOST_GOOD, rng)
        self._painted = Reservoir(MOST_GOOD, rng)
        self._defects: list[F32] = []
        self._bags: list[F32] = []

    def take_good(self, embedding: F32) -> None:
        """(N, h, w, D)"""
        self.good.take(embedding.reshape(-1, embedding.shape[-1]))

    def take_flawed(self, batch: FlawedBatch) -> None:
        """Patches that are flawed, and those beside them that are not at all."""
        for embedding, share, row in zip(batch.embedding, batch.share, batch.rows, strict=True):
            x, part = embedding.reshape(-1, embedding.shape[-1]), share.reshape(-1)
            if np.isnan(part).any():
                self._take_bag(x)
                continue
            flawed = x[part >= min(FLAWED_PART, float(part.max()))] if part.max() > 0 else x[:0]
            self._beside.take(x[part == 0])
            if row != REAL:
                self._painted.take(flawed)
            elif len(flawed):
                chosen = self._rng.permutation(len(flawed))[:MOST_OF_DEFECT]
                self._defects.append(flawed[chosen])

    def _take_bag(self, x: F32) -> None:
        if len(self._bags) < MOST_BAGS:
            self._bags.append(x.copy())
        elif (place := int(self._rng.integers(4 * MOST_BAGS))) < MOST_BAGS:
            self._bags[place] = x.copy()

    def standardised(self, mean: F32, scale: F32) -> "Ready":
        """What is kept, less `mean` (D,), times `scale` (D,)."""

        def ready(rows: F32) -> F32:
            return (rows - mean) * scale if len(rows) else np.empty((0, len(mean)), np.float32)

        return Ready(
            good=ready(self.good.rows()),
            beside=ready(self._beside.rows()),
            painted=ready(self._painted.rows()),
            defects=[ready(rows) for rows in self._defects],
            bags=[ready(rows) for rows in self._bags],
        )


@dataclass(frozen=True, slots=True)
class Ready:
    """Standardised patches (M, D) by source; of defects and bags one array each."""

    good: F32
    beside: F32
    painted: F32
    defects: list[F32] = field(default_factory=list)
    bags: list[F32] = field(default_factory=list)

    def draw(self, rng: np.random.Generator, noise: tuple[float, float] | None) -> tuple[Labelled, list[Bag]]:
        """A batch: good and flawed patches count a half each, and so do their sources, each as much as the others."""
        good = [_some(rows, 2 * DRAWN, rng) for rows in (self.good, self.beside) if len(rows)]
        flawed = [] if noise is None else [self._noisy(noise, rng)]
        if len(self.painted):
            flawed.append(_some(self.painted, DRAWN, rng))
        if self.defects:
            chosen = rng.integers(len(self.defects), size=DRAWN)
            flawed.append(np.stack([d[rng.integers(len(d))] for d in map(self.defects.__getitem__, chosen)]))
        sources = len(flawed) + bool(self.bags)
        parts = [_label(x, 0, 0.5 / len(good)) for x in good] + [_label(x, 1, 0.5 / sources) for x in flawed]
        bags = []
        if self.bags:
            x = self.bags[int(rng.integers(len(self.bags)))]
            bags = [Bag(x, max(1, round(BAG_PART * len(x))), 0.5 / sources)]
        joined = (np.concatenate([getattr(part, name) for part in parts]) for name in ("x", "y", "weight"))
        return Labelled(*joined), bags

    def _noisy(self, noise: tuple[float, float], rng: np.random.Generator) -> F32:
        x = _some(self.good, DRAWN, rng)
        low, high = np.log(noise)
        size = np.exp(rng.uniform(low, high, (len(x), 1))).astype(np.float32)
        return np.asarray(x + size * rng.standard_normal(x.shape, np.float32))


def _some(rows: F32, count: int, rng: np.random.Generator) -> F32:
    return rows[rng.integers(len(rows), size=count)]


def _label(x: F32, y: int, weight: float) -> Labelled:
    return Labelled(x, np.full(len(x), y, np.float32), np.full(len(x), weight / len(x), np.float32))
