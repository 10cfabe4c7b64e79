"""The pixels of all images in one ranking, without holding them all at once.

Maps and masks are sequences that may read lazily from disk: one pass collects the defective pixels (few), a
second counts the good pixels above each of them, chunk by chunk. The memory used is a small multiple of the
defective pixels, not of the images.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kizu.core.errors import DataError, ScoreError
from kizu.core.threads import spread
from kizu.core.types import F64, Bool
from kizu.metrics.decisions import Confusion, confusion
from kizu.metrics.ranking import Ranking, Reals, count_alarms

EIGHT_CONNECTED = np.ones((3, 3), np.bool_)
SMALLEST_CHUNK_PX = 1 << 22  # below this, searching a chunk costs more than sorting it
CHUNK_PER_DEFECTIVE = 4  # keeps chunks so few that the searches never outweigh the sort
SAMPLED_PX = 1 << 17  # enough to place the quantile of good scores within some thousandths


@dataclass(frozen=True, slots=True)
class PixelRanking:
    """The ranking of all pixels, and what each defective score adds to the overlap with the regions."""

    ranking: Ranking
    overlap_gain: F64  # (T,) rise of the covered fractions, summed over the regions


def rank_pixels(maps: Sequence[Reals], masks: Sequence[Bool], *, up_to: float = 1.0) -> PixelRanking:
    """Rank the pixels of N `maps` (H, W) against N `masks` (H, W), True on defects; sizes may differ.

    `up_to`: the highest false-positive rate that will be asked about. Below 1, the good scores that lie beyond are
    neither sorted nor kept: counts up to this rate are exact, those past it are only known to be past it.
    Raises `DataError` when maps and masks do not match, `ScoreError` when a map value is not finite.
    """
    check_pairs(maps, masks)
    scores, fractions = _defective_pixels(maps, masks)
    levels, inverse = np.unique(scores, return_inverse=True)
    hits = np.bincount(inverse, minlength=levels.size)
    gain = np.zeros(levels.size)
    np.add.at(gain, inverse, fractions)
    chunk_px = max(SMALLEST_CHUNK_PX, CHUNK_PER_DEFECTIVE * scores.size)
    good = sum(mask.size for mask in masks) - scores.size
    for floor in (_floor(maps, masks, up_to), -np.inf):
        above, level, counted = count_alarms(levels, _chunks(_good_pixels(maps, masks, floor), chunk_px))
        if counted >= up_to * good:  # or the sample has misled
            break
    ranking = Ranking(levels[::-1], hits[::-1], above[::-1], level[::-1], scores.size, good, noun="pixels")
    return PixelRanking(ranking, gain[::-1])


def pixel_confusions(
    maps: Sequence[Reals], masks: Sequence[Bool], threshold: float | Sequence[Reals]
) -> list[Confusion]:
    """Count decisions on the pixels of each image, NG when strictly above `threshold`; otherwise as `rank_pixels`.

    `threshold`: one number, or a field (H, W) of thresholds for each image.
    """
    check_pairs(maps, masks)

    def count(index: int) -> Confusion:
        mask = masks[index]
        here = threshold if isinstance(threshold, (int, float)) else np.ravel(threshold[index])
        return confusion(mask.ravel(), check_map(maps, index, mask).ravel(), here, noun="pixels")

    return spread(count, range(len(masks)))


def of_submitted_maps(images: Sequence[Confusion], rejected: Bool) -> list[Confusion]:
    """The same counts for the binary maps that an inspection hands in: an image that is not `rejected` (N,) has no
    pixel marked, whatever its scores."""
    return [
        counts if is_ng else Confusion(0, 0, counts.good, counts.defective, counts.noun)
        for counts, is_ng in zip(images, rejected, strict=True)
    ]


def total(images: Sequence[Confusion]) -> Confusion:
    """All pixels of all images together."""
    return sum(images, Confusion(0, 0, 0, 0, noun="pixels"))


def _defective_pixels(maps: Sequence[Reals], masks: Sequence[Bool]) -> tuple[Reals, F64]:
    """The scores (F,) of all defective pixels, and the fraction (F,) of its region that each is."""

    def collect(index: int) -> tuple[Reals, F64] | None:
        mask = masks[index]
        if not mask.any():  # most maps are read once only
            return None
        region = ndimage.label(mask, structure=EIGHT_CONNECTED)[0][mask]
        return check_map(maps, index, mask)[mask], (1 / np.bincount(region)[region])

    found = [item for item in spread(collect, range(len(masks))) if item is not None]
    scores = [np.empty(0, np.float32), *(scores for scores, _ in found)]
    fractions = [np.empty(0), *(fractions for _, fractions in found)]
    return np.concatenate(scores), np.concatenate(fractions)


def _floor(maps: Sequence[Reals], masks: Sequence[Bool], up_to: float) -> float:
    """A score that somewhat more than the part `up_to` of the good pixels exceed, by a sample of every image."""
    part = 1.05 * up_to + 0.01
    if part >= 1:
        return -np.inf
    step = (
        max(1, sum(mask.size for mask in masks) // SAMPLED_PX) | 1
    )  # odd: no column of an even width is favoured
    sample = [
        check_map(maps, index, mask).ravel()[::step][~mask.ravel()[::step]]
        for index, mask in enumerate(masks)
    ]
    values = np.concatenate([np.empty(0, np.float32), *sample])
    return float(np.quantile(values, 1 - part)) if values.size else -np.inf


def _good_pixels(maps: Sequence[Reals], masks: Sequence[Bool], floor: float) -> Iterator[Reals]:
    """The scores of the good pixels of each image that lie above `floor`, flat."""
    for index, mask in enumerate(masks):
        scores = check_map(maps, index, mask)
        if floor > -np.inf:
            yield scores[(scores > floor) & ~mask]
        else:
            yield scores[~mask] if mask.any() else scores.ravel()


def _chunks(pieces: Iterator[Reals], chunk_px: int) -> Iterator[Reals]:
    """Join `pieces` to fresh arrays of about `chunk_px` values."""
    gathered: list[Reals] = []
    size = 0
    for piece in pieces:
        gathered.append(piece)
        size += piece.size
        if size >= chunk_px:
            yield np.concatenate(gathered)
            gathered, size = [], 0
    if gathered:
        yield np.concatenate(gathered)


def check_pairs(maps: Sequence[Reals], masks: Sequence[Bool]) -> None:
    """Raise `DataError` unless there are as many maps as masks."""
    if len(maps) != len(masks):
        raise DataError(f"{len(maps)} maps but {len(masks)} masks")


def check_map(maps: Sequence[Reals], index: int, mask: NDArray[Any]) -> Reals:
    """The map at `index`, when it fits its mask and is finite."""
    scores = maps[index]
    if mask.dtype != np.bool_:
        raise DataError(f"mask {index} must be boolean (True = defect), got {mask.dtype}")
    if scores.ndim != 2 or scores.shape != mask.shape:
        raise DataError(
            f"map {index} has shape {scores.shape} but its mask has shape {mask.shape}",
            hint="metrics are taken at the mask's own resolution: resize the map to it",
        )
    if not np.isfinite(scores).all():
        y, x = np.argwhere(~np.isfinite(scores))[0]
        raise ScoreError(
            f"map {index} is {scores[y, x]} at pixel (y={y}, x={x})", hint="metrics need finite scores"
        )
    return scores
