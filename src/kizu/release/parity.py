"""Do two scorers of one detector say the same? On real images, by what a line would notice.

The first is taken for true. Errors of scores and of map pixels are in parts of the threshold or of the true value,
whichever is larger, so that one tolerance serves every method.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from kizu.core.errors import DataError, ScoreError
from kizu.core.types import F32, U8, Scorer
from kizu.core.work import BATCH, Work
from kizu.data.batches import stream
from kizu.data.manifest import Sample
from kizu.decision.calibration import Thresholds
from kizu.imaging.placement import PlacementConfig


@dataclass(frozen=True, slots=True)
class Tolerances:
    """What still counts as the same."""

    score: float = 1e-3
    map: float = 1e-3
    iou: float = 0.99
    """Of all marked pixels of all images together."""


@dataclass(frozen=True, slots=True)
class Flip:
    """One image that the two decide differently."""

    image: str
    true_score: float
    score: float
    distance: float
    """Of the true score from the threshold, in parts of the threshold."""


@dataclass(slots=True)
class Agreement:
    """How far one scorer is from the true one, over N images."""

    name: str
    by_decisions: bool = False
    """It is another model by intent (f16, int8): judged by decisions and masks, its errors only told."""
    images: int = 0
    score_mean_error: float = 0.0
    score_max_error: float = 0.0
    map_mean_error: float = 0.0
    map_max_error: float = 0.0
    mask_iou: float = 1.0
    """Pixels above the deployed pixel threshold, all images together; 1 where neither marks any."""
    lowest_mask_iou: float = 1.0
    """Of one image. A mask of a few pixels may lose much of it to one pixel at the threshold."""
    not_finite: int = 0
    """Images whose score or map is not finite, or that the scorer refused for it."""
    flips: list[Flip] = field(default_factory=list)

    def far_flips(self, tolerances: Tolerances) -> int:
        """Flips of images whose true score is farther from the threshold than scores may differ."""
        return sum(flip.distance > tolerances.score for flip in self.flips)

    def failures(self, tolerances: Tolerances = Tolerances()) -> list[str]:
        """What is beyond the tolerances, in words; empty: they agree."""
        exact = not self.by_decisions
        checks = (
            (exact and self.score_max_error > tolerances.score, f"score error {self.score_max_error:.2g}"),
            (exact and self.map_max_error > tolerances.map, f"map error {self.map_max_error:.2g}"),
            (self.mask_iou < tolerances.iou, f"mask IoU {self.mask_iou:.4f}"),
            (self.far_flips(tolerances) > 0, f"{self.far_flips(tolerances)} decision(s) flipped"),
            (self.not_finite > 0, f"{self.not_finite} image(s) without a finite score"),
        )
        return [told for is_beyond, told in checks if is_beyond]

    def as_json(self, tolerances: Tolerances) -> dict[str, Any]:
        """For `consistency.json`."""
        return {
            **asdict(self),
            "flips_away_from_the_threshold": self.far_flips(tolerances),
            "failures": self.failures(tolerances),
        }


def compare_scorers(
    true: Scorer,
    others: Mapping[str, Scorer],
    samples: Sequence[Sample],
    placement: PlacementConfig,
    thresholds: Thresholds,
    *,
    by_decisions: Collection[str] = (),
    random_images: int = 0,
    work: Work = Work(),
) -> list[Agreement]:
    """Each of `others` beside `true`, on the same images, a few at a time.

    `by_decisions`: which of them are other models by intent. `random_images`: so many of noise beside the samples.
    Raises `DataError` without any image, `ImageError` for one that cannot be read.
    """
    total = len(samples) + random_images
    if total == 0:
        raise DataError("there is no image to compare on", hint="give a run whose data set is still there")
    tallies = [_Tally(Agreement(name, name in by_decisions), thresholds, placement) for name in others]
    for names, images in _batches(samples, placement, random_images):
        expected = true.score(images)
        for tally, scorer in zip(tallies, others.values(), strict=True):
            try:
                found = scorer.score(images)
            except ScoreError:
                tally.count_refused(len(images))
                continue
            tally.add(names, (expected.image, expected.maps), (found.image, found.maps))
        work.report("compared", tallies[0].seen if tallies else total, total)
    return [tally.agreement() for tally in tallies]


def _batches(
    samples: Sequence[Sample], placement: PlacementConfig, random_images: int
) -> Iterator[tuple[list[str], U8]]:
    for batch in stream(samples, placement):
        yield [str(sample.path) for sample in batch.samples], batch.images
    rng = np.random.default_rng(0)
    for start in range(0, random_images, BATCH):
        count = min(BATCH, random_images - start)
        noise = rng.integers(0, 256, (count, *placement.seen_hw, 3), np.uint8)
        yield [f"noise {start + index}" for index in range(count)], noise


class _Tally:
    """Sums over images; its memory does not grow with their number."""

    def __init__(self, empty: Agreement, thresholds: Thresholds, placement: PlacementConfig) -> None:
        self._found = empty
        self._thresholds = thresholds
        field_of = thresholds.pixel_field(placement.seen_hw)
        self._pixel: float | F32 = thresholds.pixel.value if field_of is None else field_of
        self._score_sum = self._map_sum = 0.0
        self._both = self._either = 0
        self.seen = 0

    def count_refused(self, count: int) -> None:
        self.seen += count
        self._found.not_finite += count

    def add(self, names: Sequence[str], true: tuple[F32, F32], other: tuple[F32, F32]) -> None:
        threshold = self._thresholds.image
        for name, a, a_map, b, b_map in zip(names, *true, *other, strict=True):
            self.seen += 1
            if not (np.isfinite(b) and np.isfinite(b_map).all()):
                self._found.not_finite += 1
                continue
            error = abs(float(b) - float(a)) / max(abs(float(a)), abs(threshold.value), 1e-12)
            self._score_sum += error
            self._found.score_max_error = max(self._found.score_max_error, error)
            floor = np.maximum(np.abs(a_map), np.abs(self._pixel))
            errors = np.abs(b_map - a_map) / np.maximum(floor, np.float32(1e-12))
            self._map_sum += float(errors.mean(dtype=np.float64))
            self._found.map_max_error = max(self._found.map_max_error, float(errors.max()))
            self._masks(a_map, b_map)
            if threshold.is_exceeded_by(float(a)) != threshold.is_exceeded_by(float(b)):
                distance = abs(float(a) - threshold.value) / max(abs(threshold.value), 1e-12)
                self._found.flips.append(Flip(name, float(a), float(b), distance))

    def _masks(self, a_map: F32, b_map: F32) -> None:
        a_mask, b_mask = a_map > self._pixel, b_map > self._pixel
        both, either = int((a_mask & b_mask).sum()), int((a_mask | b_mask).sum())
        self._both += both
        self._either += either
        if either:
            self._found.lowest_mask_iou = min(self._found.lowest_mask_iou, both / either)

    def agreement(self) -> Agreement:
        measured = self.seen - self._found.not_finite
        self._found.images = self.seen
        self._found.score_mean_error = self._score_sum / max(measured, 1)
        self._found.map_mean_error = self._map_sum / max(measured, 1)
        self._found.mask_iou = self._both / self._either if self._either else 1.0
        return self._found
