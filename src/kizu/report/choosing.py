"""Which images are shown: the cases that went wrong and those that went best, and flaws of each size."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from kizu.data.manifest import Sample
from kizu.data.masks import read_masks
from kizu.lab.evaluate import Prediction


@dataclass(frozen=True, slots=True)
class Sort:
    """Cases that are alike, and in what order they are worth looking at."""

    title: str
    keep: Callable[[Prediction], bool]
    highest_first: bool


SORTS = (
    Sort(
        "Missed defects, the most confident mistake first", lambda p: p.is_wrong and not p.is_anomaly, False
    ),
    Sort(
        "Rejected good parts, the most confident mistake first", lambda p: p.is_wrong and p.is_anomaly, True
    ),
    Sort("Found defects, the clearest first", lambda p: not p.is_wrong and p.is_anomaly, True),
    Sort("Passed good parts, the cleanest first", lambda p: not p.is_wrong and not p.is_anomaly, False),
)
"""Every prediction is of one of them."""


def rank_predictions(predictions: Sequence[Prediction], sort: Sort, *, most: int) -> list[Prediction]:
    """At most `most` of the predictions of this sort, in its order."""
    return sorted(filter(sort.keep, predictions), key=lambda p: p.score, reverse=sort.highest_first)[:most]


@dataclass(frozen=True, slots=True)
class Chosen:
    """Test images to look at, by how large their flaw is."""

    groups: dict[str, tuple[Sample, ...]]
    """good, mild, medium, severe."""
    borders: tuple[float, float] | None
    """Flawed parts of the image between mild, medium and severe; None without masks."""


def choose_samples(samples: Sequence[Sample], *, most: int = 3) -> Chosen:
    """Evenly spaced good ones, and of the defects with masks the middle ones of each third by flawed part.

    Without masks the defects are one group, "defect".
    """
    good = [sample for sample in samples if sample.label == "good"]
    parts = [
        (float(read_masks(sample).mean()), sample)
        for sample in samples
        if sample.label == "defect" and sample.mask_path is not None
    ]
    groups = {"good": _spread_out(good, most)}
    if not parts:
        groups["defect"] = _spread_out([s for s in samples if s.label == "defect"], most)
        return Chosen(groups, None)
    parts.sort(key=lambda item: (item[0], item[1].id))
    thirds = np.array_split(np.arange(len(parts)), 3)
    for name, third in zip(("mild", "medium", "severe"), thirds, strict=True):
        groups[name] = _spread_out([parts[index][1] for index in third], most)
    sizes = [size for size, _ in parts]
    return Chosen(groups, (float(np.quantile(sizes, 1 / 3)), float(np.quantile(sizes, 2 / 3))))


def _spread_out(samples: Sequence[Sample], most: int) -> tuple[Sample, ...]:
    """At most `most` of them, evenly spaced in their order."""
    if len(samples) <= most:
        return tuple(samples)
    return tuple(samples[round((i + 0.5) * len(samples) / most - 0.5)] for i in range(most))
