"""One look at good and painted pictures, and all methods that see by it: features are computed once and shared."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from kizu.backbones.graph import Embedder
from kizu.backbones.store import load_backbone
from kizu.core.randomness import rng_for
from kizu.core.types import F32, HW, I64, U8
from kizu.core.work import BATCH, Work
from kizu.data.batches import stream
from kizu.data.manifest import Sample
from kizu.detectors.bank import LEAST_PICKED, BankConfig
from kizu.detectors.base import Embeddings, Fitted
from kizu.detectors.registry import make_detector
from kizu.imaging.placement import PlacementConfig
from kizu.lab.judged import Judged
from kizu.lab.painted import PaintedSet, judged_as
from kizu.lab.search_space import Contender, Look
from kizu.pipeline.embedding import make_embedder
from kizu.pipeline.fitting import WORKING_BYTES, WORKING_BYTES_PER_PIXEL

KEPT_PLACEMENTS = 2
"""Sizes whose pictures are held decoded."""
TIMED = 5
"""Calls that tell a latency, after one that warms up. The least counts: others may keep the machine busy, and what is
compared is not measured at one time."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """What one round of a search learns from and is judged by."""

    fit: tuple[Sample, ...]
    groups: tuple[int, ...]
    """Of the fitted ones"""
    painted: PaintedSet
    count: int
    """Of all good pictures: what a later fit will learn"""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one contender was found to be."""

    contender: Contender
    judged: Judged
    latency_ms: float
    """For one picture, with the bank of all good pictures."""
    search_ms: float
    """What of it is not the network's."""
    memory_bytes: int
    """At the peak of a fit on all good pictures, beside what the process holds."""
    embedder: Embedder
    fitted: Fitted
    growth: float
    """The bank of all good pictures over this one."""

    @property
    def worth(self) -> float:
        """AUROC of painted flaws against good pictures that the fit had not seen."""
        return self.judged.auroc()

    def score(self, embedding: F32, hw: HW) -> F32:
        """(N,) what it says of pictures (H, W) whose whole embedding is (N, h, w, D)."""
        return self.fitted.score(choose(self.contender, embedding), hw).image

    def time_once(self, image: U8) -> float:
        """Milliseconds for one picture (1, H, W, 3), as `latency_ms`."""
        start = time.perf_counter()
        embedding = self.embedder.embed(image)
        middle = time.perf_counter()
        self.score(embedding, (image.shape[1], image.shape[2]))
        return 1000 * (middle - start + self.growth * (time.perf_counter() - middle))


class PlacedPictures:
    """Pictures at a few sizes, decoded once for each."""

    def __init__(self, pictures: Pictures) -> None:
        self.pictures = pictures
        self._kept: OrderedDict[PlacementConfig, tuple[list[U8], list[U8]]] = OrderedDict()

    def at(self, placement: PlacementConfig) -> tuple[list[U8], list[U8]]:
        """Batches (n, H, W, 3) of those to fit, and of the painted ones. Raises `ImageError`."""
        if placement not in self._kept:
            while len(self._kept) >= KEPT_PLACEMENTS:
                self._kept.popitem(last=False)
            fit = [batch.images for batch in stream(self.pictures.fit, placement)]
            self._kept[placement] = fit, list(self.pictures.painted.batches(placement))
        self._kept.move_to_end(placement)
        return self._kept[placement]


class SharedLook:
    """One network, its layers, a size and a patch size."""

    def __init__(self, look: Look, patch_size: int, work: Work) -> None:
        """Raises `MissingExtraError` for weights that are not installed."""
        self.look, self.work = look, work.quiet()
        backbone = load_backbone(look.embedding.backbone)
        self.embedder = make_embedder(backbone, look.embedding, patch_size=patch_size, work=self.work)

    @property
    def hw(self) -> HW:
        """(H, W) of the network's input."""
        return self.look.placement.image_size

    def latency_ms(self, hw: HW) -> float:
        """Of the network alone, for an input of (H, W)."""
        image = np.zeros((1, *hw, 3), np.uint8)
        return least_ms(lambda: self.embedder.embed(image))

    def memory_bytes(self, contender: Contender, count: int) -> int:
        """What a fit on so many pictures will take, beside what the process holds."""
        h, w = self.embedder.grid_hw(self.hw)
        held = make_detector(contender.config.detector).memory_bytes(
            count, h * w, self.embedder.dim, self.work.memory_budget()
        )
        return held + WORKING_BYTES + WORKING_BYTES_PER_PIXEL * self.hw[0] * self.hw[1]

    @contextmanager
    def features(self, placed: PlacedPictures) -> Iterator[tuple[F32, list[U8]]]:
        """(N, h, w, D) of the pictures to fit, in a file where memory would not do, and the painted batches."""
        fit, painted = placed.at(self.look.placement)
        count = sum(map(len, fit))
        h, w = self.embedder.grid_hw(self.hw)
        with self.work.feature_array(count * h * w, self.embedder.dim) as rows:
            kept = rows.reshape(count, h, w, self.embedder.dim)
            done = 0
            for batch in fit:
                kept[done : done + len(batch)] = self.embedder.embed(batch)
                done += len(batch)
            yield kept, painted

    def try_all(
        self,
        contenders: Sequence[Contender],
        placed: PlacedPictures,
        *,
        accepts: Callable[[Seen, float], bool],
        goes_on: Callable[[], bool],
    ) -> list[Seen]:
        """Fit each contender, and judge those that `accepts` takes, which is told how many seconds that will be. Where
        `goes_on` says no after one, those that are left are not fitted."""
        pictures = placed.pictures
        network_ms = self.latency_ms(self.hw)
        with self.features(placed) as (kept, painted):
            found: list[Seen] = []
            for contender in contenders:
                one = self._fit(contender, kept, pictures, network_ms)
                to_judge = pictures.painted.image_count * one.search_ms / one.growth / 1000
                if accepts(one, to_judge):
                    found.append(one)
                if not goes_on():
                    break
            scores: list[list[F32]] = [[] for _ in found]
            for batch in painted if found else []:
                embedding = self.embedder.embed(batch)
                for own, one in zip(scores, found, strict=True):
                    own.append(one.score(embedding, self.hw))
        painted_set = pictures.painted
        return [
            replace(one, judged=judged_as(painted_set, own)) for one, own in zip(found, scores, strict=True)
        ]

    def _fit(self, contender: Contender, kept: F32, pictures: Pictures, network_ms: float) -> Seen:
        """Fitted and timed, and not judged yet."""
        config = contender.config
        chosen = choose(contender, kept)
        embeddings = Embeddings(
            batches=(chosen[start : start + BATCH] for start in range(0, len(chosen), BATCH)),
            count=len(chosen),
            input_hw=self.hw,
            groups=pictures.groups if config.detector.leaves_out else None,
            kept=chosen.reshape(-1, chosen.shape[-1]),
        )
        rng = rng_for(config.seed, "fit")
        fitted = make_detector(config.detector).fit(embeddings, rng=rng, work=self.work)
        patches = chosen.shape[1] * chosen.shape[2]
        growth = bank_growth(contender, len(chosen) * patches, pictures.count * patches)
        search_ms = growth * least_ms(lambda: fitted.score(chosen[:1], self.hw))
        nothing, none = np.empty(0, np.float32), np.empty(0, np.int64)
        return Seen(
            contender=contender,
            judged=Judged(nothing, none, none, none),
            latency_ms=network_ms + search_ms,
            search_ms=search_ms,
            memory_bytes=self.memory_bytes(contender, pictures.count),
            embedder=self.embedder,
            fitted=fitted,
            growth=growth,
        )


def choose(contender: Contender, embedding: F32) -> F32:
    """(N, h, w, D) -> the features that the method looks at, as its pipeline's graph would give them."""
    channels = _channels(contender, embedding.shape[-1])
    return embedding if channels is None else np.ascontiguousarray(embedding[..., channels])


def bank_growth(contender: Contender, rows: int, all_rows: int) -> float:
    """How much larger a bank of all good patches is than one of so many; 1 for other methods."""
    config = contender.config.detector
    if not isinstance(config, BankConfig):
        return 1.0
    now, then = (config.bank_size(n, LEAST_PICKED) for n in (rows, all_rows))
    return then / now


def least_ms(call: Callable[[], object]) -> float:
    """Milliseconds of a call, when nothing else was in its way."""
    taken = []
    for _ in range(TIMED + 1):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return 1000 * min(taken[1:])


def _channels(contender: Contender, dim: int) -> I64 | None:
    config = contender.config
    return make_detector(config.detector).channels(dim, rng_for(config.seed, "channels"))
