"""Do two scorers of one detector say the same? On real images, by what a line would notice.

The first is taken for true. Errors of scores and of map pixels are in parts of the threshold or of the true value,
whichever is larger, so that one tolerance serves every method.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from kizu.core.errors import DataError, ScoreError
from kizu.core.types import F32, HW, U8, Bool, Scorer, Scores
from kizu.core.work import BATCH, Work
from kizu.data.batches import stream
from kizu.data.manifest import Sample
from kizu.decision.calibration import Thresholds
from kizu.decision.thresholds import Threshold
from kizu.imaging.codec import decode
from kizu.imaging.placement import PlacementConfig, place


@dataclass(frozen=True, slots=True)
class Tolerances:
    """What still counts as the same."""

    score: float = 1e-3
    map: float = 1e-3
    iou: float = 0.99
    """Of all marked pixels of all images together."""


_AT_THRESHOLD = np.float32(Tolerances().map)


@dataclass(frozen=True, slots=True)
class Flip:
    """One image that the two decide differently."""

    image: str
    true_score: float
    score: float
    distance: float
    """Of the true score from the threshold, in parts of the threshold."""


@dataclass(frozen=True, slots=True)
class OfPictures:
    """A scorer that takes whole pictures of one size, and resizes them itself."""

    scorer: Scorer
    picture_hw: HW


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
    """Pixels above the deployed pixel threshold, all images together; 1 where neither marks any. Those at the
    threshold do not count."""
    lowest_mask_iou: float = 1.0
    """Of one image. A mask of a few pixels may lose much of it to one pixel at the threshold."""
    not_finite: int = 0
    """Images whose score or map is not finite, or that the scorer refused for it."""
    flips: list[Flip] = field(default_factory=list)
    pixels_at_threshold: int = 0
    """Whose true value is no farther from the pixel threshold than maps may differ: which side they fall on is chance.
    A threshold that was set on good images is the value of one of their pixels."""
    of_another_size: int = 0
    """Images that a scorer of pictures of one size could not be given."""
    refused: str = ""
    """Why it was not compared; then it does not agree."""
    signed: str = "no"
    """Of a file, whether it is signed, and by whom."""

    def count_score(self, name: str, true: float, score: float, threshold: Threshold) -> None:
        """One image's score beside the true one; with `images` counted, the mean error stays right."""
        error = abs(score - true) / max(abs(true), abs(threshold.value), 1e-12)
        self.score_mean_error += (error - self.score_mean_error) / (self.images + 1)
        self.score_max_error = max(self.score_max_error, error)
        self.images += 1
        if threshold.is_exceeded_by(true) != threshold.is_exceeded_by(score):
            distance = abs(true - threshold.value) / max(abs(threshold.value), 1e-12)
            self.flips.append(Flip(name, true, score, distance))

    def far_flips(self, tolerances: Tolerances) -> int:
        """Flips of images whose true score is farther from the threshold than scores may differ."""
        return sum(flip.distance > tolerances.score for flip in self.flips)

    def failures(self, tolerances: Tolerances = Tolerances()) -> list[str]:
        """What is beyond the tolerances, in words; empty: they agree."""
        if self.refused:
            return [self.refused]
        exact = not self.by_decisions
        checks = (
            (exact and self.score_max_error > tolerances.score, f"score error {self.score_max_error:.2g}"),
            (exact and self.map_max_error > tolerances.map, f"map error {self.map_max_error:.2g}"),
            (self.mask_iou < tolerances.iou, f"mask IoU {self.mask_iou:.4f}"),
            (self.far_flips(tolerances) > 0, f"{self.far_flips(tolerances)} decision(s) flipped"),
            (self.not_finite > 0, f"{self.not_finite} image(s) without a finite score"),
            (self.images + self.not_finite == 0, "no image was compared"),
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
    others: Mapping[str, Scorer | OfPictures],
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
    A scorer of whole pictures is given those that have its size, and noise of its size.
    Raises `DataError` without any image, `ImageError` for one that cannot be read.
    """
    total = len(samples) + random_images
    if total == 0:
        raise DataError("there is no image to compare on", hint="give a run whose data set is still there")
    tallies = [_Tally(Agreement(name, name in by_decisions), thresholds, placement) for name in others]
    seen = 0
    for batch in _batches(samples, others, placement, random_images) if others else ():
        expected = true.score(batch.images)
        for tally, scorer in zip(tallies, others.values(), strict=True):
            if isinstance(scorer, OfPictures):
                tally.compare(batch.of_size(scorer.picture_hw), expected, scorer.scorer)
            elif batch.size is None:
                tally.compare(batch, expected, scorer)
        seen += len(batch.names) if batch.size is None else 0
        work.report("compared", seen, total)
    return [tally.agreement() for tally in tallies]


@dataclass(frozen=True, slots=True)
class _Batch:
    """N images, as they are given to a scorer."""

    names: list[str]
    images: U8
    """(N, h, w, 3) as the placement gives them; of `of_size` the pictures themselves"""
    pictures: Sequence[U8] = ()
    """The same before they were placed, where a scorer wants them"""
    size: HW | None = None
    """They are for scorers of pictures of this size only."""
    rows: Sequence[int] | None = None
    """Which of the N expected scores they have; None: each has one"""
    left_out: int = 0

    def of_size(self, picture_hw: HW) -> "_Batch":
        """Those of the pictures that have this size."""
        if self.size not in (None, picture_hw):
            return _Batch([], np.empty((0, *picture_hw, 3), np.uint8), rows=())
        rows = [row for row, picture in enumerate(self.pictures) if picture.shape[:2] == picture_hw]
        chosen = (
            np.stack([self.pictures[row] for row in rows])
            if rows
            else np.empty((0, *picture_hw, 3), np.uint8)
        )
        return _Batch(
            [self.names[row] for row in rows], chosen, rows=rows, left_out=len(self.pictures) - len(rows)
        )


def _batches(
    samples: Sequence[Sample],
    others: Mapping[str, Scorer | OfPictures],
    placement: PlacementConfig,
    random_images: int,
) -> Iterator[_Batch]:
    sizes = {other.picture_hw for other in others.values() if isinstance(other, OfPictures)}
    for batch in stream(samples, placement):
        paths = [sample.path for sample in batch.samples]
        yield _Batch(list(map(str, paths)), batch.images, list(map(decode, paths)) if sizes else ())
    rng = np.random.default_rng(0)
    for start in range(0, random_images, BATCH):
        count = min(BATCH, random_images - start)
        noise = rng.integers(0, 256, (count, *placement.seen_hw, 3), np.uint8)
        yield _Batch([f"noise {start + index}" for index in range(count)], noise)
    for hw in sorted(sizes):
        pictures = rng.integers(0, 256, (2, *hw, 3), np.uint8)
        placed = np.stack([place(picture, placement) for picture in pictures])
        yield _Batch(
            [f"noise of {hw[0]}x{hw[1]}, {index}" for index in range(2)], placed, tuple(pictures), hw
        )


class _Tally:
    """Sums over images; its memory does not grow with their number."""

    def __init__(self, empty: Agreement, thresholds: Thresholds, placement: PlacementConfig) -> None:
        self._found = empty
        self._thresholds = thresholds
        field_of = thresholds.pixel_field(placement.seen_hw)
        self._pixel: float | F32 = thresholds.pixel.value if field_of is None else field_of
        self._map_sum = 0.0
        self._both = self._either = 0

    def compare(self, batch: _Batch, expected: Scores, scorer: Scorer) -> None:
        """The scores of a batch beside those that are expected of all it was taken from."""
        self._found.of_another_size += batch.left_out
        if not batch.names:
            return
        rows = slice(None) if batch.rows is None else list(batch.rows)
        try:
            found = scorer.score(batch.images)
        except ScoreError:
            self._found.not_finite += len(batch.names)
            return
        self._add(batch.names, (expected.image[rows], expected.maps[rows]), (found.image, found.maps))

    def _add(self, names: Sequence[str], true: tuple[F32, F32], other: tuple[F32, F32]) -> None:
        for name, a, a_map, b, b_map in zip(names, *true, *other, strict=True):
            if not (np.isfinite(b) and np.isfinite(b_map).all()):
                self._found.not_finite += 1
                continue
            floor = np.maximum(np.maximum(np.abs(a_map), np.abs(self._pixel)), np.float32(1e-12))
            errors = np.abs(b_map - a_map) / floor
            self._map_sum += float(errors.mean(dtype=np.float64))
            self._found.map_max_error = max(self._found.map_max_error, float(errors.max()))
            self._masks(a_map, b_map, np.abs(a_map - self._pixel) <= _AT_THRESHOLD * floor)
            self._found.count_score(name, float(a), float(b), self._thresholds.image)

    def _masks(self, a_map: F32, b_map: F32, at_threshold: Bool) -> None:
        self._found.pixels_at_threshold += int(at_threshold.sum())
        a_mask, b_mask = ((values > self._pixel) & ~at_threshold for values in (a_map, b_map))
        both, either = int((a_mask & b_mask).sum()), int((a_mask | b_mask).sum())
        self._both += both
        self._either += either
        if either:
            self._found.lowest_mask_iou = min(self._found.lowest_mask_iou, both / either)

    def agreement(self) -> Agreement:
        self._found.map_mean_error = self._map_sum / max(self._found.images, 1)
        self._found.mask_iou = self._both / self._either if self._either else 1.0
        self._found.images += self._found.not_finite
        return self._found
